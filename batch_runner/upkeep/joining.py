"""What one row's records in several outputs come to together. Pure.

The promises decide. A paid answer is never buried: an answer beats a record without one, a real record beats one that the
embedded endpoint made up, and only then the later one wins. And no token is counted twice, or forgotten: attempts, by the
moment they were sent, tell whether two records tell of the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batch_runner.records import ANSWERED, Attempt, Bill, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Record:
    """A row's last line in one output."""

    result: Result
    made_up: bool
    """Answered by the embedded endpoint."""


def last_word(records: Sequence[Record]) -> int:
    """The place of the record that stands; of like ones the first."""
    return max(range(len(records)), key=lambda place: (*_rank(records[place]), -place))


def joined(records: Sequence[Record]) -> Result:
    """The record that stands, with the attempts and tokens of all of them in it, each once."""
    place = last_word(records)
    standing = records[place]
    result = standing.result
    for record in (*records[:place], *records[place + 1 :]):
        if standing.made_up or not record.made_up:
            result = _with_the_cost_of(record.result, result)
    return result


def _rank(record: Record) -> tuple[bool, bool, str]:
    return not record.made_up, record.result.status in ANSWERED, record.result.finished_at


def _with_the_cost_of(other: Result, result: Result) -> Result:
    """`result` with what `other` has cost in it.

    One that goes on from the other counts its attempts already. Where both go on from a third, what that had cost stands in
    both and can't be told apart: at least the larger of the two was spent, at most both.
    """
    ours, theirs = _counts(result.attempts), _counts(other.attempts)
    if _within(theirs, ours):
        return result
    if _within(ours, theirs):
        usd = other.cost_usd if other.model == result.model else None
        return _costing(result, other.bills, usd, other.attempts)
    forked = bool(ours.keys() & theirs.keys())
    together: Callable[[Bill, Bill], Bill] = _at_least_the_larger if forked else Bill.__add__
    bills = dict(result.bills)
    for model, bill in other.bills.items():
        bills[model] = together(bills.get(model, Bill()), bill)
    usd = _together(result, other, max if forked else float.__add__)
    return _costing(result, bills, usd, _all_attempts(result.attempts, other.attempts))


def _costing(result: Result, bills: Mapping[str, Bill], usd: float | None, attempts: tuple[Attempt, ...]) -> Result:
    """`result` with these bills; `usd` is what its own model's comes to, where that is another one now."""
    bill = bills.get(result.model, Bill())
    others = {model: bill for model, bill in bills.items() if model != result.model and bill}
    cost = result.cost_usd if bill == result.bill else usd
    return replace(result, bill=bill, other_bills=others, cost_usd=cost, attempts=attempts)


def _together(result: Result, other: Result, add: Callable[[float, float], float]) -> float | None:
    """The cost of both under the model that `result` names; `None` where one of them doesn't tell it."""
    if other.model != result.model or result.cost_usd is None or other.cost_usd is None:
        return None
    return add(result.cost_usd, other.cost_usd)


def _counts(attempts: tuple[Attempt, ...]) -> dict[tuple[str, str], int]:
    """Stretches of attempts by when they began and how they ended: how many each holds, which may grow from line to line."""
    return {(attempt.at, attempt.outcome): attempt.count for attempt in attempts}


def _within(fewer: Mapping[tuple[str, str], int], more: Mapping[tuple[str, str], int]) -> bool:
    return all(more.get(stretch, 0) >= count for stretch, count in fewer.items())


def _all_attempts(*lists: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    longest: dict[tuple[str, str], Attempt] = {}
    for attempt in (each for attempts in lists for each in attempts):
        known = longest.get((attempt.at, attempt.outcome))
        if known is None or known.count < attempt.count:
            longest[attempt.at, attempt.outcome] = attempt
    return tuple(sorted(longest.values(), key=lambda attempt: attempt.at))


def _at_least_the_larger(a: Bill, b: Bill) -> Bill:
    both = a.spent.each(min, b.spent)
    return Bill(a.spent.each(max, b.spent), a.maybe_billed + b.maybe_billed + both)
