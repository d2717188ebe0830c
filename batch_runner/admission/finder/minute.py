"""Is it a window of a minute? Then a whole minute's count is the limit, whatever its last seconds gave."""

from __future__ import annotations

LASTS = 300.0
"""Seconds for which a window is believed in without another sign of one."""

LEAST_AGE = 20.0
SAME_COUNT = 0.03
FAR_LESS = 0.4
LEAST_COUNT = 8.0
SHRUNK = 0.85
LONG_BLOCKAGE_SECONDS, LONG_BLOCKAGE_REQUESTS = 2.0, 6.0
"""No bucket lets nothing in for so long at that pace."""


class MinuteWindow:
    """Whether the limit is a window of a minute, and the count of its minutes (per second)."""

    def __init__(self) -> None:
        self._until = float("-inf")
        self._count = 0.0
        self._last = 0.0

    def on(self, now: float) -> bool:
        """Whether a window is believed in."""
        return now < self._until

    def refused(self, now: float, minute: float, seconds: float, count: int, *, first: bool) -> None:
        """A refusal; the last minute let in so much per second, the last `seconds` let in `count`.

        A minute's count that stays the same, while the last seconds gave far less, is a window's. One that falls isn't.
        """
        if self.on(now) and minute < SHRUNK * self._count:
            self._until = float("-inf")
        worth_a_look = now > LEAST_AGE and seconds >= 1.0 and minute * seconds >= LEAST_COUNT and not first
        same = abs(minute / self._last - 1) < SAME_COUNT if self._last > 0 else False
        if not self.on(now) and worth_a_look and same and count < FAR_LESS * minute * seconds:
            self._believe(now, minute)
        self._last = minute

    def let_in_again(self, now: float, blocked: float) -> None:
        """After `blocked` seconds in which nothing was."""
        if blocked > LONG_BLOCKAGE_SECONDS and blocked * self._last > LONG_BLOCKAGE_REQUESTS:
            self._believe(now, self._last)

    def count(self, believed: float, at_its_end: float) -> float:
        """A window's count, per second: the minute before the last refusal.

        More than was `believed` may be the end of one window and the beginning of the next: only the minute `at_its_end` tells.
        """
        return min(self._last, max(believed or self._last, at_its_end))

    @property
    def last(self) -> float:
        """The minute before the last refusal, per second."""
        return self._last

    def _believe(self, now: float, count: float) -> None:
        if not self.on(now):
            self._count = count
        self._until = now + LASTS
