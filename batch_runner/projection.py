"""What some random rows foretell of the others: sums and shares, each with a range that holds in at least nine of ten runs. Pure.

Costs of answers are skewed: a few think long. So the upper end of a sum is the larger of Student's and of Hall's (1992), which
knows of skewness; `tests/test_projection.py` tries both ends on thousands of random runs. What is rarer than one row in the
pilot's number can't be foreseen by anybody.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LEVEL = 0.985
"""The probability of each end by itself."""
TAIL = 0.03
"""What is as good as impossible."""


@dataclass(frozen=True, slots=True)
class Range:
    """A number foretold: the likeliest one, and between which two it will lie."""

    about: float
    low: float
    high: float

    def times(self, factor: float) -> Range:
        """All three, multiplied."""
        return Range(self.about * factor, self.low * factor, self.high * factor)


def sum_of(others: int, sample: Sequence[float]) -> Range | None:
    """What `others` rows come to together, of which those in `sample` were a random choice; `None` for an empty sample.

    A single row tells nothing of how far others may be from it: its range is the number itself.
    """
    if not sample or not others:
        return Range(0.0, 0.0, 0.0) if sample else None
    count, mean = len(sample), fmean(sample)
    about = others * mean
    if count == 1:
        return Range(about, about, about)
    spread = math.sqrt(sum((each - mean) ** 2 for each in sample) / (count - 1))
    if spread <= 1e-12 * abs(mean):
        return Range(about, about, about)
    step = others * spread * math.sqrt(1 / count + 1 / others)
    quantile = student(LEVEL, count - 1)
    upward = max(quantile, -_hall(-quantile, _skewness(sample, mean), count))
    return Range(about, max(0.0, about - quantile * step), about + upward * step)


def share_of(others: int, sample: Sequence[bool]) -> Range | None:
    """The share of `others` for which holds what holds for some of `sample`. Exact: a number of others is ruled out when it
    would make so many (or so few) in the sample as good as impossible, by the hypergeometric distribution.
    """
    if not sample or not others:
        return Range(0.0, 0.0, 0.0) if sample else None
    rows, having = len(sample), sum(sample)
    least = _least(others, lambda count: _chance(range(having, rows + 1), rows, having + count, rows + others) > TAIL)
    most = others - _least(others, lambda lack: _chance(range(having + 1), rows, having + others - lack, rows + others) > TAIL)
    share = having / rows
    return Range(share, min(share, least / others), max(share, most / others))


def ratio_of(others: int, parts: Sequence[float], wholes: Sequence[float]) -> Range | None:
    """The share of `parts` in `wholes`, summed over `others` rows; `None` where the sample holds no whole."""
    count, whole = len(wholes), sum(wholes)
    if not whole or not others:
        return None
    ratio = sum(parts) / whole
    if count == 1:
        return Range(ratio, ratio, ratio)
    spread = math.sqrt(sum((part - ratio * each) ** 2 for part, each in zip(parts, wholes, strict=True)) / (count - 1))
    half = student(LEVEL, count - 1) * spread / (whole / count) * math.sqrt(1 / count + 1 / others)
    return Range(ratio, max(0.0, ratio - half), min(1.0, ratio + half))


def student(level: float, freedom: int) -> float:
    """The quantile of Student's t, exact for one and two degrees of freedom, else to a percent (Abramowitz & Stegun 26.7.5)."""
    if freedom == 1:
        return math.tan(math.pi * (level - 0.5))
    if freedom == 2:  # noqa: PLR2004 - degrees
        return (2 * level - 1) * math.sqrt(2 / (4 * level * (1 - level)))
    z = NormalDist().inv_cdf(level)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return sum(term / math.pow(freedom, power) for power, term in enumerate(terms))


def _hall(x: float, skewness: float, count: int) -> float:
    """The quantile `x` of a symmetric mean, as that of a skewed one (Hall's transformation, turned around)."""
    if abs(skewness) < 1e-9:  # noqa: PLR2004 - as good as none
        return x
    inner = 1 + skewness * (x / math.sqrt(count) - skewness / (6 * count))
    return (math.cbrt(inner) - 1) * 3 / skewness * math.sqrt(count)


def _skewness(sample: Sequence[float], mean: float) -> float:
    deviation = math.sqrt(fmean((each - mean) ** 2 for each in sample))
    return fmean(((each - mean) / deviation) ** 3 for each in sample)


def _least(most: int, holds: Callable[[int], bool]) -> int:
    """The least number up to `most` for which holds what holds for all larger ones."""
    return bisect_left(range(most), 1, key=lambda number: int(holds(number)))


def _chance(seen: range, rows: int, having: int, all_rows: int) -> float:
    """How likely `seen` of so many `rows` have something that `having` of `all_rows` have."""
    possible = range(max(seen.start, rows - (all_rows - having)), min(seen.stop, having + 1))
    whole = _ways(all_rows, rows)
    return math.fsum(math.exp(_ways(having, each) + _ways(all_rows - having, rows - each) - whole) for each in possible)


def _ways(all_of_them: int, picked: int) -> float:
    """The logarithm of how many ways there are to pick some."""
    return math.lgamma(all_of_them + 1) - math.lgamma(picked + 1) - math.lgamma(all_of_them - picked + 1)
