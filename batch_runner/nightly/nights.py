"""Which night it is. A night has one date, the one on which it begins, however long after midnight it goes on. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Self

from batch_runner.zones import moment_of


@dataclass(frozen=True, slots=True)
class Night:
    """The 24 hours (or 23, or 25) that share a date."""

    day: date
    begins: float
    """Seconds since 1970."""

    @classmethod
    def at(cls, now: float, zone: tzinfo, day_starts: time) -> Self:
        """The night it is at `now`: the last one whose `day_starts` has come."""
        day = datetime.fromtimestamp(now, zone).date() + timedelta(days=1)
        while (begins := moment_of(day, day_starts, zone)) > now:
            day -= timedelta(days=1)
        return cls(day, begins)

    @classmethod
    def on(cls, day: date, zone: tzinfo, day_starts: time) -> Self:
        """The night of a date."""
        return cls(day, moment_of(day, day_starts, zone))
