"""Nights as a scheduler plays them: whatever happens, the exit status, the lock, the heartbeat and the output hold."""

from __future__ import annotations

import re
import signal
import socket
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from batch_runner.fake_server import Canned, Fault, Fixed, Latency, Scenario
from batch_runner.output.heartbeat import read_heartbeat
from tests.end_to_end.conftest import KEY, lies_between, until
from tests.end_to_end.faults import SmallDisk, small_disk
from tests.end_to_end.nights import Nightly
from tests.end_to_end.test_caps import dollars

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.end_to_end.conftest import Place, ServedHere, Servers, Started

__all__ = ["small_disk"]

EVENING = "2026-11-24T22:00+01:00"
NEXT_EVENING = "2026-11-25T22:00+01:00"
QUICK = Scenario()
NEVER = Scenario(latency=Latency(seconds=Fixed(600.0)))
SLOW = Scenario(latency=Latency(seconds=Fixed(0.3)))


def statuses(place: Place, out: Path) -> dict[str, int]:
    rows = [row["status"] for row in place.by_id(out).values()]
    return {status: rows.count(status) for status in sorted(set(rows))}


def half_way(place: Place, out: Path, gateway: ServedHere, least: int = 3) -> None:
    until(lambda: place.recorded(out) >= least and gateway.books(rows=False).open >= 1, what="a run half-way through")


def nothing_bought_twice(gateway: ServedHere, kept: set[str]) -> bool:
    books = gateway.at_rest()
    return all(books.attempts[f"question {row_id[1:]}"] == 1 for row_id in kept)


def answered(place: Place, out: Path) -> set[str]:
    return {row_id for row_id, row in place.by_id(out).items() if row["status"] == "ok"}


def test_each_night_has_an_output_and_started_again_it_sends_nothing(place: Place, gateway: ServedHere) -> None:
    place.write_questions(6)
    job = Nightly.of(place, gateway)

    first, again, next_one = job.run(EVENING), job.run("2026-11-25T05:00+01:00"), job.run(NEXT_EVENING, "--night", "2026-11-20")

    assert [end.status for end in (first, again, next_one)] == [0, 0, 0]
    assert [statuses(place, job.out(day)) for day in ("2026-11-24", "2026-11-20")] == [{"ok": 6}] * 2
    assert "nothing to send" in again.err
    assert gateway.books().requests == 12
    assert place.lines(job.out("2026-11-24"))[0]["run"]["job"] == "nightly"


AtWork = tuple["Nightly", "ServedHere", "Started"]


@pytest.fixture
def at_work(place: Place, servers: Servers) -> Iterator[AtWork]:
    """A night that waits for its answers for as long as it is let."""
    place.write_questions(3)
    gateway = servers.gateway(NEVER)
    job = Nightly.of(place, gateway)
    first = job.start(EVENING)
    until(lambda: gateway.books(rows=False).open == 3, what="three requests in flight")
    yield job, gateway, first
    first.kill()


def test_a_second_start_ends_with_75_and_leaves_the_first_alone(at_work: AtWork) -> None:
    job, gateway, first = at_work

    second = job.run(NEXT_EVENING)  # the night before is still at work

    assert second.status == 75
    assert f"Error: the job nightly is held by another run (process {first.pid} on " in second.err
    assert second.err.endswith("Z); --wait waits for its turn\n")
    assert first.at_work
    assert gateway.books().requests == 3
    assert not job.out("2026-11-25").exists()


def test_a_second_start_may_wait_for_its_turn(place: Place, at_work: AtWork) -> None:
    job, gateway, first = at_work
    said = place.folder / "said"
    with said.open("wb") as stderr:
        second = job.start("2026-11-24T23:00+01:00", "--wait", stderr=stderr)
    until(lambda: b"waiting: the job nightly is held by another run" in said.read_bytes())
    gateway.plays(QUICK)

    first.kill()

    assert second.ended().status == 0
    assert statuses(place, job.out("2026-11-24")) == {"ok": 3}


def test_waiting_ends_when_the_time_is_up(at_work: AtWork) -> None:
    job, _, first = at_work

    second = job.run(EVENING, "--wait", "--max-duration", "0.3s")

    assert second.status == 7
    assert "the time is up (--max-duration 0.3s), and the job nightly is held by another run" in second.err
    assert first.at_work


def test_being_told_to_leave_ends_the_wait(place: Place, at_work: AtWork) -> None:
    job, _, first = at_work
    said = place.folder / "said"
    with said.open("wb") as stderr:
        second = job.start(EVENING, "--wait", stderr=stderr)
    until(lambda: b"waiting: " in said.read_bytes())

    second.signal(signal.SIGTERM)

    assert second.ended().status == 143
    assert b"told to leave; nothing was sent" in said.read_bytes()
    assert first.at_work


@pytest.mark.parametrize("day_starts", ["12:00", "00:00"])
def test_a_night_killed_before_midnight_goes_on_after_it_and_buys_nothing_twice(
    place: Place, servers: Servers, day_starts: str
) -> None:
    place.write_questions(10)
    gateway = servers.gateway(SLOW)
    job = Nightly.of(place, gateway, f'day_starts = "{day_starts}"')
    out = job.out("2026-11-24")
    started = job.start("2026-11-24T23:59+01:00")
    half_way(place, out, gateway)
    started.kill()
    kept = answered(place, out)
    gateway.at_rest()
    gateway.plays(QUICK)

    end = job.run("2026-11-25T00:30+01:00")

    assert end.status == 0
    assert ("going on with the night of 2026-11-24" in end.err) is (day_starts == "00:00")
    assert statuses(place, out) == {"ok": 10}
    assert not job.out("2026-11-25").exists()
    assert nothing_bought_twice(gateway, kept)
    assert lies_between(gateway.at_rest(), place.totals(out)["job"])


@pytest.mark.parametrize(
    ("evening", "over"),
    [
        pytest.param("2026-03-28T22:00+01:00", "2026-03-29T03:00+02:00", id="the short night"),
        pytest.param("2026-10-24T22:00+02:00", "2026-10-25T02:30+02:00", id="the long night"),
    ],
)
def test_a_deadline_ends_a_night_and_the_rest_is_left(place: Place, servers: Servers, evening: str, over: str) -> None:
    place.write_questions(200)
    gateway = servers.gateway(SLOW)
    job = Nightly.of(place, gateway, more='[ending]\nstop_at = "02:30"\ndrain_timeout = "1h"\n')

    end = job.run(evening, speed=20_000)
    too_late = job.run(over)

    out = job.out(evening[:10])
    beat, counts = read_heartbeat(out), place.totals(out)["job"]
    assert end.status == 7
    assert "the time is up (--stop-at " in end.err
    assert too_late.status == 7
    assert f"the night of {evening[:10]} was over at {over[11:16]}; nothing was sent" in too_late.err
    assert (beat["state"], beat["exit_status"]) == ("ended", 7)
    assert counts["unattempted"] > 100
    assert counts["ok"] + counts["unfinished"] + counts["unattempted"] == 200
    assert lies_between(gateway.at_rest(), counts)


def test_sigterm_drains_and_says_how_long_and_at_what_price(place: Place, servers: Servers) -> None:
    place.write_questions(20)
    gateway = servers.gateway(SLOW)
    job = Nightly.of(place, gateway, more='[ending]\nstop_at = "06:30"\ndrain_timeout = "90s"\n')
    out = job.out("2026-11-24")
    started = job.start(EVENING)
    half_way(place, out, gateway, 1)

    started.signal(signal.SIGTERM)
    end = started.ended()
    gateway.plays(QUICK)
    kept = answered(place, out)
    later = job.run("2026-11-24T22:30+01:00")

    assert end.status == 143
    assert re.search(r"up to 1 min 30 s for the answers on their way to \d requests?; a kill now would lose up to [1-9]", end.err)
    assert read_heartbeat(out)["exit_status"] == 0
    assert (later.status, statuses(place, out)) == (0, {"ok": 20})
    assert nothing_bought_twice(gateway, kept)


def test_a_full_disk_ends_a_night_and_the_next_start_takes_in_what_was_saved(
    place: Place, servers: Servers, small_disk: SmallDisk
) -> None:
    place.write_questions(60)
    gateway = servers.gateway(Scenario(latency=Latency(seconds=Fixed(0.01))))
    job = Nightly.of(
        place,
        gateway,
        output=f"{small_disk.folder}/{{date}}.jsonl",
        more=f'[disk]\nwait_for_space = "100ms"\nrescue_dir = "{place.folder}/safe"\n'.replace("100ms", "0.1s"),
    )

    full = job.run(EVENING)
    small_disk.resize(4096)
    later = job.run("2026-11-24T23:00+01:00")

    out = small_disk.folder / "2026-11-24.jsonl"
    assert full.status == 6
    assert later.status == 0
    assert statuses(place, out) == {"ok": 60}
    assert set(gateway.at_rest().attempts.values()) == {1}


def test_a_dead_key_ends_a_night_at_once_and_a_good_one_goes_on(place: Place, servers: Servers) -> None:
    place.write_questions(40)
    gateway = servers.gateway(Scenario(keys=("sk-another-4711",)))
    job = Nightly.of(place, gateway)
    out = job.out("2026-11-24")

    dead = job.run(EVENING)
    beat = read_heartbeat(out)
    gateway.plays(QUICK)
    later = job.run("2026-11-25T07:00+01:00")

    assert dead.status == 4
    assert KEY not in dead.err
    assert (beat["state"], beat["exit_status"]) == ("ended", 4)
    assert (later.status, statuses(place, out)) == (0, {"ok": 40})


def test_rows_that_failed_ride_along_the_next_night(place: Place, servers: Servers) -> None:
    place.write([{"id": "old", "prompt": "old question"}, {"id": "both", "prompt": "question of both nights"}])
    gateway = servers.gateway(Scenario(faults=(Fault(Canned("server_error")),)))
    job = Nightly.of(place, gateway, 'retry_failed_from = "previous"', more="[retry]\nmax_attempts = 1\n")

    first = job.run(EVENING)
    gateway.plays(QUICK)
    place.write([{"id": "new", "prompt": "new question"}, {"id": "both", "prompt": "question of both nights"}])
    second = job.run(NEXT_EVENING)
    third = job.run("2026-11-26T22:00+01:00")

    assert (first.status, second.status, third.status) == (10, 0, 0)
    assert set(place.by_id(job.out("2026-11-25"))) == {"old", "new", "both"}
    assert set(place.by_id(job.out("2026-11-26"))) == {"new", "both"}


def test_a_job_without_inputs_sends_the_failed_rows_of_an_output_again(place: Place, servers: Servers) -> None:
    place.write_questions(4)
    gateway = servers.gateway(Scenario(faults=(Fault(Canned("server_error"), prompt="question 1"),)))
    nightly = Nightly.of(place, gateway, more="[retry]\nmax_attempts = 1\n")
    again = Nightly.of(place, gateway, 'retry_failed_from = "itself"', name="again")
    again.file.write_text(again.file.read_text().replace('inputs = "prompts.jsonl"\n', ""))

    early = again.run(EVENING)
    first = nightly.run(EVENING)
    gateway.plays(QUICK)
    later = again.run("2026-11-25T07:00+01:00")

    assert early.status == 3
    assert "there is no such output yet, so none of its rows can be sent again" in early.err
    assert (first.status, later.status) == (10, 0)
    assert statuses(place, nightly.out("2026-11-24")) == {"ok": 4}
    assert gateway.books().requests == 5


def test_a_backfill_goes_on_night_after_night_and_none_costs_more_than_its_budget(place: Place, gateway: ServedHere) -> None:
    place.write_questions(100)
    job = Nightly.of(place, gateway, "max_cost_per_night = 0.02\nmax_cost_per_job = 0.05", output="results/all.jsonl")
    spent = [Decimal(0)]

    ends = []
    for evening in (EVENING, "2026-11-25T05:00+01:00", NEXT_EVENING, "2026-11-26T22:00+01:00"):
        ends.append(job.run(evening))
        spent.append(dollars(gateway.at_rest()))

    nights = [spent[2] - spent[0], spent[3] - spent[2], spent[4] - spent[3]]
    assert [end.status for end in ends] == [5, 5, 5, 5]
    assert all(cost <= Decimal("0.02") for cost in nights)
    assert spent[2] - spent[1] < Decimal("0.002")  # the same night, started again, has no budget of its own
    assert nights[1] > Decimal("0.015")
    assert spent[-1] <= Decimal("0.05")
    assert "max_cost_per_night $0.0200 is reached" in ends[0].err
    assert "max_cost_per_job $0.0500 is reached" in ends[-1].err


def test_the_budget_of_a_job_counts_the_outputs_of_all_its_nights(place: Place, gateway: ServedHere) -> None:
    place.write_questions(60)
    job = Nightly.of(place, gateway, "max_cost_per_job = 0.02")

    ends = [job.run(evening).status for evening in (EVENING, NEXT_EVENING)]

    assert ends[-1] == 5
    assert dollars(gateway.at_rest()) <= Decimal("0.02")


def test_a_night_can_be_rehearsed(place: Place, gateway: ServedHere) -> None:
    place.write_questions(5)
    job = Nightly.of(place, gateway, more='[ending]\nstop_at = "06:30"\n')
    job.run(EVENING)
    place.write_questions(8)
    before = job.out("2026-11-24").read_bytes()

    end = job.run("2026-11-24T23:00+01:00", "--dry-run")
    document = job.run("2026-11-24T23:00+01:00", "--dry-run", "--json").document

    assert end.status == 0
    assert "8 rows: 3 new, 5 done" in end.out
    assert "stops      2026-11-25 06:30 CET" in end.out
    assert "if every answer used its whole cap" in end.out
    assert "before nothing new is sent (--stop-at 06:30)" in end.out
    assert (document["job"]["night"], document["rows"]["new"]) == ("2026-11-24", 3)
    assert gateway.books().requests == 5
    assert job.out("2026-11-24").read_bytes() == before
    assert not job.out("2026-11-25").exists()


def test_a_run_without_a_job_has_deadlines_too(place: Place, servers: Servers) -> None:
    place.write_questions(40)
    gateway = servers.gateway(SLOW)
    asks = ("--endpoint", gateway.url, "-c", "4", "--max-completion-tokens", "500")

    end = place.run("run", place.prompts, *asks, "--max-duration", "1s")
    gateway.plays(QUICK)
    later = place.run("run", place.prompts, *asks)

    assert end.status == 7
    assert "the time is up (--max-duration 1s); the same command goes on with the rest" in end.err
    assert "next     batch-runner run" in end.err
    assert later.status == 0
    assert len(place.rows()) == 40


def test_systemd_hears_of_a_run_from_its_start_to_its_end(place: Place, servers: Servers) -> None:
    place.write_questions(12)
    gateway = servers.gateway(SLOW)
    job = Nightly.of(place, gateway)
    address = place.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        started = place.start("job", "run", job.file, env={"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "600000"})
        until(lambda: gateway.books(rows=False).requests >= 5)

        started.signal(signal.SIGTERM)
        end = started.ended()
        manager.setblocking(False)
        told: list[list[str]] = []
        with suppress(BlockingIOError):
            while True:
                told.append(manager.recv(65536).decode().split("\n"))

    lines = [line for datagram in told for line in datagram]
    assert end.status == 143
    assert told[0][0] == "READY=1"
    assert lines.count("WATCHDOG=1") >= 2
    assert any("rows" in line for line in lines if line.startswith("STATUS="))
    assert lines.index("STOPPING=1") > lines.index("WATCHDOG=1")
    assert "EXTEND_TIMEOUT_USEC=60000000" in lines[lines.index("STOPPING=1") :]


def test_a_start_that_has_to_give_way_was_ready_first(place: Place, at_work: AtWork) -> None:
    """Under `Type=notify`, a service that ends well before it was ready counts as failed."""
    job, _, first = at_work
    address = place.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))

        second = place.run("job", "run", job.file, env={"NOTIFY_SOCKET": str(address)})

        assert manager.recv(65536).startswith(b"READY=1")
    assert second.status == 75
    assert first.at_work
