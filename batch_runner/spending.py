"""What an output may cost over its life: the caps of a run, and whether it can keep to them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from batch_runner.admission import Cap
from batch_runner.failures import CannotStart
from batch_runner.models import OTHER, family_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from batch_runner.pricing import Price, Prices
    from batch_runner.records import Usage
    from batch_runner.settings.groups import MoneySettings
    from batch_runner.totals import Totals

MAX_COST, MAX_TOTAL_TOKENS = "--max-cost", "--max-total-tokens"


def caps_of(money: MoneySettings, prices: Prices, before: Totals, models: Mapping[str, bool]) -> list[Cap]:
    """The caps that `money` names, with what the runs `before` have used of each. `models`: those that rows ask for, and
    whether one of them does without a cap of its own.

    Raises `CannotStart` where a cap couldn't be kept: for a model whose price or longest answer nobody knows.
    """
    caps = list[Cap]()
    if money.max_total_tokens is not None:
        _check_lengths(MAX_TOTAL_TOKENS, {model for model, uncapped in models.items() if uncapped})
        used = _tokens(before.spent) + _tokens(before.maybe_billed)
        caps.append(Cap(MAX_TOTAL_TOKENS, Decimal(money.max_total_tokens), lambda _model, usage: _tokens(usage), used))
    if money.max_cost is not None:
        _check_lengths(MAX_COST, {model for model, uncapped in models.items() if uncapped})
        known = _known(prices, models.keys() | before.bills.keys())
        caps.append(
            Cap(
                MAX_COST,
                Decimal(str(money.max_cost)),
                lambda model, usage: known[model].at(usage.prompt_tokens or 0).cost(usage),
                _cost(known, before),
            )
        )
    return caps


def reached_in_words(cap: Cap, next_one: Decimal) -> str:
    """Why a run ends at a cap."""
    used, asked, limit = (_amount(cap, amount) for amount in (cap.used, next_one, cap.limit))
    return f"{cap.flag} {limit} is reached: {used} is spent or may have been, and the next row may come to {asked}"


def cap_in_words(cap: Cap) -> str:
    """A cap before a run."""
    return f"{cap.flag} {_amount(cap, cap.limit)}, of which {_amount(cap, cap.used)} is spent or may have been"


def _amount(cap: Cap, amount: Decimal) -> str:
    return f"${amount:,.4f}" if cap.flag == MAX_COST else f"{amount:,}"


def _tokens(usage: Usage) -> Decimal:
    return Decimal((usage.prompt_tokens or 0) + (usage.completion_tokens or 0))


def _check_lengths(flag: str, models: AbstractSet[str]) -> None:
    unknown = sorted(model for model in models if family_of(model) is OTHER)
    if unknown:
        raise CannotStart(
            f"{flag} can't be kept: nobody here knows how long an answer of {unknown[0]!r} can get: give --max-completion-tokens"
        )


def _known(prices: Prices, models: AbstractSet[str]) -> dict[str, Price]:
    known = {model: price for model in models if (price := prices.of(model)) is not None}
    missing = sorted(models - known.keys())
    if missing:
        raise CannotStart(f"{MAX_COST} can't be kept: nobody here knows what {missing[0]!r} costs, so say it in --prices FILE")
    return known


def _cost(known: Mapping[str, Price], before: Totals) -> Decimal:
    """What earlier runs came to, killed ones at their worst. Sums don't tell how long prompts were: the dearest rates count."""
    bills = sum((known[model].dearest.cost(bill.spent + bill.maybe_billed) for model, bill in before.bills.items()), Decimal(0))
    if not before.unclosed:
        return bills
    return bills + max(price.dearest.cost(before.unclosed) for price in known.values())
