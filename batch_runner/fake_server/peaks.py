"""Peaks: the most that ever fell into any stretch of time, and the most that was ever open at once."""

from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class SlidingPeak:
    """The largest sum within any `span` seconds, exact to the event: its window ends at each event in turn."""

    span: float
    largest: float = 0.0
    at: float = 0.0
    sum: float = 0.0
    _events: deque[tuple[float, float]] = field(default_factory=deque)

    def add(self, now: float, amount: float = 1.0) -> None:
        """Counts an event."""
        events = self._events
        events.append((now, amount))
        self.sum += amount
        while events[0][0] <= now - self.span:
            self.sum -= events.popleft()[1]
        if self.sum > self.largest:
            self.largest, self.at = self.sum, now


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
