"""A few random rows first: what they cost and took, and what that foretells of the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch_runner.failures import SLOW_DOWN
from batch_runner.projection import Range, ratio_of, share_of, sum_of
from batch_runner.records import Status, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch_runner.failures import Failure
    from batch_runner.pricing import Cost, Prices
    from batch_runner.progress import RunReport, Snapshot
    from batch_runner.records import PromptRow, Rejected, Result
    from batch_runner.settings.groups import LimitSettings
    from batch_runner.totals import Totals

FEW = 20
"""Below so many rows a pilot tells little."""

MORE_SLOTS = 8
"""How many times the slots of a pilot a longer run may find."""

UNEVEN = 1.5
"""How much longer than at the pilot's pace it may take, where the service asked to slow down meanwhile."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a pilot of so many `rows` foretells of the `others`."""

    rows: int
    others: int
    cost: Cost
    """Of the pilot's rows; whose prices they are, and which are missing."""
    usd: Range | None
    """`None` while a price is missing, or nothing was answered."""
    owed: Cost
    """What lost answers of the pilot may have cost besides."""
    tokens: Range
    reasoning: Range | None
    """Its share of the completion tokens; `None` where there were none."""
    truncated: Range
    """The share of rows whose answer is cut off."""
    seconds: Range


class Pilot:
    """Gathers what a pilot's rows came to; a reporter like others."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self._results: list[Result] = []

    def started(self, run_id: str, to_record: int) -> None:
        """Nothing: rows tell."""

    def update(self, snapshot: Snapshot) -> None:
        """Nothing: rows tell."""

    def attempt_failed(self, row_id: str, failure: Failure, wait: float | None, attempt: int) -> None:
        """Nothing: the row's last word tells of all its attempts."""

    def recorded(self, _row: PromptRow | Rejected, result: Result) -> None:
        """Keep what a row came to, without its texts."""
        self._results.append(result)

    def decided(self, decision: str) -> None:
        """Nothing: limits foretell nothing."""

    def stopping(self, reason: str) -> None:
        """Nothing: a run that stops foretells nothing."""

    def ended(self, report: RunReport) -> None:
        """Nothing: it is asked for."""

    def prospect(self, others: int, run: Totals, limits: LimitSettings) -> Prospect | None:
        """What is to be expected of the `others`, after this `run` of the pilot's rows; `None` without any."""
        results = self._results
        if not results:
            return None
        spent = [sum((bill.spent for bill in result.bills.values()), Usage()) for result in results]
        cost = self._prices.cost(run.spent_by_model)
        tokens = sum_of(others, _as_of_now([each.total_tokens or 0 for each in spent], run.spent.total_tokens or 0))
        completion, reasoning = [each.completion_tokens or 0 for each in spent], [each.reasoning_tokens or 0 for each in spent]
        truncated = share_of(others, [result.status is Status.TRUNCATED for result in results])
        assert tokens is not None
        assert truncated is not None
        return Prospect(
            rows=len(results),
            others=others,
            cost=cost,
            usd=None if cost.unpriced else sum_of(others, _as_of_now(list(map(self._usd, results)), float(cost.usd))),
            owed=self._prices.cost(run.owed_by_model),
            tokens=tokens,
            reasoning=ratio_of(others, reasoning, completion),
            truncated=truncated,
            seconds=_seconds(results, others, run, limits, tokens),
        )

    def _usd(self, result: Result) -> float:
        prompt = result.usage.prompt_tokens
        return sum(self._prices.usd(model, bill.spent, prompt) or 0.0 for model, bill in result.bills.items())


def _as_of_now(amounts: Sequence[float], together: float) -> list[float]:
    """`amounts` of rows, without what earlier runs of theirs came to: all of this run's are `together`."""
    counted = sum(amounts)
    return [amount * together / counted if counted else 0.0 for amount in amounts]


def _seconds(results: Sequence[Result], others: int, run: Totals, limits: LimitSettings, tokens: Range) -> Range:
    """How long the others take: as long as the work does when shared out to the slots, or as the limits on rates let it.

    Whatever the order, sharing out takes no longer than the mean slot works, and the longest row on top (Graham, 1966), once all
    slots are in use; a pilot's own pace, its beginning included, is the slowest to expect. Without `--concurrency`, those are the
    slots that the pilot used; a run that is left to find out may find many more.
    """
    work = [sum(attempt.seconds for attempt in result.attempts) for result in results]
    told, found = limits.concurrency, 1000 * sum(work) / max(1, run.wall_ms)
    slots = max(1.0, min(found if told is None else told, others))
    shared = sum_of(others, [each / slots for each in work])
    assert shared is not None
    pace = run.wall_ms / 1000 * others / len(results)
    high = max(shared.high + max(work), pace)
    ways = [Range(shared.about, shared.low / (1 if told is not None else MORE_SLOTS), high)]
    if limits.rpm is not None:
        requests = others * run.attempts / len(results)
        ways.append(Range(*[60 * requests / limits.rpm] * 3))
    if limits.tpm is not None:
        ways.append(tokens.times(60 / limits.tpm))
    if any(attempt.outcome in SLOW_DOWN for result in results for attempt in result.attempts):
        ways.append(Range(pace, shared.low, UNEVEN * pace))
    return Range(*(max(ends) for ends in zip(*((way.about, way.low, way.high) for way in ways), strict=True)))
