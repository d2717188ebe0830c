"""What a pilot foretells, for a person and for a program. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batch_runner.pilot import FEW
from batch_runner.reporters.costs import models_in_words
from batch_runner.reporters.wording import duration, money, percent, rows, short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batch_runner.pilot import Prospect
    from batch_runner.pricing import Prices
    from batch_runner.projection import Range


def prospect_lines(told: Prospect, prices: Prices) -> Iterator[str]:
    """What is to be expected of the others, each number with the range that it will be in, nine times of ten."""
    yield f"pilot    {rows(told.rows)} tell of the other {told.others:,}; each range holds in at least 9 of 10 such runs"
    yield f"cost     {_cost(told, prices)}"
    if told.owed.usd:
        more = money(float(told.owed.usd) * told.others / told.rows)
        yield f"{'':<8} up to {more} more for answers that never come, if as many are lost"
    reasoning = "" if told.reasoning is None else f"; reasoning is {_in_words(told.reasoning, _percent)} of the completion"
    yield f"tokens   {_in_words(told.tokens, short)}{reasoning}"
    cut = told.truncated.times(told.others)
    yield f"cut off  {_in_words(told.truncated, _percent)} of the rows, {_in_words(cut, lambda count: f'{count:,.0f}')}"
    yield f"time     {_in_words(told.seconds, duration)}"
    if told.rows < FEW:
        yield f"{'':<8} a pilot of {told.rows} tells little: what one row in {FEW} does, it may not have met"


def prospect_document(told: Prospect, prices: Prices) -> dict[str, Any]:
    """The same for a program: `about`, `low` and `high` of each; null where nobody can tell."""
    return {
        "rows": told.rows,
        "others": told.others,
        "usd": _range(told.usd),
        "prices": prices.basis(told.cost),
        "tokens": _range(told.tokens),
        "reasoning_share": _range(told.reasoning),
        "truncated_share": _range(told.truncated),
        "seconds": _range(told.seconds),
    }


def _cost(told: Prospect, prices: Prices) -> str:
    if told.usd is None:
        return f"unknown: no price of {models_in_words(sorted(told.cost.unpriced))}, --prices FILE gives one"
    return f"{_in_words(told.usd, money)} ({prices.basis(told.cost)})"


def _in_words(told: Range, shown: Callable[[float], str]) -> str:
    """`about $12.30 ($10.90 to $14.20)`."""
    return f"about {shown(told.about)} ({shown(told.low)} to {shown(told.high)})"


def _percent(share: float) -> str:
    return percent(share, 1 if 0 < share < 0.1 else 0)  # noqa: PLR2004 - a tenth


def _range(told: Range | None) -> dict[str, float] | None:
    return None if told is None else {"about": told.about, "low": told.low, "high": told.high}
