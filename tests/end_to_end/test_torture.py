"""`kill -9` on real runs at random moments, again and again. `make torture N=1000` makes it long, and shows the toll."""

from __future__ import annotations

import os
import random
import secrets
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.end_to_end.conftest import lies_between, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.end_to_end.conftest import Books, Place, Served

KILLS = int(os.environ.get("TORTURE_KILLS", "24"))
SEED = int(os.environ.get("TORTURE_SEED", "7" if KILLS == 24 else str(secrets.randbelow(10**6))))
CONCURRENCY = 8
ROWS_PER_KILL = 12
KILLS_PER_OUTPUT = 25
SCENARIO = "Scenario(latency=Latency(seconds=Uniform(0.01, 0.04)))"


def dice_of(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - luck, no secret


def answered(place: Place) -> set[str]:
    return {row["id"] for row in place.rows() if row["status"] == "ok"} if place.out.exists() else set()


def kill_at_a_random_moment(place: Place, gateway: Served, command: tuple[Any, ...], dice: random.Random) -> bool:
    """Some kills come before the first request, most in the midst of the traffic; False when the run had ended by itself."""
    goal = gateway.books(rows=False).requests + dice.randrange(-2, 20)
    run = place.start(*command)
    until(lambda: gateway.books(rows=False).requests >= goal or not run.at_work, what="requests to come")
    time.sleep(dice.uniform(0, 0.03))
    in_time = run.at_work
    run.kill()
    return in_time


@dataclass
class Toll:
    """What kills have cost."""

    kills: int = 0
    rows: int = 0
    rows_lost: int = 0
    bought_again: int = 0
    """Rows that were recorded, and sent again all the same."""
    repeats: int = 0
    """Requests that no record tells of, so that their rows were sent again."""
    worst_repeats: int = 0
    """The most of them after one kill."""

    def __str__(self) -> str:
        return (
            f"{self.kills:,} kills of runs with {CONCURRENCY} requests in flight, {self.rows:,} rows (seed {SEED})\n"
            f"rows lost {self.rows_lost}, recorded rows bought again {self.bought_again}, "
            f"repeats {self.repeats}, worst repeats per kill {self.worst_repeats}"
        )


def tortured(place: Place, gateway: Served, kills: int, dice: random.Random, toll: Toll) -> None:
    """Kill runs of one output until they are so many, let the last one end, and add to the toll."""
    rows = kills * ROWS_PER_KILL
    place.out = place.folder / f"after-{toll.kills}.results.jsonl"
    prompts = place.write_questions(rows)
    asked = ("--endpoint", gateway.url, "-c", str(CONCURRENCY), "--max-completion-tokens", "900")
    command = ("run", place.prompts, "-o", place.out, *asked)
    kept: list[tuple[set[str], Books]] = []
    for _ in range(kills):
        requests, known = gateway.books(rows=False).requests, len(answered(place))
        toll.kills += kill_at_a_random_moment(place, gateway, command, dice)
        kept.append((answered(place), gateway.at_rest()))
        repeats = kept[-1][1].requests - requests - (len(kept[-1][0]) - known)
        toll.repeats, toll.worst_repeats = toll.repeats + repeats, max(toll.worst_repeats, repeats)
    end = place.run(*command, seconds=120)
    assert end.status == 0, end.err
    books, lines = gateway.at_rest(), Counter(row["id"] for row in place.rows())
    toll.rows += rows
    toll.rows_lost += sum(lines[f"r{number}"] != 1 for number in range(rows))
    for ids, then in kept:
        toll.rows_lost += len(ids - lines.keys())
        recorded = [prompts[int(row_id[1:])] for row_id in ids]
        toll.bought_again += sum(books.attempts[prompt] != then.attempts[prompt] for prompt in recorded)
    assert lies_between(books, place.totals()["job"])
    checked = place.run("status", place.out, "--verify")
    assert checked.status == 0, checked.out


@pytest.mark.timeout(120 + 10 * KILLS)
def test_kills_lose_no_row_buy_none_again_and_repeat_no_more_than_was_in_flight(
    place: Place, gateway_program: Callable[..., Served]
) -> None:
    toll, dice = Toll(), dice_of(SEED)

    while toll.kills < KILLS:
        tortured(place, gateway_program(SCENARIO), min(KILLS - toll.kills, KILLS_PER_OUTPUT), dice, toll)
    print(f"\n{toll}")  # noqa: T201 - what `make torture` is asked for

    assert (toll.rows_lost, toll.bought_again) == (0, 0)
    assert toll.worst_repeats <= CONCURRENCY
