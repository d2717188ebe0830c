from collections import Counter
from decimal import Decimal
from math import exp
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_runner.pricing import Price, Prices, Rates
from batch_runner.records import Bill, Status, Usage
from batch_runner.reporters.costs import cost_document, cost_lines, length_lines, suggested_cap, token_lines
from batch_runner.totals import Totals

CHEAP = Price(Rates(Decimal(1), Decimal(1), Decimal(1)), listed=False)
DEAR = Price(Rates(Decimal(10), Decimal(10), Decimal(10)), listed=False)
PRICES = Prices({"cheap": CHEAP, "dear": DEAR}, source="mine.toml")
MILLION = Usage(0, 0, 1_000_000, 800_000, 1_000_000)


def totals_of(spent: Usage = MILLION, model: str = "cheap", **rows: int) -> Totals:
    totals = Totals(rows=Counter(rows))
    totals.bill(model, Bill(spent))
    return totals


def told(totals: Totals, *asked: str) -> str:
    return "\n".join(cost_lines(totals, PRICES, asked))


def test_what_a_row_with_an_answer_came_to_is_told() -> None:
    assert "$1.00, $0.250 for each answered row" in told(totals_of(ok=2, truncated=1, refused=1, failed=9))
    assert "answered row" not in told(totals_of(failed=9))


def test_what_retries_and_truncated_rows_cost_is_told() -> None:
    totals = totals_of(ok=1, truncated=3)
    totals.in_vain["cheap"] = Usage(0, 0, 250_000, 0, 250_000)
    totals.truncated["cheap"] = Usage(0, 0, 500_000, 450_000, 500_000)

    assert "$0.250 of it for attempts whose answer doesn't stand" in told(totals)
    assert "$0.500 of it for truncated rows" in told(totals)
    assert any("500,000 completion for truncated rows, 90 % of it reasoning" in line for line in token_lines(totals))
    document = cost_document(totals, PRICES)
    assert (document["in_vain_usd"], document["truncated_usd"], document["usd_per_answered_row"]) == (0.25, 0.5, 0.25)


def test_a_run_that_mended_truncated_rows_spent_nothing_on_them() -> None:
    totals = totals_of(ok=1)
    totals.truncated["cheap"] = Usage() - Usage(5, 0, 500_000, 0, 500_005)

    assert "truncated" not in told(totals)
    assert not any("truncated" in line for line in token_lines(totals))


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ((), "up to $1.00 more that killed runs left open"),
        (("dear",), "up to $10.00 more that killed runs left open"),
        (("nobody's",), "what killed runs may have cost isn't in it: nobody knows the price"),
    ],
)
def test_what_killed_runs_left_open_is_counted_at_the_dearest_model_asked(asked: tuple[str, ...], line: str) -> None:
    totals = totals_of(ok=1)
    totals.unclosed = MILLION

    assert line in told(totals, *asked)


def test_an_unknown_price_makes_every_amount_unknown() -> None:
    totals = totals_of(model="nobody's", ok=1)
    totals.unclosed = MILLION
    totals.in_vain["nobody's"] = MILLION

    document = cost_document(totals, PRICES)

    assert [document[name] for name in ("usd", "unclosed_usd", "in_vain_usd", "usd_per_answered_row")] == [None] * 4


def lengths_of(*tokens: int, truncated: int = 0) -> Totals:
    totals = Totals(rows=Counter({Status.TRUNCATED: truncated}))
    for count in tokens:
        totals.stands(Status.OK, "o1", Usage(1, 0, count, 0, count + 1))
    return totals


def test_a_cap_is_suggested_that_would_have_held_every_answer() -> None:
    totals = lengths_of(*range(100, 400, 10), 900)

    cap = suggested_cap(totals)

    assert cap is not None
    assert 900 < cap < 1500
    assert next(length_lines(totals)).endswith(f"--max-completion-tokens {cap:,} would have let all of them end")


@pytest.mark.parametrize("cut_at", [0.6, 0.8, 0.9, 0.95])
def test_where_answers_were_cut_off_the_cap_is_read_off_how_lengths_go_on(cut_at: float) -> None:
    normal = NormalDist(6.0, 0.8)
    lengths = [round(exp(normal.inv_cdf((place + 0.5) / 1000))) for place in range(1000)]
    whole = lengths[: round(cut_at * 1000)]

    cap = suggested_cap(lengths_of(*whole, truncated=1000 - len(whole)))

    assert cap is not None
    assert 0.6 * lengths[990] <= cap <= 2 * lengths[990]


def test_no_cap_is_suggested_that_the_model_refuses() -> None:
    totals = lengths_of(*range(1_000, 60_000, 1_000), truncated=40)
    totals.bill("o1-mini", Bill(MILLION))

    assert suggested_cap(totals) == 65_536


def test_too_few_answers_suggest_nothing() -> None:
    assert suggested_cap(lengths_of(*[100] * 9)) is None
    assert list(length_lines(lengths_of())) == []


@given(lengths=st.lists(st.integers(1, 100_000), min_size=10, max_size=40), cut=st.integers(0, 1000))
def test_a_suggested_cap_is_above_every_whole_answer(lengths: list[int], cut: int) -> None:
    cap = suggested_cap(lengths_of(*lengths, truncated=cut))

    assert cap is not None
    assert cap >= max(lengths)
