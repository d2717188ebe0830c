"""What an output may cost over its life: the caps of a run, and whether it can keep to them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Self

from batch_runner.admission import Cap
from batch_runner.failures import CannotStart
from batch_runner.models import OTHER, family_of
from batch_runner.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from batch_runner.pricing import Price, Prices
    from batch_runner.records import ChatRequest, Usage
    from batch_runner.settings.groups import MoneySettings

MAX_COST, MAX_TOTAL_TOKENS = "--max-cost", "--max-total-tokens"


@dataclass(frozen=True, slots=True)
class WiderCap:
    """A cap on cost beside those on an output: on a night, or on a job of many outputs."""

    name: str
    """How the user calls it."""
    limit: float
    """US dollars."""
    since: float | None = None
    """What runs of the output that began before this (seconds since 1970) came to doesn't count."""
    elsewhere: Totals | None = None
    """What counts beside the output."""


@dataclass(frozen=True, slots=True)
class CapUse:
    """Such a cap and what has been used of it: the cost of `counted`, but for that of `uncounted`."""

    cap: WiderCap
    counted: tuple[Totals, ...]
    uncounted: Totals


@dataclass(frozen=True, slots=True)
class CapReached:
    """A cap on cost that the next row doesn't fit under: in US dollars, or in tokens."""

    flag: str
    """How the user calls it."""
    limit: Decimal
    used: Decimal
    """Spent, or maybe billed."""
    asked: Decimal
    """What the next row can come to."""
    in_dollars: bool

    @classmethod
    def by(cls, cap: Cap, request: ChatRequest) -> Self:
        """The cap as `request` meets it."""
        return cls(cap.flag, cap.limit, cap.used, cap.worst(request), cap.in_dollars)

    def __str__(self) -> str:
        limit, used, asked = (_amount(amount, in_dollars=self.in_dollars) for amount in (self.limit, self.used, self.asked))
        return f"{self.flag} {limit} is reached: {used} is spent or may have been, and the next row may come to {asked}"


def caps_of(
    money: MoneySettings, prices: Prices, before: Totals, models: Mapping[str, bool], allowed: Sequence[CapUse] = ()
) -> list[Cap]:
    """The caps that `money` names, and those `allowed`, with what the runs `before` have used of each. `models`: those that rows
    ask for, and whether one of them does without a cap of its own.

    Raises `CannotStart` where a cap couldn't be kept: for a model whose price or longest answer nobody knows.
    """
    caps = list[Cap]()
    if money.max_total_tokens is not None:
        _check_lengths(MAX_TOTAL_TOKENS, {model for model, uncapped in models.items() if uncapped})
        used = _tokens(before.spent) + _tokens(before.maybe_billed)
        caps.append(Cap(MAX_TOTAL_TOKENS, Decimal(money.max_total_tokens), lambda _model, usage: _tokens(usage), used))
    if money.max_cost is not None:
        allowed = (CapUse(WiderCap(MAX_COST, money.max_cost), (before,), Totals()), *allowed)
    for each in allowed:
        flag, counted, uncounted = each.cap.name, each.counted, each.uncounted
        _check_lengths(flag, {model for model, uncapped in models.items() if uncapped})
        known = _known(prices, models.keys() | {model for totals in (*counted, uncounted) for model in totals.bills}, flag)
        used = sum((_cost(known, totals) for totals in counted), -_cost(known, uncounted))
        caps.append(Cap(flag, Decimal(str(each.cap.limit)), partial(_cost_of_one, known), max(used, Decimal(0)), in_dollars=True))
    return caps


def _cost_of_one(known: Mapping[str, Price], model: str, usage: Usage) -> Decimal:
    return known[model].at(usage.prompt_tokens or 0).cost(usage)


def cap_in_words(cap: Cap) -> str:
    """A cap before a run."""
    limit, used = (_amount(amount, in_dollars=cap.in_dollars) for amount in (cap.limit, cap.used))
    return f"{cap.flag} {limit}, of which {used} is spent or may have been"


def _amount(amount: Decimal, *, in_dollars: bool) -> str:
    return f"${amount:,.4f}" if in_dollars else f"{amount:,}"


def _tokens(usage: Usage) -> Decimal:
    return Decimal((usage.prompt_tokens or 0) + (usage.completion_tokens or 0))


def _check_lengths(flag: str, models: AbstractSet[str]) -> None:
    unknown = sorted(model for model in models if family_of(model) is OTHER)
    if unknown:
        raise CannotStart(
            f"{flag} can't be kept: nobody here knows how long an answer of {unknown[0]!r} can get: give --max-completion-tokens"
        )


def _known(prices: Prices, models: AbstractSet[str], flag: str) -> dict[str, Price]:
    known = {model: price for model in models if (price := prices.of(model)) is not None}
    missing = sorted(models - known.keys())
    if missing:
        raise CannotStart(f"{flag} can't be kept: nobody here knows what {missing[0]!r} costs, so say it in --prices FILE")
    return known


def _cost(known: Mapping[str, Price], before: Totals) -> Decimal:
    """What earlier runs came to, killed ones at their worst. Sums don't tell how long prompts were: the dearest rates count."""
    bills = sum((known[model].dearest.cost(bill.spent + bill.maybe_billed) for model, bill in before.bills.items()), Decimal(0))
    if not before.unclosed:
        return bills
    return bills + max(price.dearest.cost(before.unclosed) for price in known.values())
