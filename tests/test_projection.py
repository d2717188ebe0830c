"""The ranges hold the truth in at least nine of ten random runs, whatever answers cost; and sound as they should at the ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_runner.projection import Range, ratio_of, share_of, student, sum_of

RUNS = 200
Draw = Callable[[Random], float]

COSTS: dict[str, Draw] = {
    "alike": lambda _luck: 3.0,
    "evenly spread": lambda luck: luck.uniform(0, 1),
    "reasoning as usual": lambda luck: luck.lognormvariate(0, 0.7),
    "reasoning that varies much": lambda luck: luck.lognormvariate(0, 1.0),
    "reasoning that varies very much": lambda luck: luck.lognormvariate(0, 1.3),
    "cut off at a cap": lambda luck: min(4.0, luck.lognormvariate(0, 1.0)),
    "waiting times": lambda luck: luck.expovariate(1.0),
    "a tenth ten times as dear": lambda luck: (10 if luck.random() < 0.1 else 1) * luck.lognormvariate(0, 0.3),
}


def luck_of(seed: str | int) -> Random:
    """The same in every run of the tests."""
    return Random(seed)  # noqa: S311 - luck, no secret


def holds(told: Range | None, truth: float) -> bool:
    assert told is not None
    slack = 1e-9 * max(1.0, abs(truth))
    return told.low - slack <= truth <= told.high + slack


@pytest.mark.parametrize(("pilot", "others"), [(20, 40), (30, 1000), (100, 2000)])
@pytest.mark.parametrize("name", COSTS)
def test_the_range_of_a_sum_holds_the_truth_in_nine_of_ten_runs(name: str, pilot: int, others: int) -> None:
    luck = luck_of(f"{name} {pilot}")
    if pilot == 20 and name == "a tenth ten times as dear":
        pilot = 50  # of 20 rows, every eighth pilot meets none of the dear ones: nobody can foresee them

    held = 0
    for _ in range(RUNS):
        rows = [COSTS[name](luck) for _ in range(pilot + others)]
        held += holds(sum_of(others, rows[:pilot]), sum(rows[pilot:]))

    assert held >= 0.9 * RUNS


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.3, 0.5, 0.97, 1.0])
@pytest.mark.parametrize(("pilot", "others"), [(20, 30), (50, 1000)])
def test_the_range_of_a_share_holds_the_truth_in_nine_of_ten_runs(share: float, pilot: int, others: int) -> None:
    luck = luck_of(f"{share} {pilot}")

    held = 0
    for _ in range(RUNS):
        rows = [luck.random() < share for _ in range(pilot + others)]
        held += holds(share_of(others, rows[:pilot]), sum(rows[pilot:]) / others)

    assert held >= 0.9 * RUNS


@pytest.mark.parametrize(("pilot", "others"), [(20, 40), (50, 1000)])
def test_the_range_of_a_ratio_holds_the_truth_in_nine_of_ten_runs(pilot: int, others: int) -> None:
    luck = luck_of(pilot)

    held = 0
    for _ in range(RUNS):
        wholes = [luck.lognormvariate(6, 1) for _ in range(pilot + others)]
        parts = [whole * luck.betavariate(8, 2) for whole in wholes]
        truth = sum(parts[pilot:]) / sum(wholes[pilot:])
        held += holds(ratio_of(others, parts[:pilot], wholes[:pilot]), truth)

    assert held >= 0.9 * RUNS


samples = st.lists(st.floats(0, 1e6), min_size=1, max_size=50)


@given(sample=samples, others=st.integers(0, 10**7))
def test_a_range_lies_around_what_is_likeliest(sample: list[float], others: int) -> None:
    told = sum_of(others, sample)

    assert told is not None
    assert 0 <= told.low <= told.about * (1 + 1e-9) + 1e-9
    assert told.about <= told.high * (1 + 1e-9) + 1e-9
    assert math.isfinite(told.high)


@given(sample=st.lists(st.booleans(), min_size=1, max_size=50), others=st.integers(1, 10**7))
def test_a_share_is_one(sample: list[bool], others: int) -> None:
    told = share_of(others, sample)

    assert told is not None
    assert 0 <= told.low <= told.about <= told.high <= 1


def test_more_rows_tell_more() -> None:
    luck = luck_of(7)
    sample = [luck.lognormvariate(0, 1) for _ in range(400)]
    widths = [
        (told.high - told.low) / told.about for size in (25, 100, 400) if (told := sum_of(10_000, sample[:size])) is not None
    ]

    assert widths == sorted(widths, reverse=True)


def test_rows_that_are_all_alike_leave_no_doubt() -> None:
    assert sum_of(90, [2.0] * 10) == Range(180.0, 180.0, 180.0)
    assert ratio_of(90, [1.0] * 10, [4.0] * 10) == Range(0.25, 0.25, 0.25)


def test_where_nothing_was_seen_nothing_is_foretold() -> None:
    assert sum_of(5, []) is None
    assert share_of(5, []) is None
    assert ratio_of(5, [0.0], [0.0]) is None
    assert sum_of(0, [3.0]) == Range(0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("level", "freedom", "told"),
    [(0.975, 1, 12.706), (0.975, 2, 4.303), (0.975, 5, 2.571), (0.975, 30, 2.042), (0.995, 9, 3.250), (0.95, 3, 2.353)],
)
def test_students_t_is_as_in_the_tables(level: float, freedom: int, told: float) -> None:
    assert student(level, freedom) == pytest.approx(told, rel=0.01)
