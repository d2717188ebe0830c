"""Times as they are written: UTC, ISO 8601, milliseconds, `Z`. The clock itself is passed in where it is used."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], float]
"""Seconds since 1970, as `time.time` gives them."""


def timestamp(seconds: float) -> str:
    """`2026-11-24T18:35:40.123Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def compact_timestamp(seconds: float) -> str:
    """`20261124T183540Z`, for names."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")
