import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.nightly.diary import Entry
from batch_runner.nightly.drift import FEWEST, WINDOW, departures
from batch_runner.records import Bill, Status, Usage
from batch_runner.totals import Totals


def a_night(number: int, **changes: Any) -> Entry:
    """A night of a thousand rows that is like every other, but for the changes."""
    facts: dict[str, Any] = {
        "rows": 1000,
        "failed": 5,
        "truncated": 10,
        "tokens": 400,
        "seconds": 4.0,
        "slow_downs": 20,
        "model": "o1",
        "status": 0,
        "usd": 2.4,
    } | changes
    rows, failed, truncated = facts["rows"], facts["failed"], facts["truncated"]
    answered = rows - failed
    totals = Totals(
        rows=Counter({Status.OK: answered - truncated, Status.TRUNCATED: truncated, Status.FAILED: failed}),
        attempts=rows + facts["slow_downs"],
        slow_downs=facts["slow_downs"],
    )
    totals.bill("o1-mini", Bill(Usage(100 * answered, 0, facts["tokens"] * answered, 0, 0)))
    for _ in range(answered):
        totals.answered("o1-mini", facts["model"], facts["seconds"], usage_known=True)
    return Entry(f"2026-11-{number:02d}", "", facts["status"], totals=totals, cost_usd=facts["usd"] * answered / 1000)


def nights(count: int, **changes: Any) -> list[Entry]:
    """So many nights that differ a little, as nights do."""
    spread = random.Random(0)  # noqa: S311 - the same nights each time
    return [
        a_night(
            number + 1,
            **{"failed": spread.randint(3, 8), "truncated": spread.randint(6, 14), "tokens": spread.randint(380, 420)} | changes,
        )
        for number in range(count)
    ]


PAST = nights(10)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({}, [], id="a usual one"),
        pytest.param({"failed": 80}, ["ok rows: 91.0 %, usually 98."], id="many failed"),
        pytest.param({"truncated": 200}, ["ok rows: ", "truncated answers: 20.1 %, usually 1."], id="many truncated"),
        pytest.param({"tokens": 900}, ["completion tokens an answer: 900, usually "], id="longer answers"),
        pytest.param({"usd": 4.8}, ["cost of an answer: $0.00480, usually $0.00240"], id="dearer"),
        pytest.param({"seconds": 12.0}, ["median latency: ", "95 % latency: "], id="slower"),
        pytest.param({"slow_downs": 500}, ["refused as too many: 33.3 %, usually 2.0 %"], id="refused"),
        pytest.param({"rows": 300, "failed": 1, "truncated": 3}, ["rows: 300, usually 1,000"], id="fewer rows"),
        pytest.param({"model": "gpt-4o"}, ["answered by gpt-4o, which no night before was"], id="another model"),
    ],
)
def test_a_night_is_told_in_what_it_departs_from_its_past(changes: dict[str, Any], told: list[str]) -> None:
    found = list(departures(a_night(20, **changes), PAST))

    assert len(found) == len(told)
    assert all(line.startswith(start) for line, start in zip(found, told, strict=True))


def test_the_first_few_nights_depart_from_nothing() -> None:
    odd = a_night(20, failed=900, tokens=5000)

    assert list(departures(odd, PAST[: FEWEST - 1])) == []
    assert list(departures(odd, PAST[:FEWEST])) != []


def test_nights_that_did_not_get_through_are_no_past() -> None:
    stopped = nights(10, status=4, failed=900)

    assert list(departures(a_night(20), [*PAST, *stopped])) == []
    assert list(departures(a_night(20), stopped)) == []


def test_a_few_odd_nights_among_them_change_nothing() -> None:
    odd = [a_night(12, tokens=4000), a_night(13, tokens=10), a_night(14, failed=500)]

    assert list(departures(a_night(20), [*PAST, *odd])) == []
    assert any("tokens" in line for line in departures(a_night(20, tokens=900), [*PAST, *odd]))


def test_what_stays_changed_is_usual_after_a_while() -> None:
    changed = nights(WINDOW // 2 + 1, tokens=900)

    assert list(departures(a_night(28, tokens=900), [*PAST, *changed])) == []


def test_a_night_that_was_broken_off_is_not_blamed_for_its_missing_rows() -> None:
    assert list(departures(a_night(20, rows=500, failed=3, truncated=5, status=7), PAST)) == []


def test_a_share_of_few_rows_may_be_off_by_chance() -> None:
    small = [a_night(number + 1, rows=20, failed=0, truncated=0, slow_downs=0) for number in range(8)]

    assert list(departures(a_night(20, rows=20, failed=1, truncated=0, slow_downs=0), small)) == []
    assert any("ok rows" in line for line in departures(a_night(20, rows=20, failed=12, truncated=0, slow_downs=0), small))


@given(st.integers(FEWEST, 20), st.integers(0, 8), st.integers(380, 420))
@settings(max_examples=30, deadline=None)
def test_a_night_like_its_past_never_departs_from_it(count: int, failed: int, tokens: int) -> None:
    assert list(departures(a_night(30, failed=failed, tokens=tokens), [PAST[number % 10] for number in range(count)])) == []
