"""Peaks: the most that ever fell into any stretch of time, and the most that was ever open at once."""

from collections import deque
from dataclasses import dataclass, field

GRAIN = 1e-4
"""Share of its span to which a sliding peak is exact: events closer together than that are remembered as one."""


@dataclass(slots=True)
class Together:
    """Events that came at practically the same time."""

    at: float
    amount: float


@dataclass(slots=True)
class SlidingPeak:
    """The largest sum within any `span` seconds: its window ends at each event in turn."""

    span: float
    largest: float = 0.0
    sum: float = 0.0
    _events: deque[Together] = field(default_factory=deque)

    def add(self, now: float, amount: float = 1.0) -> None:
        """Counts an event."""
        events = self._events
        if events and now - events[-1].at < self.span * GRAIN:
            events[-1].amount += amount
        else:
            self._forget(now - self.span)
            events.append(Together(now, amount))
        self.sum += amount
        self.largest = max(self.largest, self.sum)

    def _forget(self, before: float) -> None:
        events = self._events
        while events and events[0].at <= before:
            self.sum -= events.popleft().amount


@dataclass(slots=True)
class OpenPeak:
    """How many are open now, and how many were at most."""

    now: int = 0
    largest: int = 0

    def enter(self) -> None:
        """One more is open."""
        self.now += 1
        self.largest = max(self.largest, self.now)

    def leave(self) -> None:
        """One is done."""
        self.now -= 1

    def forget(self) -> None:
        """Starts again from what is open now."""
        self.largest = self.now
