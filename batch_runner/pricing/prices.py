"""The prices that apply: the user's where they say, else OpenAI's list. Each model is looked up once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

from batch_runner.models import SNAPSHOT
from batch_runner.pricing.listed import list_version, listed_price
from batch_runner.pricing.money import Cost, Price

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

    from batch_runner.records import Usage


@dataclass(slots=True)
class Prices:
    """Prices by model."""

    own: Mapping[str, Price] = field(default_factory=dict)
    """Those that the user gave, the multiplier not yet applied."""
    multiplier: Decimal | None = None
    """What a gateway makes of every price."""
    source: str = ""
    """The user's file."""
    _found: dict[str, Price | None] = field(default_factory=dict)

    def of(self, model: str) -> Price | None:
        """The price of `model`; `None` when nobody knows it."""
        if model not in self._found:
            self._found[model] = self._look_up(model)
        return self._found[model]

    def usd(self, model: str, usage: Usage, prompt_tokens: int | None) -> float | None:
        """What `usage` of one row costs, its prompt having `prompt_tokens`; `None` when the price isn't known."""
        price = self.of(model)
        if price is None:
            return None
        return float(price.at(usage.prompt_tokens or 0 if prompt_tokens is None else prompt_tokens).cost(usage))

    def cost(self, usages: Mapping[str, Usage]) -> Cost:
        """What sums of tokens cost, by model. A sum doesn't tell how long its prompts were, so where long ones cost more and
        may be among them, it is `at_least` that.
        """
        return reduce(add, (self._cost(model, usage) for model, usage in usages.items() if usage), Cost())

    def at_dearest(self, models: Iterable[str], usage: Usage) -> Cost:
        """What `usage` costs at most, were it all of the dearest of `models`; unpriced while one of them is, or none is named."""
        if not usage:
            return Cost()
        known = {model: self.of(model) for model in models}
        unpriced = frozenset(model for model, price in known.items() if price is None)
        prices = [price for price in known.values() if price is not None]
        if unpriced or not prices:
            return Cost(unpriced=unpriced or frozenset({""}))
        dearest = max(prices, key=lambda price: price.dearest.cost(usage))
        return Cost(dearest.dearest.cost(usage), listed=dearest.listed, own=not dearest.listed)

    def basis(self, cost: Cost) -> str:
        """Whose prices `cost` is made of, in words."""
        own = f"prices of {self.source}" if cost.own or (self.source and not cost.listed) else ""
        if own and not cost.listed:
            return own
        equivalent = f"list-price equivalent, {list_version()}"
        return f"{own}, else {equivalent}" if own else equivalent

    def _look_up(self, model: str) -> Price | None:
        own = self.own.get(model) or self.own.get(SNAPSHOT.sub("", model))
        price = own or listed_price(model)
        return price if price is None or self.multiplier is None else price.times(self.multiplier)

    def _cost(self, model: str, usage: Usage) -> Cost:
        price = self.of(model)
        if price is None:
            return Cost(unpriced=frozenset({model}))
        first_long = price.long_prompts[0][0] if price.long_prompts else None
        at_least = first_long is not None and (usage.prompt_tokens or 0) > first_long
        return Cost(price.rates.cost(usage), at_least=at_least, listed=price.listed, own=not price.listed)
