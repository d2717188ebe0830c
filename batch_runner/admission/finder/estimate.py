"""How much a service takes, read off its refusals: from one to the next it let in exactly what the limit gave in that time."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

LEAST_SECONDS, LEAST_COUNT = 0.3, 10
"""Between two refusals at least, for a figure worth believing; a few requests will do when they took long."""

FEW_REQUESTS, FEW_SECONDS_WORTH = 3, 4

HORIZON_SECONDS, HORIZON_REQUESTS = 60.0, 20
"""How far back a refusal is still about the limit of today: the longer the stretch, the more exact its count."""

LEAST_LONG_SECONDS = 2.0
AGREES = 0.15
"""The long count is believed where it says the same as the short one."""

LEAN_BACK_SECONDS = 1.5
QUICK_RETURN_SECONDS = 4.0
"""A refusal this soon after the last cut says that the cut was too small."""

LEAN_STEP, FIRST_LEAN, MOST_LEAN = 0.1, 0.5, 1.3
PACES = 40
SAME = 0.1
"""Estimates this near to each other are of one limit."""


class _Mark(NamedTuple):
    at: float
    admitted: int


class Estimate:
    """The limit in requests a second, as refusals tell it.

    A service that saves nothing up (a window each second) refuses before its limit is used up, and counting from refusal to
    refusal comes out too low. What was sent a moment ago was still taken: the estimate leans to that pace, and the more so the
    longer this goes well.
    """

    def __init__(self, now: float) -> None:
        self.value: float | None = None
        """The last estimate that was believed."""
        self.at = float("-inf")
        self.was: float | None = None
        """What was believed before it changed."""
        self.counted: float | None = None
        """The last one as it was counted, without leaning."""
        self.leans = True
        """Whether what is sent is let in, below a limit."""
        self._start = _Mark(now, 0)
        self._marks: deque[_Mark] = deque()
        self._lean = FIRST_LEAN
        self._paces: deque[tuple[float, float]] = deque(maxlen=PACES)

    def look(self, now: float, rate: float) -> None:
        """The pace at this moment; told each tick."""
        self._paces.append((now, rate))

    def since_last(self, at: float, admitted: int) -> tuple[float, int]:
        """Seconds and requests let in since the last refusal that was counted."""
        last = self._marks[-1] if self._marks else self._start
        return at - last.at, admitted - last.admitted

    def mark(self, at: float, admitted: int, rate: float) -> None:
        """A refusal, of a request sent at `at`: the service had let in so many by then, and had no room."""
        self._marks.append(_Mark(at, admitted))
        kept = max(2 * HORIZON_SECONDS, 1.5 * HORIZON_REQUESTS / rate)
        while len(self._marks) > 2 and self._marks[0].at < at - kept:  # noqa: PLR2004 - this one and the last
            self._marks.popleft()

    def forget(self) -> None:
        """What was counted so far is about something else."""
        self._marks.clear()

    def believe(self, value: float, now: float) -> None:
        """The limit is this."""
        if self.value is not None and abs(value / self.value - 1) > SAME:
            self.was = self.value
        self.value, self.at = value, now

    def doubt(self) -> None:
        """What the estimate leaned to was too much."""
        self._lean /= 2

    def at_refusal(self, at: float, admitted: int, rate: float, seconds_since_cut: float) -> float | None:
        """What the refusal just marked says; `None` while too little was counted."""
        counted = self.counted = self._counted(at, admitted, rate)
        self._lean = self._lean / 2 if seconds_since_cut < QUICK_RETURN_SECONDS else min(1.0, self._lean + LEAN_STEP)
        if counted is None or seconds_since_cut < QUICK_RETURN_SECONDS or not self.leans:
            return counted
        taken = min(rate, self._pace_before(at - LEAN_BACK_SECONDS))
        return max(counted, min(MOST_LEAN * counted, counted + self._lean * (taken - counted)))

    def _counted(self, at: float, admitted: int, rate: float) -> float | None:
        before = self._marks[-2] if len(self._marks) > 1 else self._start
        seconds, count = at - before.at, admitted - before.admitted
        enough = count >= LEAST_COUNT and seconds > LEAST_SECONDS
        few = count >= FEW_REQUESTS and seconds * rate > FEW_SECONDS_WORTH
        short = count / seconds if enough or few else None
        long = self._counted_long(at, admitted, rate)
        return long if long is not None and (short is None or abs(long / short - 1) < AGREES) else short

    def _counted_long(self, at: float, admitted: int, rate: float) -> float | None:
        """The same over the longest stretch that may be trusted."""
        for mark in self._marks:
            seconds, count = at - mark.at, admitted - mark.admitted
            if LEAST_LONG_SECONDS <= seconds <= max(HORIZON_SECONDS, HORIZON_REQUESTS / rate) and count >= LEAST_COUNT:
                return count / seconds
        return None

    def _pace_before(self, at: float) -> float:
        return next((rate for when, rate in reversed(self._paces) if when <= at), 0.0)
