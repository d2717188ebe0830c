"""Whether a night departs from those before it. Pure.

Each measure of tonight is held against the median of the last nights. What is usual around it is told by the median of their
distances from it (the median absolute deviation), which a few odd nights among them don't move; four times that (as a standard
deviation is reckoned from it) is still usual. Where nights were alike to the digit that would be nothing, so each measure has a
distance below which nobody cares, and a share one that so few rows may have by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from batch_runner.reporters.wording import duration, money, one_line, percent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from batch_runner.nightly.diary import Entry

FEWEST = 5
"""Nights that must have been before one can depart from them."""
WINDOW = 14
"""How many of the last ones count: what stays changed is usual after a week."""
USUAL = 4 * 1.4826
"""Deviations that are still usual; for normal distances, one is 1.4826 times their median."""
BY_CHANCE = 3.0
"""Standard errors of a share."""
NEW_MODEL_SHARE = 0.01
"""Of the answers, from which a model that answered no earlier night is told."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of a night."""

    name: str
    of: Callable[[Entry], float | None]
    told: Callable[[float], str]
    absolute: float = 0.0
    """A distance from the median that nobody cares about."""
    relative: float = 0.0
    """The same as a part of the median."""
    share_of: Callable[[Entry], int] | None = None
    """For a share: of how many."""


MEASURES = (
    Measure("rows", lambda entry: entry.judged if entry.complete else None, lambda count: f"{count:,.0f}", relative=0.25),
    Measure("ok rows", lambda entry: entry.ok_share, percent, 0.02, share_of=lambda entry: entry.judged),
    Measure(
        "truncated answers", lambda entry: entry.truncated_share, percent, absolute=0.02, share_of=lambda entry: entry.answered
    ),
    Measure("completion tokens an answer", lambda entry: entry.tokens_per_answer, lambda count: f"{count:,.0f}", relative=0.25),
    Measure("cost of an answer", lambda entry: entry.cost_per_answer, money, relative=0.25),
    Measure("median latency", lambda entry: entry.totals.latency_quantile(0.5), duration, absolute=0.2, relative=0.6),
    Measure("95 % latency", lambda entry: entry.totals.latency_quantile(0.95), duration, absolute=0.5, relative=1.0),
    Measure(
        "refused as too many",
        lambda entry: entry.slow_down_share,
        percent,
        absolute=0.05,
        share_of=lambda entry: entry.totals.attempts,
    ),
)


def departures(tonight: Entry, before: Sequence[Entry]) -> Iterator[str]:
    """In what `tonight` departs from the nights `before`, the earliest first; nothing while there are too few of them."""
    past = [entry for entry in before if entry.complete][-WINDOW:]
    if len(past) < FEWEST or not tonight.judged:
        return
    for measure in MEASURES:
        value, values = measure.of(tonight), _values(measure.of, past)
        if value is None or len(values) < FEWEST:
            continue
        usual = median(values)
        if abs(value - usual) > _allowed(measure, tonight, values, usual):
            yield f"{measure.name}: {measure.told(value)}, usually {measure.told(usual)}"
    yield from _new_models(tonight, past)


def _values(of: Callable[[Entry], float | None], entries: Iterable[Entry]) -> list[float]:
    return [value for value in map(of, entries) if value is not None]


def _allowed(measure: Measure, tonight: Entry, values: Sequence[float], usual: float) -> float:
    """How far from the median is still usual."""
    deviation = median(abs(value - usual) for value in values)
    allowed = max(USUAL * deviation, measure.absolute, measure.relative * abs(usual))
    if measure.share_of is not None and (count := measure.share_of(tonight)):
        allowed = max(allowed, BY_CHANCE * (max(usual * (1 - usual), 0.25 / count) / count) ** 0.5)
    return allowed


def _new_models(tonight: Entry, past: Sequence[Entry]) -> Iterator[str]:
    known = {model for entry in past for model in entry.models}
    for model, count in tonight.models.items():
        if model not in known and count >= NEW_MODEL_SHARE * tonight.answered:
            yield f"answered by {one_line(model, 60) or 'a model without a name'}, which no night before was"
