"""`--pilot N` as people use it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest

from batch_runner.fake_server import Fixed, Latency, Scenario
from tests.end_to_end.conftest import until
from tests.end_to_end.nights import Nightly

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Place, ServedHere, Servers

ROWS = 60
CAPPED = ("--max-completion-tokens", "4096")


def recorded(place: Place) -> set[str]:
    return {row["id"] for row in place.rows()}


def test_a_pilot_comes_first_and_the_others_after_it(place: Place, gateway: ServedHere) -> None:
    prompts = place.write_questions(ROWS)

    end = place.run("run", place.prompts, "--endpoint", gateway.url, *CAPPED, "--pilot", "30", "--yes", "--json")

    assert end.status == 0, end.err
    assert "pilot    30 rows tell of the other 30" in end.err
    assert gateway.books().attempts == dict.fromkeys(prompts, 1)
    pilot = end.document["pilot"]
    assert (pilot["rows"], pilot["others"]) == (30, 30)
    assert pilot["usd"]["low"] < pilot["usd"]["about"] < pilot["usd"]["high"]
    assert end.document["run"]["ok"] == end.document["job"]["ok"] == ROWS
    assert end.document["run"]["tokens"] == end.document["job"]["tokens"]
    assert place.run("status", place.out, "--verify").status == 0


def test_where_nobody_can_be_asked_nothing_is_sent_without_a_word_beforehand(place: Place, gateway: ServedHere) -> None:
    place.write_questions(5)

    end = place.run("run", place.prompts, "--endpoint", gateway.url, "--pilot", "2")

    assert end.status == 3
    assert "add --yes, or a cap that holds, --max-cost or --max-total-tokens" in end.err
    assert gateway.books().requests == 0
    assert not place.out.exists()


def test_a_cap_on_cost_answers_for_whoever_is_not_there(place: Place, gateway: ServedHere) -> None:
    place.write_questions(ROWS)

    end = place.run("run", place.prompts, "--endpoint", gateway.url, *CAPPED, "--pilot", "20", "--max-cost", "0.03")

    assert end.status == 5
    assert "nobody is here to ask: going on, --max-cost holds" in end.err
    billed = gateway.at_rest().billed
    assert (billed["prompt_tokens"] * 1.10 + billed["completion_tokens"] * 4.40) / 1e6 <= 0.03
    assert "--pilot" not in end.err.splitlines()[-1]


def test_a_job_can_have_a_pilot_too_and_its_budget_answers_for_whoever_is_not_there(place: Place, gateway: ServedHere) -> None:
    prompts = place.write_questions(ROWS)
    job = Nightly.of(place, gateway)
    budgeted = Nightly.of(place, gateway, "max_cost_per_night = 5", name="budgeted")

    refused = job.run("2026-11-24T22:00+01:00", "--pilot", "20")
    end = budgeted.run("2026-11-24T22:00+01:00", "--pilot", "20")

    assert refused.status == 3
    assert "nobody is here to answer" in refused.err
    assert end.status == 0, end.err
    assert f"pilot    20 rows tell of the other {ROWS - 20}" in end.err
    assert "nobody is here to ask: going on, max_cost_per_night holds" in end.err
    assert gateway.books().attempts == dict.fromkeys(prompts, 1)


def test_a_person_is_asked_and_the_same_line_without_the_pilot_goes_on(place: Place, gateway: ServedHere) -> None:
    place.write_questions(ROWS)
    command = ("run", place.prompts, "--endpoint", gateway.url, *CAPPED)

    status, told = place.on_a_terminal("n\n", *command, "--pilot", "20")
    first = recorded(place)
    gone_on = place.run(*command)

    assert status == 3
    assert f"Send the other {ROWS - 20} rows?" in told
    assert f"{ROWS - 20} rows not sent; the same command without --pilot sends them" in told
    assert len(first) == 20
    assert gone_on.status == 0
    assert len(recorded(place)) == gateway.books().requests == ROWS


def test_a_person_may_say_yes(place: Place, gateway: ServedHere) -> None:
    place.write_questions(30)

    status, told = place.on_a_terminal("y\n", "run", place.prompts, "--endpoint", gateway.url, *CAPPED, "--pilot", "10")

    assert status == 0
    assert "30 rows: 30 ok" in told
    assert gateway.books().requests == 30


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_whoever_leaves_at_the_question_loses_nothing(
    place: Place, gateway: ServedHere, number: signal.Signals, status: int
) -> None:
    place.write_questions(30)
    outer, inner = pty.openpty()
    command = ("run", place.prompts, "--endpoint", gateway.url, *CAPPED, "--pilot", "10")
    started = place.start(*command, stdin=inner, stderr=inner)
    os.close(inner)
    told = b""
    while b"Send the other 20 rows?" not in told:
        told += os.read(outer, 65536)

    def gone() -> bool:
        """Signal again where the first came just before the question was waited for: then it waits for a key as well."""
        started.signal(number)
        with suppress(subprocess.TimeoutExpired):
            started.process.wait(1.0)
        return not started.at_work

    until(gone)
    with suppress(OSError):  # how a terminal ends
        while piece := os.read(outer, 65536):
            told += piece
    os.close(outer)
    end = started.ended()

    assert end.status == status, told.decode()
    assert b"Traceback" not in told
    assert b"nothing was sent" not in told
    assert len(recorded(place)) == gateway.at_rest().requests == 10


def test_the_same_seed_picks_the_same_rows_at_random(place: Place, gateway: ServedHere) -> None:
    place.write_questions(ROWS)
    picked = []
    for number, seed in enumerate(("7", "7", "8")):
        out = place.folder / f"out{number}.jsonl"
        place.on_a_terminal("n\n", "run", place.prompts, "-o", out, "--endpoint", gateway.url, "--pilot", "12", "--seed", seed)
        picked.append({row["id"] for row in place.rows(out)})

    assert picked[0] == picked[1] != picked[2]
    assert picked[0] != {f"r{number}" for number in range(12)}


def test_a_pilot_of_everything_is_a_run(place: Place, gateway: ServedHere) -> None:
    place.write_questions(5)

    end = place.run("run", place.prompts, "--endpoint", gateway.url, "--pilot", "5", "--yes", "--json")

    assert end.status == 0
    assert end.document["pilot"] is None
    assert gateway.books().requests == 5


def test_lines_that_can_not_be_sent_are_recorded_with_the_others(place: Place, gateway: ServedHere) -> None:
    place.write([*({"id": f"r{number}", "prompt": str(number)} for number in range(20)), "{", '{"prompt":""}'])

    end = place.run("run", place.prompts, "--endpoint", gateway.url, *CAPPED, "--pilot", "10", "--yes")

    assert end.status == 10
    assert "22 rows: 20 ok, 2 invalid" in end.err
    assert place.totals()["job"]["invalid"] == 2


def test_the_rows_of_a_retry_can_have_a_pilot_too(place: Place, servers: Servers) -> None:
    gateway = servers.gateway(Scenario())
    place.write_questions(20)
    place.run("run", place.prompts, "--endpoint", gateway.url, "--max-completion-tokens", "10")
    assert {row["status"] for row in place.rows()} == {"truncated"}

    end = place.run("retry", place.out, "--only", "truncated", *CAPPED, "--pilot", "5", "--yes")

    assert end.status == 0, end.err
    assert {(row["status"], len(row["attempts"])) for row in place.rows()} == {("ok", 2)}
    assert gateway.books().billed["total_tokens"] == place.totals()["job"]["tokens"]["total_tokens"]


def test_a_pilot_that_is_interrupted_ends_as_any_run(place: Place, servers: Servers) -> None:
    gateway = servers.gateway(Scenario(latency=Latency(seconds=Fixed(0.2))))
    place.write_questions(40)
    started = place.start("run", place.prompts, "--endpoint", gateway.url, "-c", "2", "--pilot", "30", "--yes")
    until(partial(place.recorded))

    started.signal(signal.SIGINT)
    end = started.ended()

    assert end.status == 130
    assert "tell of the other" not in end.err
    assert gateway.at_rest().requests < 30
