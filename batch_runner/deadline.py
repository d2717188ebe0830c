"""When a run has to be over, and when it begins to leave for that. Pure but for the clocks handed in."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from batch_runner.exits import ExitStatus
from batch_runner.zones import local_zone, next_moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch_runner.clock import Clock
    from batch_runner.leaving import Leaving
    from batch_runner.settings.groups import EndingSettings

LOOK_SECONDS = 20.0
"""How often the clock on the wall is looked at: it may be set, and stands still for nobody who sleeps."""

MOST_OF_THE_TIME = 0.5
"""The part of a run's time that it may keep for its drain."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a run has to be over, by the clock on the wall, by how long it takes, or by both."""

    at: float | None
    """Seconds since 1970."""
    ends: float | None
    """On the clock that only goes forward."""
    reserve: float
    """Seconds before, at which nothing new is sent any more."""
    told: str
    """The same in words."""

    @classmethod
    def of(cls, ending: EndingSettings, now: float, monotonic: float, zone: tzinfo | None = None) -> Deadline | None:
        """The deadline that settings name for a run that begins now; `None` where they name none. `zone`: else the machine's.

        `stop_at` is the next time that the clocks of the zone show it.
        """
        if ending.stop_at is None and ending.max_duration is None:
            return None
        at = None
        told = []
        if ending.stop_at is not None:
            zone = zone or local_zone()
            at = next_moment(now, ending.stop_at, zone)
            told.append(f"--stop-at {datetime.fromtimestamp(at, zone):%H:%M}")
        ends = None
        if ending.max_duration is not None:
            ends = monotonic + ending.max_duration
            told.append(f"--max-duration {ending.max_duration:g}s")
        deadline = cls(at, ends, 0.0, " and ".join(told))
        reserve = min(ending.drain_timeout, MOST_OF_THE_TIME * deadline.seconds_left(now, monotonic))
        return cls(at, ends, reserve, deadline.told)

    def seconds_left(self, now: float, monotonic: float) -> float:
        """Seconds until the run has to be over; below zero when it should be."""
        left = [end - clock for end, clock in ((self.at, now), (self.ends, monotonic)) if end is not None]
        return min(left)


async def leave_in_time(leaving: Leaving, deadline: Deadline, clock: Clock, monotonic: Clock, say: Callable[[str], None]) -> None:
    """Drain `deadline.reserve` before the deadline, and hang up at it."""
    await _until(deadline, deadline.reserve, clock, monotonic)
    if not leaving.draining:
        leaving.reason = f"the time is up ({deadline.told}); the same command goes on with the rest"
        say(leaving.reason)
    leaving.drain(ExitStatus.DEADLINE)
    await _until(deadline, 0.0, clock, monotonic)
    leaving.hang_up(ExitStatus.DEADLINE)


async def _until(deadline: Deadline, before: float, clock: Clock, monotonic: Clock) -> None:
    while (left := deadline.seconds_left(clock(), monotonic()) - before) > 0:
        await asyncio.sleep(min(left, LOOK_SECONDS))
