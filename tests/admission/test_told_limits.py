"""Limits that are told, kept against the fake gateway's own gate, in virtual time; `benchmarks/limits.py` plays more."""

import pytest

from batch_runner.fake_server.limits.values import Counting, RateLimit
from benchmarks.limits import WORDS, Cell, Ours, Row, measure, row_of, shapes
from benchmarks.virtual_time import play

MINUTES = 2
WORKERS = 700


def kept(cell: Cell, *, minutes: float = MINUTES) -> Row:
    """How the shipped admission keeps to it."""
    seconds = cell.warm_up + 60 * minutes
    return row_of(cell, "ours", [play(measure(cell, Ours, seed=1, seconds=seconds))], seconds)


@pytest.mark.parametrize("shape", shapes(600))
def test_requests_per_minute_are_used_and_hardly_ever_refused(shape: str) -> None:
    limit = RateLimit("requests", 600, **shapes(600)[shape])

    row = kept(Cell(shape, (limit,), use=0.05, hints=False, workers=300))

    assert row.used >= 99.0
    assert row.refused <= (0.5 if limit.quantum else 0.1)
    assert row.refused_early <= 0.5
    assert row.worst_second is not None
    assert row.worst_second <= 2
    assert row.worst_minute is not None
    assert row.worst_minute <= 102.0


@pytest.mark.parametrize("counting", WORDS)
@pytest.mark.parametrize("use", [0.2, 0.9])
def test_tokens_per_minute_are_used_whichever_way_the_service_counts(counting: Counting, use: float) -> None:
    limit = RateLimit("tokens", 1_000_000, counting=counting)
    answer = 0.3 + use * 81.92
    warm_up = max(60.0, 3 * answer / use if counting == "refund" else 0.0)

    row = kept(Cell(counting, (limit,), use=use, hints=False, workers=WORKERS, warm_up=warm_up), minutes=8)

    assert row.used >= 95.0
    assert row.refused < 1.0


@pytest.mark.parametrize("counting", WORDS)
def test_a_limit_on_tokens_that_only_refusals_name_is_used_whichever_way_it_is_counted(counting: Counting) -> None:
    limit = RateLimit("tokens", 1_000_000, counting=counting)

    row = kept(Cell(counting, (limit,), use=0.05, hints=False, named=True, workers=WORKERS, warm_up=120), minutes=8)

    assert row.used >= 90.0
    assert row.refused < 1.0
    assert row.refused_early <= 5.0


def test_of_two_limits_the_tighter_is_used() -> None:
    limits = (RateLimit("requests", 600, burst=10), RateLimit("tokens", 1_020_000, counting="use"))

    row = kept(Cell("both", limits, use=0.18, hints=False, workers=WORKERS, warm_up=120), minutes=6)

    assert row.used >= 97.0
    assert row.refused < 1.0


def test_large_requests_do_not_starve() -> None:
    cell = Cell("giants", (RateLimit("tokens", 1_000_000),), giants=0.03, hints=False, workers=200)

    row = kept(cell, minutes=6)

    assert row.longest_wait > 0, "no giant was ever answered"
    assert row.longest_wait < 300
    assert row.used >= 90.0
