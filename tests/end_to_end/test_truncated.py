"""Rows whose answer was cut off: kept, or asked again with a larger cap, and never blindly bought again."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from batch_runner.fake_server import AnswerStyle, Fault, Fixed, Latency, Scenario
from batch_runner.fake_server import Status as Answer
from tests.end_to_end.conftest import lies_between, until

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Place, ServedHere, Servers

LONG = AnswerStyle(visible=Fixed(20), reasoning=Fixed(900))
"""Answers take about 920 tokens."""
GROW = ("--on-truncated", "grow")


@pytest.fixture
def gateway(servers: Servers) -> ServedHere:
    """One whose answers need about 920 tokens."""
    return servers.gateway(Scenario(answers=LONG))


def command(gateway: ServedHere, *flags: str) -> tuple[str, ...]:
    return ("--endpoint", gateway.url, "--max-completion-tokens", "300", *flags)


def outcomes(row: dict[str, Any]) -> list[tuple[str, int]]:
    return [(attempt["outcome"], attempt["n"]) for attempt in row["attempts"]]


def test_by_itself_a_truncated_row_is_kept_and_bought_once(place: Place, gateway: ServedHere) -> None:
    place.write_questions(3)

    ends = [place.run("run", place.prompts, *command(gateway)) for _ in range(2)]

    assert [end.status for end in ends] == [10, 10]
    assert gateway.books().requests == 3
    assert {row["status"] for row in place.rows()} == {"truncated"}
    assert "nothing to send" in ends[1].err


def test_grow_asks_again_with_larger_caps_until_the_answer_is_whole(place: Place, gateway: ServedHere) -> None:
    place.write_questions(3)

    end = place.run("run", place.prompts, *command(gateway, *GROW))

    assert end.status == 0, end.err
    for row in place.rows():
        assert (row["status"], row["max_completion_tokens"]) == ("ok", 1200)
        assert outcomes(row) == [("truncated", 2), ("ok", 1)]
        assert row["spent"]["completion_tokens"] == 300 + 600 + row["usage"]["completion_tokens"]
    assert gateway.books().billed["total_tokens"] == place.totals()["job"]["tokens"]["total_tokens"]


def test_a_grown_row_is_the_same_row_and_is_not_bought_again(place: Place, gateway: ServedHere) -> None:
    place.write_questions(3)
    place.run("run", place.prompts, *command(gateway, *GROW))
    before, requests = place.out.read_bytes(), gateway.books().requests

    ends = [place.run("run", place.prompts, *command(gateway, *more)) for more in (GROW, (), ("--max-completion-tokens", "90"))]

    assert [end.status for end in ends] == [0, 0, 0]
    assert gateway.books().requests == requests
    assert place.out.read_bytes() == before


def test_the_factor_and_the_models_most_bound_the_growth(place: Place, servers: Servers) -> None:
    gateway = servers.gateway(Scenario(answers=AnswerStyle(reasoning=Fixed(200_000))))
    place.write_questions(1)

    end = place.run("run", place.prompts, *command(gateway, *GROW, "--grow-factor", "30"))

    (row,) = place.rows()
    assert end.status == 10
    assert (row["status"], row["max_completion_tokens"], outcomes(row)) == ("truncated", 65_536, [("truncated", 3)])
    again = place.run("retry", place.out, "--only", "truncated")
    assert "1 row cut off at the most that the model writes" in again.err
    assert gateway.books().requests == 3


def test_a_retry_of_truncated_rows_is_never_the_same_request_again(place: Place, gateway: ServedHere) -> None:
    place.write_questions(2)
    place.run("run", place.prompts, *command(gateway))

    dry = place.run("retry", place.out, "--only", "truncated", "--dry-run")
    once = place.run("retry", place.out, "--only", "truncated")
    after_one = [row["max_completion_tokens"] for row in place.rows()]
    twice = place.run("retry", place.out, "--only", "truncated", *GROW, "--grow-factor", "1.5")

    assert '"max_completion_tokens":600' in dry.out
    assert (once.status, after_one, twice.status) == (10, [600, 600], 0)
    assert [(row["status"], row["max_completion_tokens"]) for row in place.rows()] == [("ok", 1350)] * 2
    assert outcomes(place.rows()[0]) == [("truncated", 3), ("ok", 1)]


def test_an_answer_that_was_paid_for_stands_when_the_larger_request_fails(place: Place, servers: Servers) -> None:
    refusing = Fault(Answer(400, {"error": {"message": "max_tokens is too large", "param": "max_tokens"}}), attempts=(2,))
    gateway = servers.gateway(Scenario(answers=LONG, faults=(refusing,)))
    place.write_questions(1)

    end = place.run("run", place.prompts, *command(gateway, *GROW))

    (row,) = place.rows()
    assert end.status == 10
    assert (row["status"], row["max_completion_tokens"], row["failure"]) == ("truncated", 300, "")
    assert outcomes(row) == [("truncated", 1), ("bad_request", 1)]
    assert row["usage"]["completion_tokens"] == row["spent"]["completion_tokens"] == 300


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_the_run_while_it_asks_again_keeps_what_came(place: Place, servers: Servers, how: signal.Signals) -> None:
    gateway = servers.gateway(Scenario(answers=LONG))
    place.write_questions(4)
    slow = Scenario(answers=LONG, latency=Latency(seconds=Fixed(0.5)))
    started = place.start("run", place.prompts, *command(gateway, *GROW, "-c", "1"))
    until(lambda: gateway.books(rows=False).requests >= 3)
    gateway.plays(slow)

    started.signal(how)
    started.ended()
    gateway.at_rest()

    assert place.run("status", place.out, "--verify").status == 0
    place.run("run", place.prompts, *command(gateway, *GROW))
    assert max(gateway.books().attempts.values()) <= 3 + (how is signal.SIGKILL)
    assert lies_between(gateway.at_rest(), place.run("status", place.out, "--json").document["job"])


def test_a_cap_on_cost_holds_while_caps_grow(place: Place, gateway: ServedHere) -> None:
    place.write_questions(40)

    end = place.run("run", place.prompts, *command(gateway, *GROW, "-c", "32", "--max-total-tokens", "20000"))

    assert end.status == 5
    assert 0.9 * 20_000 <= gateway.at_rest().billed["total_tokens"] <= 20_000


def test_what_truncated_answers_cost_is_in_the_totals(place: Place, gateway: ServedHere) -> None:
    place.write([{"id": "a", "prompt": "a", "max_completion_tokens": 2000}, {"id": "b", "prompt": "b"}])

    place.run("run", place.prompts, *command(gateway))
    first = place.totals()
    place.run("retry", place.out, "--only", "truncated", *GROW)
    second = place.totals()

    assert '"completion_tokens":300' in first["run"]["truncated_tokens"]
    assert second["job"]["truncated_tokens"] == "{}"
    assert '"completion_tokens":900' in second["job"]["in_vain"]
