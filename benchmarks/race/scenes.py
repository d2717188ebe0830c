"""What is run: how many rows, against which answers, by whom."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from benchmarks.race.runners import BARE, OURS, RIVALS, Runner

if TYPE_CHECKING:
    from pathlib import Path

FIELD = (BARE, OURS, *RIVALS)
WE = (BARE, OURS)


@dataclass(frozen=True)
class Scene:
    """A number of rows, sent by each runner in turn, several times."""

    name: str
    place: str
    """Of the server."""
    rows: int
    in_flight: int = 256
    runners: tuple[Runner, ...] = WE
    rounds: int = 3
    ideal: float | None = None
    """Seconds that nobody can beat."""
    least_speed: float | None = None
    """What our rows/s are to be of the bare loop's."""
    most_cpu: float | None = None
    """The same of CPU."""
    most_wall: float | None = None
    """Our wall clock over the bare loop's; where there is an ideal, over that."""


QUICK = (
    Scene("instant answers, 2,000 rows", "instant", 2_000, runners=FIELD, rounds=5, least_speed=0.80),
    Scene("instant answers, 20,000 rows", "instant", 20_000, rounds=5, least_speed=0.90, most_cpu=1.15),
    Scene("500 ms answers, 2,000 rows", "half", 2_000, rounds=3, least_speed=0.95),
)
"""A few minutes."""

LONG = (
    Scene("instant answers, 20,000 rows, the field", "instant", 20_000, runners=FIELD),
    Scene("500 ms answers, 2,000 rows, the field", "half", 2_000, runners=FIELD, rounds=2),
    Scene("heavy-tailed answers, 2,000 rows", "heavy", 2_000, rounds=2, most_wall=1.05, most_cpu=1.4),
    Scene("10 s answers, 8,000 rows, 4,000 in flight", "ten", 8_000, 4_000, rounds=2, ideal=20.0, most_wall=1.15),
    Scene("instant answers, 10,000 rows: memory", "instant", 10_000),
)
"""What `make bench-full` runs beside them."""


def write_rows(path: Path, rows: int) -> None:
    """Prompts of sixty made-up words, each led by its number, with an id and a field of the row's own."""
    dice = random.Random(1)  # noqa: S311 - a test set
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(2, 10))) for _ in range(5000)]
    with path.open("wb") as file:
        for number in range(rows):
            prompt = f"{number} {' '.join(dice.choices(words, k=60))}"
            file.write(orjson.dumps({"id": f"row-{number}", "prompt": prompt, "label": f"x{number % 7}"}))
            file.write(b"\n")
