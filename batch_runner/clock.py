"""Times as they are written: UTC, ISO 8601, milliseconds, `Z`. The clock itself is passed in where it is used."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

MICROS = 1_000_000

Clock = Callable[[], float]
"""Seconds since 1970, as `time.time` gives them."""


def timestamp(seconds: float) -> str:
    """`2026-11-24T18:35:40.123Z`."""
    whole = int(seconds)
    micro = round((seconds - whole) * MICROS)  # as `fromtimestamp` rounds
    if micro == MICROS:
        whole, micro = whole + 1, 0
    return f"{_second(whole)}.{micro // 1000:03d}Z"


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    """A run writes the time thousands of times in each second, and all but the end of it stays the same."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


def seconds_of(written: str) -> float:
    """Seconds since 1970 of what `timestamp` wrote. Raises `ValueError` for another text, `TypeError` for what is none."""
    return datetime.fromisoformat(written).timestamp()


def compact_timestamp(seconds: float) -> str:
    """`20261124T183540Z`, for names."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")
