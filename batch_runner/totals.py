"""What a run, or all runs of a job, came to. Sums and counts only, so that totals can be merged in any order."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import orjson

from batch_runner.records import Bill, Status, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

LATENCY_EDGES = tuple(round(0.1 * 1.25**step, 3) for step in range(48))
"""Seconds, 0.1 to about 3,600, each a quarter above the one before."""

UNATTEMPTED = "unattempted"
NOT_IN_INPUT = "not_in_input"
ROW_COUNTS = (*(status.value for status in Status), UNATTEMPTED, NOT_IN_INPUT)


@dataclass(slots=True)
class Totals:
    """Rows by status, attempts by outcome, tokens by model. Changed only by the one run that owns it."""

    rows: Counter[str] = field(default_factory=Counter)
    """By status; for a job also `unattempted` and `not_in_input`."""
    attempts: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    """Rows that a run left without an answer, by failure kind; one that two runs left so counts twice."""
    bills: dict[str, Bill] = field(default_factory=dict)
    """By the model that was asked."""
    unclosed: Usage = Usage()
    """What runs that were killed may have cost beside what they recorded: at most their in-flight ceilings."""
    usage_missing: int = 0
    """Answers whose usage the service didn't tell."""
    slow_downs: int = 0
    """Attempts that the service refused because there were too many, or too many at once: its 429s."""
    answered_as: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Answers by the model asked and the model that answered."""
    latencies: Counter[int] = field(default_factory=Counter)
    """Answers by place in `LATENCY_EDGES`."""
    wall_ms: int = 0

    def bill(self, model: str, bill: Bill) -> None:
        """Count what one attempt has cost."""
        if bill:
            self.bills[model] = self.bills.get(model, Bill()) + bill

    def answered(self, model: str, model_answered: str, seconds: float, *, usage_known: bool) -> None:
        """Count one answer."""
        self.answered_as[model, model_answered] += 1
        self.latencies[bisect_left(LATENCY_EDGES, seconds)] += 1
        self.usage_missing += not usage_known

    @property
    def spent(self) -> Usage:
        """Tokens of all answers."""
        return sum((bill.spent for bill in self.bills.values()), Usage())

    @property
    def maybe_billed(self) -> Usage:
        """Tokens of attempts whose answer never came, at their worst, killed runs included."""
        return sum((bill.maybe_billed for bill in self.bills.values()), self.unclosed)

    @property
    def spent_by_model(self) -> dict[str, Usage]:
        """Tokens of all answers, by the model that was asked."""
        return {model: bill.spent for model, bill in self.bills.items()}

    @property
    def owed_by_model(self) -> dict[str, Usage]:
        """Tokens of attempts whose answer never came, at their worst; killed runs aside, which tell no model."""
        return {model: bill.maybe_billed for model, bill in self.bills.items()}

    def merge(self, other: Totals) -> Totals:
        """Both together; associative and commutative."""
        bills = dict(self.bills)
        for model, bill in other.bills.items():
            bills[model] = bills.get(model, Bill()) + bill
        return Totals(
            self.rows + other.rows,
            self.attempts + other.attempts,
            self.failures + other.failures,
            bills,
            self.unclosed + other.unclosed,
            self.usage_missing + other.usage_missing,
            self.slow_downs + other.slow_downs,
            self.answered_as + other.answered_as,
            self.latencies + other.latencies,
            self.wall_ms + other.wall_ms,
        )

    def as_json(self) -> dict[str, Any]:
        """With keys that never vary: counts by kind, model and bucket are JSON text."""
        return {
            "rows": sum(self.rows[status] for status in (*Status, UNATTEMPTED)),
            **row_counts(self.rows),
            "attempts": self.attempts,
            "tokens": self.spent.as_dict(),
            "maybe_billed": self.maybe_billed.as_dict(),
            "unclosed": self.unclosed.as_dict(),
            "usage_missing": self.usage_missing,
            "slow_downs": self.slow_downs,
            "by_kind": _text(self.failures),
            "by_model": _text({model: [bill.spent.as_dict(), bill.maybe_billed.as_dict()] for model, bill in self.bills.items()}),
            "answered_as": _text([[*pair, count] for pair, count in self.answered_as.items()]),
            "latency_s": _text({str(place): count for place, count in sorted(self.latencies.items())}),
            "wall_s": self.wall_ms / 1000,
        }

    @classmethod
    def from_json(cls, numbers: Mapping[str, Any]) -> Self:
        """What `as_json` made."""
        return cls(
            rows=Counter({name: numbers[name] for name in ROW_COUNTS if numbers[name]}),
            attempts=numbers["attempts"],
            failures=Counter(orjson.loads(numbers["by_kind"])),
            bills={
                model: Bill(Usage.from_dict(spent), Usage.from_dict(owed))
                for model, (spent, owed) in orjson.loads(numbers["by_model"]).items()
            },
            unclosed=Usage.from_dict(numbers["unclosed"]),
            usage_missing=numbers["usage_missing"],
            slow_downs=numbers.get("slow_downs", 0),  # outputs written before it was counted
            answered_as=Counter({(asked, answered): count for asked, answered, count in orjson.loads(numbers["answered_as"])}),
            latencies=Counter({int(place): count for place, count in orjson.loads(numbers["latency_s"]).items()}),
            wall_ms=round(numbers["wall_s"] * 1000),
        )

    def latency_quantile(self, share: float) -> float | None:
        """Seconds within which `share` of the answers came, to a quarter; `None` before the first answer."""
        left = share * sum(self.latencies.values())
        for place, count in sorted(self.latencies.items()):
            left -= count
            if left <= 0:
                return LATENCY_EDGES[min(place, len(LATENCY_EDGES) - 1)]
        return None


def row_counts(rows: Mapping[str, int]) -> dict[str, int]:
    """Rows by status, every status there, in the order of the format."""
    return {name: rows.get(name, 0) for name in ROW_COUNTS}


def _text(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
