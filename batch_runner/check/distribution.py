"""How numbers are spread: counts in fixed buckets, so that distributions of any size merge, and stay small."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

EXACT_BITS = 7
"""Numbers below 2 ** 7 have a bucket each; above, a bucket is as wide as a 64th of its numbers."""


@dataclass(frozen=True, slots=True)
class Bar:
    """How many numbers lie from `low` to `high`, both included."""

    low: int
    high: int
    count: int


@dataclass(slots=True)
class Distribution:
    """Whole numbers from 0 on: their count, sum, ends, and quantiles to 1.6 %."""

    count: int = 0
    total: int = 0
    least: int | None = None
    most: int | None = None
    _buckets: Counter[int] = field(default_factory=Counter)

    def add(self, number: int, times: int = 1) -> None:
        """One more number, or the same so many `times`."""
        self.count += times
        self.total += times * number
        self.least = number if self.least is None else min(self.least, number)
        self.most = number if self.most is None else max(self.most, number)
        self._buckets[_bucket(number)] += times

    def merge(self, other: Distribution) -> Distribution:
        """Both together; associative and commutative."""
        leasts = [each for each in (self.least, other.least) if each is not None]
        mosts = [each for each in (self.most, other.most) if each is not None]
        return Distribution(
            self.count + other.count,
            self.total + other.total,
            min(leasts, default=None),
            max(mosts, default=None),
            self._buckets + other._buckets,
        )

    def quantile(self, share: float) -> int | None:
        """The number that `share` of all don't exceed; `None` without any."""
        if self.most is None or self.least is None:
            return None
        left = share * self.count
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                return max(self.least, min(_highest(bucket), self.most))
        return self.most

    def bars(self, most: int = 12) -> list[Bar]:
        """A histogram from the least number to the largest, in up to `most` steps that double, or quadruple, and so on."""
        if self.least is None or self.most is None:
            return []
        counts: Counter[int] = Counter()
        for bucket, count in self._buckets.items():
            counts[_lowest(bucket).bit_length()] += count
        first, last = min(counts), max(counts)
        step = -(-(last - first + 1) // most)
        return [
            Bar(
                max(self.least, _power(start)),
                min(self.most, _power(start + step) - 1),
                sum(counts[start + k] for k in range(step)),
            )
            for start in range(first, last + 1, step)
        ]


def _power(bits: int) -> int:
    """The smallest number of so many bits."""
    return 1 << bits - 1 if bits else 0


def _bucket(number: int) -> int:
    shift = max(0, number.bit_length() - EXACT_BITS)
    return (shift << EXACT_BITS) | (number >> shift)


def _lowest(bucket: int) -> int:
    return (bucket & ((1 << EXACT_BITS) - 1)) << (bucket >> EXACT_BITS)


def _highest(bucket: int) -> int:
    shift = bucket >> EXACT_BITS
    return _lowest(bucket) + (1 << shift) - 1
