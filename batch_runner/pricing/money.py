"""Tokens x rates. Pure, in decimals: a sum over ten million rows is exact to the last digit of the rates."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batch_runner.records import Usage

PER = 1_000_000
"""Rates are for so many tokens."""


@dataclass(frozen=True, slots=True)
class Rates:
    """US dollars for a million tokens."""

    prompt: Decimal
    cached: Decimal
    """Of the prompt, what the service had read before."""
    completion: Decimal
    """Reasoning included."""

    def cost(self, usage: Usage) -> Decimal:
        """What `usage` costs, in US dollars."""
        prompt = usage.prompt_tokens or 0
        cached = min(usage.cached_tokens or 0, prompt)
        completion = usage.completion_tokens or 0
        return ((prompt - cached) * self.prompt + cached * self.cached + completion * self.completion) / PER

    def times(self, factor: Decimal) -> Rates:
        """All three, multiplied."""
        return Rates(self.prompt * factor, self.cached * factor, self.completion * factor)


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs."""

    rates: Rates
    long_prompts: tuple[tuple[int, Rates], ...] = ()
    """Other rates for requests whose prompt has more than so many tokens, ascending; they hold for the whole request."""
    listed: bool = True
    """True for OpenAI's own prices, False for what the user said."""

    def at(self, prompt_tokens: int) -> Rates:
        """The rates of a request with a prompt of so many tokens."""
        if not self.long_prompts:
            return self.rates
        return next((rates for start, rates in reversed(self.long_prompts) if prompt_tokens > start), self.rates)

    @property
    def dearest(self) -> Rates:
        """The rates of the longest prompts."""
        return self.long_prompts[-1][1] if self.long_prompts else self.rates

    def times(self, factor: Decimal) -> Price:
        """What the user's gateway makes of it."""
        return Price(
            self.rates.times(factor), tuple((start, each.times(factor)) for start, each in self.long_prompts), listed=False
        )


@dataclass(frozen=True, slots=True)
class Cost:
    """What tokens of several models come to."""

    usd: Decimal = Decimal(0)
    """Of the models whose price is known."""
    unpriced: frozenset[str] = frozenset()
    """The other models."""
    at_least: bool = False
    """True when some of it may have been dearer than counted."""
    listed: bool = False
    """True when any of it is at OpenAI's own prices."""
    own: bool = False
    """True when any of it is at the user's."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.usd + other.usd,
            self.unpriced | other.unpriced,
            self.at_least or other.at_least,
            self.listed or other.listed,
            self.own or other.own,
        )

    @property
    def known(self) -> float | None:
        """US dollars as a number for JSON; `None` while any price is missing."""
        return None if self.unpriced else float(self.usd)
