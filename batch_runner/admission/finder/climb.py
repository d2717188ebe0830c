"""How fast the pace climbs: small steps first, so that a limit that is still there costs few refusals, then doubled ones."""

from __future__ import annotations

FIRST_STEP, MOST_STEP, FINDING_STEP = 0.01, 0.25, 1.0
LEAST_SECONDS, REQUESTS = 1.1, 4
"""Between two steps, at least so long and so many requests: a step that was too far has to be heard of."""


class Climb:
    """The steps of the pace, after a cut was held for a while."""

    def __init__(self, now: float) -> None:
        self._step = FIRST_STEP
        self._stepped_at = now
        self._from = now

    @property
    def under_way(self) -> bool:
        """Whether the first step was made."""
        return self._step > FIRST_STEP

    def cut(self, now: float, hold_until: float) -> None:
        """The pace was cut; it is held until a moment, and climbs from the first step on."""
        self._step, self._stepped_at, self._from = FIRST_STEP, now, hold_until

    def find(self, now: float) -> None:
        """Nothing is known of the limit yet: the pace is doubled until it is met."""
        self._step, self._stepped_at, self._from = FINDING_STEP, now, now

    def due(self, now: float, rate: float) -> bool:
        """Whether the next step may be made."""
        return now >= self._from and now - self._stepped_at >= max(LEAST_SECONDS, REQUESTS / rate)

    def step(self, now: float, rate: float) -> float:
        """The rate after one step."""
        rate *= 1 + self._step
        self._step = self._step if self._step == FINDING_STEP else min(MOST_STEP, 2 * self._step)
        self._stepped_at = now
        return rate
