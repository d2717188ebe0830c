"""Told to leave, a run records what was on its way, says what it waits for, and the same command goes on."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

import pytest

from batch_runner import run_file
from batch_runner.fake_server import Canned, Fault, Fixed, Latency, Scenario
from batch_runner.leaving import WaitEndedError, Waits
from tests.end_to_end.conftest import lies_between, until

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Ended, Place, Served, Servers, Started

SLOW = Scenario(latency=Latency(seconds=Fixed(0.3)))
STUCK = Scenario(latency=Latency(seconds=Fixed(50)))
QUICK = Scenario()


def run(place: Place, gateway: Served, *more: str) -> tuple[str, ...]:
    return ("run", str(place.prompts), "--endpoint", gateway.url, "-c", "4", "--max-completion-tokens", "700", *more)


def in_flight(gateway: Served, count: int) -> None:
    until(lambda: gateway.books(rows=False).open >= count, what=f"{count} requests in flight")


def signalled(started: Started, *numbers: signal.Signals, pause: float = 0.15) -> tuple[Ended, float]:
    """How a command ended after signals, and how long after the last one."""
    for place_in_line, number in enumerate(numbers):
        if place_in_line:
            time.sleep(pause)
        started.signal(number)
    sent_at = time.monotonic()
    end = started.ended()
    return end, time.monotonic() - sent_at


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_lets_the_answers_on_their_way_arrive_and_the_same_command_goes_on(
    place: Place, servers: Servers, number: signal.Signals, status: int
) -> None:
    place.write_questions(20)
    gateway = servers.gateway(SLOW)
    started = place.start(*run(place, gateway))
    in_flight(gateway, 4)

    end, _ = signalled(started, number)

    recorded = {row["id"] for row in place.rows()}
    assert end.status == status
    assert gateway.books().requests == len(recorded) == gateway.books().outcomes["ok"]
    assert {row["status"] for row in place.rows()} == {"ok"}
    assert place.totals()["job"]["unattempted"] == 20 - len(recorded) > 0
    gateway.plays(QUICK)
    assert place.run(*run(place, gateway)).status == 0
    assert gateway.books().requests == 20
    assert len(place.rows()) == 20


def test_the_first_signal_is_answered_at_once_with_what_it_waits_for_and_how_to_leave_now(place: Place, servers: Servers) -> None:
    place.write_questions(8)
    gateway = servers.gateway(SLOW)
    started = place.start(*run(place, gateway, "--drain-timeout", "90s"))
    in_flight(gateway, 4)

    end, _ = signalled(started, signal.SIGINT)

    told = next(line for line in end.err.splitlines() if line.startswith("leaving"))
    assert "answers on their way" in told
    assert "1 min 30 s" in told
    assert "Again: leave now" in told
    assert f"next     batch-runner run {place.prompts}" in end.err
    assert end.out == ""


def test_a_second_signal_leaves_at_once_and_counts_what_was_in_flight_at_its_worst(place: Place, servers: Servers) -> None:
    place.write_questions(6)
    gateway = servers.gateway(STUCK)
    started = place.start(*run(place, gateway))
    in_flight(gateway, 4)

    end, seconds = signalled(started, signal.SIGINT, signal.SIGINT)

    assert end.status == 130
    assert seconds < 5.0  # not the minutes that answers may take
    rows = place.rows()
    assert [row["status"] for row in rows] == ["unfinished"] * 4
    assert [row["failure"] for row in rows] == ["interrupted"] * 4
    assert [row["maybe_billed"]["completion_tokens"] for row in rows] == [700] * 4
    assert place.totals()["job"]["maybe_billed"]["completion_tokens"] == 4 * 700
    assert place.totals()["job"]["unfinished"] == 4
    assert place.totals()["job"]["unattempted"] == 2


def test_after_a_second_signal_the_same_command_finishes_and_the_bill_lies_between_the_totals(
    place: Place, servers: Servers
) -> None:
    place.write_questions(6)
    gateway = servers.gateway(Scenario(latency=Latency(seconds=Fixed(0.8))))
    started = place.start(*run(place, gateway))
    in_flight(gateway, 4)
    signalled(started, signal.SIGTERM, signal.SIGTERM)
    gateway.plays(QUICK)

    end = place.run(*run(place, gateway))

    assert end.status == 0
    assert {row["status"] for row in place.rows()} == {"ok"}
    assert len(place.rows()) == 6
    assert lies_between(gateway.at_rest(), place.totals()["job"])
    assert place.by_id()["r0"]["attempts"][0]["outcome"] == "interrupted"
    assert place.by_id()["r0"]["maybe_billed"]["completion_tokens"] == 700


@pytest.mark.parametrize(("error", "sent"), [("server_error", 3), ("rate_limit_exceeded", 1)])
def test_rows_that_wait_for_a_retry_become_unfinished_at_once(place: Place, servers: Servers, error: str, sent: int) -> None:
    place.write_questions(3)
    gateway = servers.gateway(Scenario(faults=(Fault(Canned(error, headers={"retry-after": "40"})),)))
    started = place.start(*run(place, gateway))
    until(lambda: gateway.books(rows=False).requests >= sent)
    time.sleep(0.1)

    end, seconds = signalled(started, signal.SIGINT)

    assert end.status == 130
    assert seconds < 5.0  # not the minutes that answers may take
    assert [row["status"] for row in place.rows()] == ["unfinished"] * sent
    gateway.plays(QUICK)
    assert place.run(*run(place, gateway)).status == 0
    assert gateway.books().requests == 3 + sent
    assert [row["attempts"][-1]["outcome"] for row in place.rows()] == ["ok"] * 3
    assert sum(len(row["attempts"]) for row in place.rows()) == 3 + sent


def test_rows_that_wait_for_the_pace_are_left_unattempted_at_once(place: Place, servers: Servers) -> None:
    place.write_questions(5)
    gateway = servers.gateway(QUICK)
    started = place.start(*run(place, gateway, "--rpm", "2"))
    until(lambda: place.recorded() >= 1)

    end, seconds = signalled(started, signal.SIGINT)

    assert end.status == 130
    assert seconds < 5.0  # not the minutes that answers may take
    assert len(place.rows()) == gateway.books().requests < 5


def test_the_drain_timeout_ends_the_wait_for_answers(place: Place, servers: Servers) -> None:
    place.write_questions(6)
    gateway = servers.gateway(STUCK)
    started = place.start(*run(place, gateway, "--drain-timeout", "0.4s"))
    in_flight(gateway, 4)

    end, seconds = signalled(started, signal.SIGTERM)

    assert end.status == 143
    assert 0.3 < seconds < 5.0
    assert [row["status"] for row in place.rows()] == ["unfinished"] * 4


def test_a_row_the_service_fails_while_the_run_leaves_is_unfinished_and_not_failed(place: Place, servers: Servers) -> None:
    place.write_questions(8)
    gateway = servers.gateway(Scenario(faults=(Fault(Canned("server_error"), delay=2.0),)))
    started = place.start(*run(place, gateway, "--max-attempts", "1"))
    in_flight(gateway, 4)

    end, _ = signalled(started, signal.SIGINT)

    assert end.status == 130
    assert {(row["status"], row["failure"]) for row in place.rows()} == {("unfinished", "server_error")}


def test_a_signal_before_the_first_request_sends_nothing(place: Place, servers: Servers) -> None:
    place.write_questions(4000)
    gateway = servers.gateway(SLOW)
    started = place.start(*run(place, gateway))
    until((place.folder / "prompts.results.jsonl.lock").exists)

    end, _ = signalled(started, signal.SIGINT)

    assert end.status == 130
    assert "Traceback" not in end.err
    assert gateway.at_rest().requests <= 4


async def test_setting_stop_drains_a_run_inside_a_program(place: Place, servers: Servers) -> None:
    place.write_questions(20)
    gateway = servers.gateway(SLOW)
    stop = asyncio.Event()
    running = asyncio.create_task(run_file(place.prompts, endpoint=gateway.url, concurrency=4, stop=stop))
    await asyncio.to_thread(in_flight, gateway, 4)

    stop.set()
    report = await running

    assert report.exit_status == 130
    assert {row["status"] for row in place.rows()} == {"ok"}
    assert len(place.rows()) == gateway.books().requests < 20
    assert report.totals.rows["unattempted"] == 20 - len(place.rows())


async def test_a_stop_that_is_set_beforehand_sends_nothing(place: Place, servers: Servers) -> None:
    place.write_questions(5)
    gateway = servers.gateway()
    stop = asyncio.Event()
    stop.set()

    report = await run_file(place.prompts, endpoint=gateway.url, stop=stop)

    assert report.exit_status == 130
    assert gateway.books().requests == 0


async def test_a_cancelled_run_leaves_an_output_that_the_same_call_finishes(place: Place, servers: Servers) -> None:
    place.write_questions(20)
    gateway = servers.gateway(Scenario(latency=Latency(seconds=Fixed(0.1))))
    running = asyncio.create_task(run_file(place.prompts, endpoint=gateway.url, concurrency=4, max_completion_tokens=700))
    await asyncio.to_thread(until, lambda: place.recorded() >= 4)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    kept = {row["id"] for row in place.rows() if row["status"] == "ok"}
    before = await asyncio.to_thread(gateway.at_rest)
    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=4, max_completion_tokens=700)

    books = gateway.books()
    assert report.exit_status == 0
    assert len(place.rows()) == 20
    assert all(books.attempts[f"question {row_id[1:]}"] == before.attempts[f"question {row_id[1:]}"] for row_id in kept)
    assert lies_between(books, place.totals()["job"])


async def test_waits_can_be_ended_twice_in_one_breath() -> None:
    waits = Waits()
    waiting = asyncio.create_task(waits.sleep(10))
    await asyncio.sleep(0)

    waits.end()
    await asyncio.sleep(0)  # the wait is expiring now, and has not ended yet
    waits.end()

    with pytest.raises(WaitEndedError):
        await waiting
