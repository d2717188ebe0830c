"""Signals at the worst moments, terminals that go away, clocks that jump: no answer is lost, and what is said is true."""

from __future__ import annotations

import itertools
import os
import pty
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from batch_runner import run_file, run_file_sync
from batch_runner.commands.running import what_is_given_up, what_is_lost, what_is_waited_for
from batch_runner.fake_server import Canned, Fault, Fixed, Latency, Scenario
from batch_runner.leaving import AtStake
from tests.end_to_end.conftest import lies_between, until
from tests.end_to_end.faults import injecting, needs_strace

if TYPE_CHECKING:
    import pytest

    from tests.end_to_end.conftest import Place, Served, Servers

SLOW = Scenario(latency=Latency(seconds=Fixed(0.4)))
QUICK = Scenario()
AT_STAKE = AtStake(4, 1234, 2800)


def run(place: Place, gateway: Served, *more: str) -> tuple[str, ...]:
    return ("run", str(place.prompts), "--endpoint", gateway.url, "-c", "4", "--max-completion-tokens", "700", *more)


def in_flight(gateway: Served, count: int) -> None:
    until(lambda: gateway.books(rows=False).open >= count, what=f"{count} requests in flight")


def finished(place: Place, gateway: Served) -> int:
    """The same run, to its end."""
    gateway.at_rest()
    return run_file_sync(place.prompts, endpoint=gateway.url, concurrency=4, max_completion_tokens=700).exit_status


def test_a_first_ctrl_c_is_told_what_is_waited_for_and_what_a_kill_would_cost() -> None:
    assert what_is_waited_for(AT_STAKE, 90) == (
        "leaving: nothing new is sent; up to 1 min 30 s for the answers on their way to 4 requests; a kill now would lose up to "
        "1,234 prompt and 2,800 completion tokens, paid for. Again: leave now"
    )
    assert "1 request (1 of them received and not written yet)" in what_is_waited_for(AtStake(1, 1, 1, unwritten=1), 90)
    assert "no answer is on its way" in what_is_waited_for(AtStake(), 90)


def test_a_second_and_a_third_are_told_what_is_given_up() -> None:
    assert what_is_given_up(AT_STAKE).startswith("leaving now: 4 requests given up, up to 1,234 prompt and 2,800 completion")
    assert what_is_given_up(AtStake()) == "leaving now"
    assert what_is_lost(AtStake(4, 1, 1, unwritten=3)) == "gone (3 of them received and not written yet)"
    assert what_is_lost(AtStake()) == "gone"


def test_the_figures_of_a_drain_are_those_of_the_requests_in_flight(place: Place, servers: Servers) -> None:
    place.write_questions(8)
    gateway = servers.gateway(SLOW)
    started = place.start(*run(place, gateway))
    in_flight(gateway, 4)

    started.signal(signal.SIGINT)
    end = started.ended()

    assert "the answers on their way to 4 requests; a kill now would lose up to " in end.err
    assert "and 2,800 completion tokens, paid for" in end.err


def test_three_ctrl_c_in_quick_succession_keep_what_was_recorded_and_the_same_command_finishes(
    place: Place, servers: Servers
) -> None:
    place.write_questions(10)
    gateway = servers.gateway(SLOW)
    started = place.start(*run(place, gateway))
    until(lambda: place.recorded() >= 2)
    in_flight(gateway, 3)

    for _ in range(3):
        started.signal(signal.SIGINT)
        time.sleep(0.03)  # two of a kind at once are one, to a kernel
    end = started.ended()
    kept = {row["id"] for row in place.rows() if row["status"] == "ok"}
    gateway.at_rest()
    gateway.plays(QUICK)
    later = finished(place, gateway)

    books = gateway.books()
    assert end.status == 130
    assert "Traceback" not in end.err
    assert later == 0
    assert len(place.rows()) == 10
    assert all(books.attempts[f"question {row_id[1:]}"] == 1 for row_id in kept)
    assert lies_between(books, place.totals()["job"])


def test_a_kill_while_the_run_drains_costs_no_more_than_was_in_flight(place: Place, servers: Servers) -> None:
    place.write_questions(12)
    gateway = servers.gateway(SLOW)
    started = place.start(*run(place, gateway))
    until(lambda: place.recorded() >= 4)
    in_flight(gateway, 4)

    started.signal(signal.SIGTERM)
    time.sleep(0.05)
    started.kill()
    kept = len(place.rows())
    gateway.plays(QUICK)
    later = finished(place, gateway)

    assert later == 0
    assert len(place.rows()) == 12
    assert gateway.books().requests <= 12 + 4
    assert kept >= 4
    assert lies_between(gateway.books(), place.totals()["job"])


def test_a_broken_pipe_is_no_reason_to_leave(place: Place, servers: Servers) -> None:
    place.write_questions(8)
    gateway = servers.gateway(SLOW)
    started = place.start(*run(place, gateway, "-v"))
    in_flight(gateway, 4)

    assert started.process.stderr is not None
    started.process.stderr.close()
    started.process.stderr = None
    started.signal(signal.SIGPIPE)
    end = started.ended()

    assert end.status == 0
    assert len(place.rows()) == 8


def test_a_terminal_that_is_closed_lets_the_answers_on_their_way_arrive(place: Place, servers: Servers) -> None:
    place.write_questions(12)
    gateway = servers.gateway(SLOW)
    outer, inner = pty.openpty()
    started = place.start(*run(place, gateway), stdin=inner, stderr=inner, stdout=inner, preexec_fn=lambda: os.login_tty(inner))
    os.close(inner)
    in_flight(gateway, 4)

    os.close(outer)
    end = started.ended()

    assert end.status == 143
    assert {row["status"] for row in place.rows()} == {"ok"}
    assert len(place.rows()) == gateway.books().requests < 12
    assert place.totals()["job"]["ok"] == len(place.rows())


def test_a_run_that_is_suspended_goes_on_where_it_was(place: Place, servers: Servers) -> None:
    place.write_questions(12)
    gateway = servers.gateway(SLOW)
    started = place.start(*run(place, gateway))
    until(lambda: place.recorded() >= 4)

    started.signal(signal.SIGSTOP)
    time.sleep(1)
    standing = place.run("status", place.out)
    second = place.run(*run(place, gateway))
    started.signal(signal.SIGCONT)
    end = started.ended()

    assert "running" in standing.out
    assert second.status == 75
    assert end.status == 0
    assert len(place.rows()) == gateway.books().requests == 12


def test_a_signal_while_standard_input_is_read_leaves_nothing_behind(place: Place, servers: Servers) -> None:
    gateway = servers.gateway()
    command = ("run", "-", "-o", place.out, "--endpoint", gateway.url)
    started = place.start(*command, stdin=subprocess.PIPE)
    until(lambda: list(place.folder.glob("*.new.zst")), what="the copy of standard input")

    started.signal(signal.SIGTERM)
    end = started.ended()

    assert end.status == 143
    assert end.err == "told to leave; nothing was sent\n"
    assert [path.name for path in place.folder.iterdir()] == ["prompts.results.jsonl.lock"]


@needs_strace
def test_ctrl_c_during_compaction_is_told_the_truth_and_costs_nothing(place: Place, servers: Servers) -> None:
    place.write_questions(3)
    gateway = servers.gateway(Scenario(faults=(Fault(Canned("context_length_exceeded")),)))
    place.run(*run(place, gateway))
    gateway.plays(QUICK)
    compacting = place.out.with_name(place.out.name + ".compacting")
    under = injecting("fdatasync:delay_enter=4000000", files=(compacting,))
    started = place.start(*run(place, gateway, "--retry-failed"), under=under)
    until(compacting.exists)

    for _ in range(3):
        started.signal(signal.SIGINT)
        time.sleep(0.03)
    end = started.ended()
    later = finished(place, gateway)

    assert end.status == 130, end.err
    assert "leaving: nothing new is sent, and no answer is on its way" in end.err
    assert later == 0
    assert {row["status"] for row in place.by_id().values()} == {"ok"}
    assert gateway.books().requests == 6


async def test_a_clock_that_jumps_back_and_forth_changes_no_row(
    place: Place, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write_questions(12)
    gateway = servers.gateway(Scenario(faults=(Fault(Canned("server_error"), probability=0.3),)))
    times = itertools.cycle([1.7e9, 1.9e9, 1.0e9])
    monkeypatch.setattr("time.time", lambda: next(times))

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=4)
    monkeypatch.undo()
    again = await run_file(place.prompts, endpoint=gateway.url, concurrency=4)

    assert report.exit_status == again.exit_status == 0
    assert len(place.rows()) == 12
    assert place.totals()["run"]["wall_s"] < 60
    assert again.run.attempts == 0
