"""What a run, or all runs of a job, came to. Sums and counts only, so that totals can be merged in any order."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import orjson

from batch_runner.exits import deserved
from batch_runner.records import NO_BILL, NO_PAST, Bill, Status, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch_runner.exits import ExitStatus
    from batch_runner.records import Past, Result

LATENCY_EDGES = tuple(round(0.1 * 1.25**step, 3) for step in range(48))
"""Seconds, 0.1 to about 3,600, each a quarter above the one before."""

LENGTH_EDGES = tuple(round(16 * 2 ** (step / 4)) for step in range(60))
"""Completion tokens, 16 to about 442,000, each a fifth above the one before."""

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
    in_vain: dict[str, Usage] = field(default_factory=dict)
    """What was spent on no answer that stands, by model: on failed attempts, and on answers that better ones replaced."""
    truncated: dict[str, Usage] = field(default_factory=dict)
    """Tokens of the answers that stand truncated, by model; of a run: those it added less those it replaced."""
    lengths: Counter[int] = field(default_factory=Counter)
    """Whole answers by place of their completion tokens in `LENGTH_EDGES`."""

    def row(self, result: Result, past: Past) -> None:
        """Count how a row stands at the end of this run, where it stood as `past` tells; its attempts are counted apart."""
        self.rows[result.status] += 1
        if past is NO_PAST and result.bill.spent is result.usage and not result.other_bills:
            self.stands(result.status, result.model, result.usage)  # one attempt, and its answer stands: nothing was in vain
            return
        self.vain(result.bills, result.model, result.usage)
        for model, bill in past.bills.items():
            _add(self.in_vain, model, Usage() - bill.spent)
        if past.answer is None:
            self.stands(result.status, result.model, result.usage)
            return
        before = past.answer
        _add(self.in_vain, before.model, before.usage)
        if before.usage is not result.usage:  # else it is the same answer still
            self.stands(result.status, result.model, result.usage)
            if before.status is Status.TRUNCATED:
                _add(self.truncated, before.model, Usage() - before.usage)

    def stands(self, status: str, model: str, usage: Usage) -> None:
        """Count the answer of a row that stands so."""
        if status == Status.TRUNCATED:
            _add(self.truncated, model, usage)
        if status == Status.OK and usage.completion_tokens is not None:
            self.lengths[bisect_left(LENGTH_EDGES, usage.completion_tokens)] += 1

    def vain(self, bills: Mapping[str, Bill], model: str, usage: Usage) -> None:
        """Count what `bills` hold beside the `usage` of an answer that stands."""
        for name, bill in bills.items():
            _add(self.in_vain, name, bill.spent)
        _add(self.in_vain, model, Usage() - usage)

    def bill(self, model: str, bill: Bill) -> None:
        """Count what one attempt has cost."""
        if bill:
            self.bills[model] = self.bills.get(model, NO_BILL) + bill

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
            _together(self.in_vain, other.in_vain),
            _together(self.truncated, other.truncated),
            self.lengths + other.lengths,
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
            "in_vain": _text({model: usage.as_dict() for model, usage in self.in_vain.items()}),
            "truncated_tokens": _text({model: usage.as_dict() for model, usage in self.truncated.items()}),
            "lengths": _text({str(place): count for place, count in sorted(self.lengths.items())}),
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
            in_vain=_usages(numbers.get("in_vain", "{}")),  # earlier versions wrote none of these three
            truncated=_usages(numbers.get("truncated_tokens", "{}")),
            lengths=Counter({int(place): count for place, count in orjson.loads(numbers.get("lengths", "{}")).items()}),
        )

    def latency_quantile(self, share: float) -> float | None:
        """Seconds within which `share` of the answers came, to a quarter; `None` before the first answer."""
        return _quantile(self.latencies, LATENCY_EDGES, share)

    def length_quantile(self, share: float) -> int | None:
        """Completion tokens that `share` of the whole answers stay within, to a fifth; `None` before the first of them."""
        edge = _quantile(self.lengths, LENGTH_EDGES, share)
        return None if edge is None else int(edge)


def as_rows_deserve(rows: Mapping[str, int], max_failed: str) -> ExitStatus:
    """The exit status that rows by status deserve; `max_failed` as `exits.deserved` takes it."""
    known = sum(rows.get(status, 0) for status in (*Status, UNATTEMPTED))
    return deserved(rows=known, ok=rows.get(Status.OK, 0), max_failed=max_failed)


def row_counts(rows: Mapping[str, int]) -> dict[str, int]:
    """Rows by status, every status there, in the order of the format."""
    return {name: rows.get(name, 0) for name in ROW_COUNTS}


def _quantile(counts: Counter[int], edges: Sequence[float], share: float) -> float | None:
    left = share * counts.total()
    for place, count in sorted(counts.items()):
        left -= count
        if left <= 0:
            return edges[min(place, len(edges) - 1)]
    return None


def _add(usages: dict[str, Usage], model: str, usage: Usage) -> None:
    """Add `usage` to that of `model`; what comes to nothing isn't kept."""
    together = usages.pop(model, Usage()) + usage
    if any(together.as_dict().values()):
        usages[model] = together


def _together(a: Mapping[str, Usage], b: Mapping[str, Usage]) -> dict[str, Usage]:
    both = dict(a)
    for model, usage in b.items():
        _add(both, model, usage)
    return both


def _usages(text: str) -> dict[str, Usage]:
    return {model: Usage.from_dict(numbers) for model, numbers in orjson.loads(text).items()}


def _text(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
