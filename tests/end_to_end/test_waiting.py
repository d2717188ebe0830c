"""Pauses and outages as the service sees them: nobody inside a pause, few while it is down, no storm when it is back."""

from __future__ import annotations

import asyncio
import signal
import time
from email.utils import formatdate
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from batch_runner import retry, run_file
from batch_runner.admission import outage
from batch_runner.fake_server import Canned, Cut, FakeGateway, Fault, Fixed, Html, Latency, Scenario, Status
from tests.end_to_end.conftest import until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.end_to_end.conftest import Place, ServedHere, Servers

ON_THE_WIRE = 0.06
"""Seconds in which a refusal may not have been heard yet."""


@pytest.fixture
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries and probes at a twentieth of their distance."""
    monkeypatch.setattr(retry, "BASE_SECONDS", 0.05)
    monkeypatch.setattr(outage, "FIRST_GAP", 0.05)
    monkeypatch.setattr(outage, "MOST_GAP", 0.2)
    monkeypatch.setattr(outage, "LONG_ENOUGH_SECONDS", 0.25)


hasty = pytest.mark.usefixtures("_hasty")


def arrivals(gateway: ServedHere) -> list[float]:
    """When requests came, in seconds of the gateway."""
    rows = gateway.books().told["rows"].values()
    return sorted(attempt["at"] for row in rows for attempt in row["attempts"])


def slow(*faults: Fault, seconds: float = 0.02) -> Scenario:
    return Scenario(faults=faults, latency=Latency(seconds=Fixed(seconds)))


def down(action: Any, *, after: float, until: float) -> Fault:
    """Whatever comes in that time meets this."""
    return Fault(action, after=after, until=until)


# pauses


def too_fast(words: str) -> Status:
    return Status(429, {"error": {"message": f"Slow. {words}", "type": "requests", "code": "rate_limit_exceeded"}})


def told(name: str, value: str) -> Canned:
    return Canned("slow_down", headers={name: value})


@pytest.mark.parametrize(
    ("action", "least", "most"),
    [
        pytest.param(lambda: told("retry-after-ms", "400"), 0.4, 1.0, id="milliseconds"),
        pytest.param(lambda: told("retry-after", "1"), 1.0, 1.6, id="seconds"),
        pytest.param(lambda: told("retry-after", formatdate(time.time() + 3, usegmt=True)), 0.9, 3.6, id="a date"),
        pytest.param(lambda: too_fast("Please try again in 600ms."), 0.6, 1.2, id="words"),
        pytest.param(lambda: too_fast("Please retry after 1 seconds."), 1.0, 1.6, id="Azure's words"),
        pytest.param(lambda: told("retry-after", "0"), 0.1, 0.7, id="zero"),
        pytest.param(lambda: told("retry-after", "-7"), 0.1, 0.7, id="negative"),
        pytest.param(lambda: Canned("overloaded", headers={"retry-after-ms": "500"}), 0.5, 1.2, id="a 503 that asks to wait"),
    ],
)
async def test_nobody_sends_inside_a_pause(place: Place, servers: Servers, action: Any, least: float, most: float) -> None:
    place.write_questions(40)
    gateway = servers.gateway(slow(Fault(action(), times=1, first_request=9)))

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=8)

    times = arrivals(gateway)
    refused = next(
        attempt["at"] for row in gateway.books().told["rows"].values() for attempt in row["attempts"] if attempt["status"] > 400
    )
    back = min(at for at in times if at > refused + ON_THE_WIRE)
    assert report.exit_status == 0
    assert least <= back - refused <= most
    assert sum(at > refused for at in times) >= 20


async def test_a_pause_that_begins_while_one_waits_at_the_door_holds_it_back_too(place: Place, servers: Servers) -> None:
    place.write_questions(30)
    gateway = servers.gateway(slow(Fault(told("retry-after-ms", "500"), times=1, first_request=3)))

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=30, rpm=1200)

    times = arrivals(gateway)
    assert report.exit_status == 0
    assert max(later - sooner for sooner, later in pairwise(times)) >= 0.45
    assert [at for at in times if times[2] + ON_THE_WIRE + 0.05 < at < times[2] + 0.5] == []


async def test_who_asks_for_longer_than_the_run_may_wait_ends_it_at_once_and_resumably(place: Place, servers: Servers) -> None:
    place.write_questions(30)
    gateway = servers.gateway(slow(Fault(told("retry-after", "3700"), first_request=6)))
    began = time.monotonic()

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=2)
    gateway.plays(Scenario())
    again = await run_file(place.prompts, endpoint=gateway.url)

    assert time.monotonic() - began < 60
    assert report.exit_status == 4
    assert report.reason.startswith("rate_limited: the service asks to wait 3,700 s")
    assert report.totals.rows["failed"] == 0
    assert report.totals.rows["ok"] == 5
    assert again.exit_status == 0


def test_a_long_pause_is_shown_with_its_end_and_can_be_left(place: Place, servers: Servers) -> None:
    place.write_questions(10)
    gateway = servers.gateway(slow(Fault(told("retry-after", "3500"), first_request=3)))
    started = place.start("run", place.prompts, "--endpoint", gateway.url, "-c", "1")
    heartbeat = place.out.with_name(place.out.name + ".status.json")
    until(lambda: heartbeat.exists() and b'"pause_left_s": 34' in heartbeat.read_bytes(), what="a beat of the pause")

    status = place.run("status", place.out)
    started.signal(signal.SIGINT)
    end = started.ended()

    assert end.status == 130
    assert "the service asks to wait 58 min" in end.err
    assert ", until 20" in end.err
    assert "told to wait 58 min" in status.out
    assert gateway.books().requests == 3


@pytest.mark.parametrize(
    ("action", "headers", "attempts"),
    [
        pytest.param("server_error", {"x-should-retry": "false"}, 1, id="a 500 that won't pass"),
        pytest.param("rate_limit_exceeded", {"x-should-retry": "false"}, 1, id="a 429 that won't pass"),
        pytest.param("unprocessable", {"x-should-retry": "true"}, 3, id="a 422 that may pass"),
    ],
)
@hasty
async def test_what_the_service_says_of_trying_again_is_obeyed(
    place: Place, servers: Servers, action: str, headers: Mapping[str, str], attempts: int
) -> None:
    place.write([{"id": "a", "prompt": "the culprit"}, {"id": "b", "prompt": "two"}])
    gateway = servers.gateway(slow(Fault(Canned(action, headers=headers), prompt="culprit")))

    report = await run_file(place.prompts, endpoint=gateway.url, max_attempts=3)

    assert report.exit_status == 10
    assert gateway.books().attempts["the culprit"] == attempts
    assert place.by_id()["a"]["status"] == "failed"


async def test_a_row_that_is_refused_for_too_long_is_given_up(place: Place, servers: Servers) -> None:
    place.write([{"id": "a", "prompt": "the culprit"}, {"id": "b", "prompt": "two"}])
    gateway = servers.gateway(slow(Fault(told("retry-after-ms", "150"), prompt="culprit")))

    report = await run_file(place.prompts, endpoint=gateway.url, max_row_wait=0.6, max_attempts=1)

    rows = place.by_id()
    assert report.exit_status == 10
    assert (rows["a"]["status"], rows["a"]["failure"], rows["b"]["status"]) == ("failed", "rate_limited", "ok")
    assert 2 <= gateway.books().attempts["the culprit"] <= 6


async def test_a_limit_that_a_gateway_names_is_kept_from_then_on(place: Place, servers: Servers) -> None:
    place.write_questions(16)
    words = {"error": {"message": "您已达到总请求数限制：1分钟内最多请求600次", "type": "new_api_error", "code": ""}}
    gateway = servers.gateway(slow(Fault(Status(429, words), times=1, first_request=4), seconds=0.001))

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=1)

    late = arrivals(gateway)[-8:]
    assert report.exit_status == 0
    assert late[-1] - late[0] >= 0.6


# outages


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(Canned("overloaded"), id="503"),
        pytest.param(Canned("server_error"), id="500"),
        pytest.param(Html(status=502), id="a proxy's page"),
        pytest.param(Cut(reset=True), id="resets"),
        pytest.param(Cut(inside=True), id="half answers"),
        pytest.param(Canned("gateway_no_channel"), id="no channel"),
    ],
)
@pytest.mark.parametrize("max_attempts", [2, 5])
@hasty
async def test_an_outage_is_waited_out_and_costs_no_row_its_attempts(
    place: Place, servers: Servers, action: Any, max_attempts: int
) -> None:
    place.write_questions(300)
    gateway = servers.gateway(slow(down(action, after=0.3, until=1.3)))

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=8, max_attempts=max_attempts)

    assert report.exit_status == 0, place.totals()
    assert {row["status"] for row in place.rows()} == {"ok"}
    times = arrivals(gateway)
    began = min((at for at in times if at > 0.3), default=0.3)
    assert sum(began + 0.5 < at < 1.3 for at in times) <= 12


@hasty
async def test_a_service_that_comes_back_is_not_stormed(place: Place, servers: Servers) -> None:
    place.write_questions(300)
    gateway = servers.gateway(slow(down(Canned("overloaded"), after=0.4, until=1.2), seconds=0.1))

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=32)

    times = [at for at in arrivals(gateway) if at >= 1.2]
    assert report.exit_status == 0
    assert [sum(at < times[0] + span for at in times) for span in (0.09, 0.19, 0.29)] <= [1, 4, 10]
    assert sum(at < times[0] + 1.0 for at in times) >= 30


@hasty
async def test_nobody_there_for_a_while_is_an_outage_too(place: Place) -> None:
    place.write_questions(200)
    async with FakeGateway(slow()) as before:
        url, port = before.url, int(before.url.split(":")[2].split("/")[0])
        run = asyncio.create_task(run_file(place.prompts, endpoint=url, concurrency=4))
        while before.books.tally.requests < 40:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.8)

    async with FakeGateway(slow(), port=port) as after:
        report = await run
        answered = before.books.tally.delivered.answers + after.books.tally.delivered.answers

    assert report.exit_status == 0
    assert answered == 200


@hasty
async def test_an_outage_that_lasts_longer_than_the_run_may_wait_ends_it_resumably(place: Place, servers: Servers) -> None:
    place.write_questions(100)
    gateway = servers.gateway(slow(down(Canned("overloaded"), after=0.2, until=99)))

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=4, max_wait=0.8)
    gateway.plays(Scenario())
    again = await run_file(place.prompts, endpoint=gateway.url)

    assert report.exit_status == 4
    assert report.reason.startswith("overloaded: no answer for 1 s")
    assert report.totals.rows["failed"] == 0
    assert again.exit_status == 0


@pytest.mark.parametrize("count", [10, 40])
@hasty
async def test_rows_that_fail_whatever_happens_do_not_keep_a_run_waiting(place: Place, servers: Servers, count: int) -> None:
    place.write_questions(200)
    with place.prompts.open("a") as prompts:
        prompts.writelines(f'{{"id": "bad{number}", "prompt": "culprit {number}"}}\n' for number in range(count))
        prompts.writelines(f'{{"id": "good{number}", "prompt": "and then {number}"}}\n' for number in range(count))
    gateway = servers.gateway(slow(Fault(Canned("server_error"), prompt="culprit")))
    began = time.monotonic()

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=4, max_attempts=3)

    assert time.monotonic() - began < 60
    assert report.exit_status == 10
    assert report.totals.rows == {"ok": 200 + count, "failed": count}
    assert all(3 <= gateway.books().attempts[f"culprit {number}"] <= 5 for number in range(count))


@hasty
async def test_ten_such_rows_at_the_very_end_neither(place: Place, servers: Servers) -> None:
    place.write_questions(20)
    with place.prompts.open("a") as prompts:
        prompts.writelines(f'{{"id": "bad{number}", "prompt": "culprit {number}"}}\n' for number in range(10))
    gateway = servers.gateway(slow(Fault(Canned("server_error"), prompt="culprit")))

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=10)

    assert report.exit_status == 10
    assert report.totals.rows == {"ok": 20, "failed": 10}


def test_an_outage_is_told_and_so_is_its_end(place: Place, servers: Servers) -> None:
    place.write_questions(60)
    gateway = servers.gateway(slow(down(Canned("overloaded"), after=1.5, until=8.5), seconds=0.25))
    started = place.start("run", place.prompts, "--endpoint", gateway.url, "-c", "8")
    heartbeat = place.out.with_name(place.out.name + ".status.json")
    until(
        lambda: heartbeat.exists() and b'"outage_s": 0.0' not in heartbeat.read_bytes() and b"outage_s" in heartbeat.read_bytes()
    )

    status = place.run("status", place.out)
    end = started.ended(seconds=40)

    assert end.status == 0, end.err
    assert "the service doesn't answer (overloaded): one request now and then looks for it" in end.err
    assert "going on" in end.err
    assert "no answer for" in status.out
