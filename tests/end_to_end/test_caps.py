"""Caps on cost: kept by the gateway's own books, through kills, resumes and lost answers."""

from __future__ import annotations

import signal
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

import pytest

from batch_runner.fake_server import Canned, Cut, Fault, Latency, Scenario, Uniform
from tests.end_to_end.conftest import until

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Books, Place, ServedHere, Servers

ROWS = 300
ANSWERS = ("--max-completion-tokens", "500")
TROUBLED = Scenario(
    latency=Latency(seconds=Uniform(0.0, 0.02)),
    faults=(Fault(Cut(inside=True), probability=0.05), Fault(Canned("server_error"), probability=0.1)),
)


def dollars(books: Books) -> Decimal:
    """What the service bills, at the list prices of o1-mini: US dollars for a million tokens."""
    billed = books.billed
    return (billed["prompt_tokens"] * Decimal("1.10") + billed["completion_tokens"] * Decimal("4.40")) / 1_000_000


def has_seen(gateway: ServedHere, least: int) -> bool:
    return gateway.books(rows=False).requests >= least


def test_a_cap_on_cost_is_never_passed_and_well_used(place: Place, servers: Servers) -> None:
    place.write_questions(ROWS)
    gateway = servers.gateway(Scenario())

    end = place.run("run", place.prompts, "--endpoint", gateway.url, *ANSWERS, "-c", "64", "--max-cost", "0.08")

    assert end.status == 5
    assert "--max-cost $0.0800 is reached" in end.err
    assert Decimal("0.95") * Decimal("0.08") <= dollars(gateway.at_rest()) <= Decimal("0.08")
    assert "next     batch-runner run" in end.err


def test_a_cap_on_tokens_holds_over_all_runs_of_an_output(place: Place, servers: Servers) -> None:
    place.write_questions(ROWS)
    gateway = servers.gateway(TROUBLED)
    command = ("run", place.prompts, "--endpoint", gateway.url, *ANSWERS, "-c", "64")

    statuses = [place.run(*command, "--max-total-tokens", str(cap)).status for cap in (8_000, 8_000, 16_000)]

    assert statuses == [5, 5, 5]
    assert gateway.at_rest().billed["total_tokens"] <= 16_000


def test_a_cap_holds_through_kills(place: Place, servers: Servers) -> None:
    place.write_questions(ROWS)
    gateway = servers.gateway(TROUBLED)
    command = ("run", place.prompts, "--endpoint", gateway.url, *ANSWERS, "-c", "16", "--max-total-tokens", "60000")

    for least in (20, 40):
        started = place.start(*command)
        until(partial(has_seen, gateway, least))
        started.process.kill()
        started.process.wait()
    end = place.run(*command)

    assert end.status == 5
    assert gateway.at_rest().billed["total_tokens"] <= 60_000


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_where_nothing_may_have_been_billed_totals_are_the_gateways_to_the_token(
    place: Place, servers: Servers, how: signal.Signals
) -> None:
    place.write_questions(120)
    refusing = (Fault(Canned("server_error"), probability=0.2), Fault(Canned("rate_limited"), probability=0.1))
    gateway = servers.gateway(Scenario(latency=Latency(seconds=Uniform(0.0, 0.05)), faults=refusing))
    command = ("run", place.prompts, "--endpoint", gateway.url, *ANSWERS, "-c", "8", "--max-attempts", "20")

    started = place.start(*command)
    until(partial(has_seen, gateway, 40))
    started.signal(how)
    started.ended()
    end = place.run(*command)

    job = place.totals()["job"]
    billed = gateway.at_rest().billed
    assert end.status == 0, end.err
    if how is signal.SIGINT:
        assert job["maybe_billed"]["total_tokens"] == 0
        assert billed == {name: job["tokens"][name] for name in billed}
    assert all(job["tokens"][name] <= billed[name] <= job["tokens"][name] + job["maybe_billed"][name] for name in billed)
    assert place.run("status", place.out, "--verify").status == 0


def test_a_row_that_does_not_fit_waits_and_the_user_reads_why(place: Place, servers: Servers) -> None:
    place.write_questions(40)
    gateway = servers.gateway(Scenario(latency=Latency(seconds=Uniform(0.05, 0.1))))

    end = place.run("run", place.prompts, "--endpoint", gateway.url, *ANSWERS, "-c", "32", "--max-total-tokens", "4000")

    assert end.status == 5
    assert gateway.at_rest().requests > 7


def test_a_cap_that_is_reached_lets_no_start_grow_the_output(place: Place, servers: Servers) -> None:
    place.write_questions(ROWS)
    gateway = servers.gateway(Scenario())
    command = ("run", place.prompts, "--endpoint", gateway.url, *ANSWERS, "--max-total-tokens", "3000")
    first = place.run(*command)
    before, requests = place.out.read_bytes(), gateway.books().requests

    again = [place.run(*command) for _ in range(2)]
    too_small = place.run("run", place.prompts, "-o", "new.jsonl", "--endpoint", gateway.url, "--max-total-tokens", "10")

    assert [end.status for end in (first, *again, too_small)] == [5, 5, 5, 5]
    assert "--max-total-tokens 3,000 is reached" in again[0].err
    assert again[0].err.splitlines()[-1].endswith("--max-total-tokens 6000")
    assert place.out.read_bytes() == before
    assert not (place.folder / "new.jsonl").exists()
    assert gateway.books().requests == requests


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        pytest.param(
            ("-m", "mystery", "--max-cost", "1"), "nobody here knows how long an answer of 'mystery' can get", id="longest answer"
        ),
        pytest.param(("-m", "mystery", *ANSWERS, "--max-cost", "1"), "nobody here knows what 'mystery' costs", id="price"),
        pytest.param(("--max-cost", "none"), "isn't an amount of US dollars", id="no amount"),
    ],
)
def test_a_cap_that_could_not_be_kept_is_refused_before_anything_is_sent(
    place: Place, servers: Servers, flags: tuple[str, ...], told: str
) -> None:
    place.write_questions(2)
    gateway = servers.gateway(Scenario())

    end = place.run("run", place.prompts, "--endpoint", gateway.url, *flags)

    assert end.status in {2, 3}
    assert told in end.err
    assert gateway.books().requests == 0
    assert not place.out.exists()
