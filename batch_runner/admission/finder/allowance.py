"""How many refusals finding out may cost: a share of what is sent, so that a quick service is probed often, a slow one rarely."""

from __future__ import annotations

EARNED = 0.0075
"""By each request sent: the share of refusals that probing may come to."""

EARNED_SLOWLY = 0.006
SLOW_RATE = 4.5
"""Below so many requests a second less is earned: each probe is a greater share of a minute there."""

EARNED_PER_SECOND = 1 / 600
"""By time alone. A pace that was cut far too low would never earn its way back by sending."""

FIRST, LEAST, LEAST_OF_WINDOW = 8.0, -1.0, -4.0
"""Without a floor a storm of refusals would forbid probing for an hour. A window of a minute has time: whatever is tried there
shows at its end."""

MOST, MOST_SECONDS = 6.0, 0.2
"""Saved at most, and so many seconds' worth of requests more: who saves without end pays for a storm of refusals."""


class Allowance:
    """Refusals that may still be risked; the pace climbs while there is at least one."""

    def __init__(self) -> None:
        self.left = FIRST

    @property
    def enough(self) -> bool:
        """Whether a probe is affordable."""
        return self.left >= 1.0

    def sent(self, rate: float) -> None:
        """A request was sent, at so many a second."""
        earned = EARNED if rate >= SLOW_RATE else EARNED_SLOWLY
        self.left = min(self.left + earned, MOST + MOST_SECONDS * rate)

    def passed(self, seconds: float) -> None:
        """Time went by."""
        self.left = max(self.left, min(self.left + EARNED_PER_SECOND * seconds, 1.0))

    def refused(self, *, window: bool) -> None:
        """A request was refused, by a window of a minute or not."""
        self.left = max(min(self.left, LEAST_OF_WINDOW if window else LEAST), self.left - 1.0)
