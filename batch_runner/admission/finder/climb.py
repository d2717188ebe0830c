"""How fast the pace climbs: small steps first, so that a limit that is still there costs few refusals, then doubled ones."""

from __future__ import annotations

import math

MOST_DOUBLINGS = 20.0
FIRST_STEP, MOST_STEP, FINDING_STEP = 0.01, 0.25, 1.0
FIRST_RATE, UNHEARD, DOUBLING_SECONDS = 10.0, 4.0, 3.0
"""At the start: the pace, the requests that may be sent until the quickest answer could have come, and the time to twice that."""

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

    def most_at_start(self, now: float, quickest: float) -> float:
        """The pace before the first refusal, where the quickest answer took so long.

        What is sent until a refusal is heard is refused too. Nobody knows how long that takes, but no longer than an answer.
        """
        doublings: float = min(MOST_DOUBLINGS, max(0.0, now - self._from) / DOUBLING_SECONDS)
        return max(FIRST_RATE, UNHEARD / quickest) * math.pow(2.0, doublings)

    def due(self, now: float, rate: float) -> bool:
        """Whether the next step may be made."""
        return now >= self._from and now - self._stepped_at >= max(LEAST_SECONDS, REQUESTS / rate)

    def step(self, now: float, rate: float) -> float:
        """The rate after one step."""
        rate *= 1 + self._step
        self._step = self._step if self._step == FINDING_STEP else min(MOST_STEP, 2 * self._step)
        self._stepped_at = now
        return rate
