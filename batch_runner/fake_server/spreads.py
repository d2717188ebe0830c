"""Spreads: how a number varies, for seconds of latency and for counts of tokens alike.

A spread is a quantile function: it turns a share of luck between 0 and 1 into a number. The luck comes from `dice`, so the
same prompt and seed always meet the same number, in whatever order the requests arrive.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

STANDARD_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Fixed:
    """Always the same number."""

    value: float = 0.0

    def at(self, luck: float) -> float:  # noqa: ARG002 - every spread is asked the same way
        """The number at this luck."""
        return self.value


@dataclass(frozen=True, slots=True)
class Uniform:
    """Any number from `low` to `high`, all as likely."""

    low: float
    high: float

    def at(self, luck: float) -> float:
        """The number at this luck."""
        return self.low + (self.high - self.low) * luck


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Mostly around `median`, with a long tail; the unluckiest `tail_share` is `tail_factor` times worse still."""

    median: float
    sigma: float = 0.8
    tail_share: float = 0.0
    tail_factor: float = 10.0
    most: float = math.inf

    def at(self, luck: float) -> float:
        """The number at this luck."""
        number = self.median * math.exp(self.sigma * STANDARD_NORMAL.inv_cdf(luck))
        if luck > 1.0 - self.tail_share:
            number *= self.tail_factor
        return min(number, self.most)


Spread = Fixed | Uniform | LogNormal
