"""What the service let in, counted over time.

An answer takes 10 or 100 s, a refusal some milliseconds. So silence is the sign: what wasn't refused within a few round trips was
let in.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batch_runner.admission.finder.values import Sent

TICK = 0.25
"""Seconds between two looks; counts are kept on this grid."""

MINUTE = 60.0
KEPT_TICKS = 600
FIRST_ROUND_TRIP, OF_LATE = 0.1, 0.1
LEAST_SILENCE, ROUND_TRIPS = 0.4, 3
"""Seconds, and round trips of a refusal, without which a request was let in; the longer of the two."""

BEST_SECONDS, BEST_REQUESTS = 100.0, 30
"""For so long, or as long as so many requests take, the best minute is remembered."""


class Admitted:
    """Counts what was let in, on a grid of a quarter of a second; told of every request sent, and looked at each `TICK`."""

    def __init__(self, now: float) -> None:
        self.total = 0
        self.round_trip = FIRST_ROUND_TRIP
        """Seconds until a refusal is heard."""
        self._heard = 0
        self._silent: deque[Sent] = deque()
        self._totals: deque[tuple[float, int]] = deque([(now, 0)], maxlen=KEPT_TICKS)
        self._highest: deque[tuple[float, int]] = deque()
        self._highest_from = now
        self._best: deque[tuple[float, float]] = deque()

    @property
    def silence(self) -> float:
        """Seconds after which a request that wasn't refused was let in."""
        return max(LEAST_SILENCE, ROUND_TRIPS * self.round_trip)

    def sent(self, sent: Sent) -> None:
        """A request is on its way."""
        self._silent.append(sent)

    def refused(self, sent: Sent, now: float) -> None:
        """A request was refused after so long."""
        sent.refused = True
        self._heard += 1
        self.round_trip += max(OF_LATE, 1.0 / self._heard) * ((now - sent.at) - self.round_trip)

    def look(self, now: float, rate: float) -> None:
        """Count what has been silent for long enough."""
        heard_until, most = now - self.silence, -1
        silent = self._silent
        while silent and silent[0].at < heard_until:
            sent = silent.popleft()
            if not sent.refused:
                self.total += 1
                if sent.at >= self._highest_from:
                    most = max(most, sent.in_flight)
        self._totals.append((heard_until, self.total))
        if most >= 0:
            _push(self._highest, now, most)
        _forget(self._highest, now - MINUTE)
        if now >= self._totals[0][0] + MINUTE or len(self._totals) * TICK > MINUTE / 3:
            _push(self._best, now, self.minute(now))
            _forget(self._best, now - max(BEST_SECONDS, BEST_REQUESTS / rate))

    def since(self, at: float) -> int:
        """How many were let in of those sent since a moment."""
        for until, total in reversed(self._totals):
            if until <= at:
                return self.total - total
        return self.total

    def minute(self, now: float) -> float:
        """What was let in per second over the last minute."""
        return self.since(now - MINUTE) / MINUTE

    @property
    def best_minute(self) -> float:
        """The most that a whole minute took lately, per second."""
        return self._best[0][1] if self._best else 0.0

    def highest(self, since: float) -> int:
        """The most in flight beside a request that was let in, in the last minute and since a moment; -1: nothing was."""
        return next((most for at, most in self._highest if at > since), -1)

    def forget_highest(self, now: float) -> None:
        """Only what is sent from here on says how many may be in flight."""
        self._highest.clear()
        self._highest_from = now


def _push(peaks: deque[tuple[float, int]] | deque[tuple[float, float]], now: float, value: float) -> None:
    """Keep a deque of falling peaks: its first is the highest."""
    while peaks and peaks[-1][1] <= value:
        peaks.pop()
    peaks.append((now, value))  # type: ignore[arg-type]


def _forget(peaks: deque[tuple[float, int]] | deque[tuple[float, float]], before: float) -> None:
    while peaks and peaks[0][0] < before:
        peaks.popleft()
