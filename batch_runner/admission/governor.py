"""The ceiling that `--rpm` is to the user: kept by aiolimiter, whatever is believed about the service's own limit.

The finder paces below it, evenly, so this seldom holds anyone. It is a second, simpler mechanism that a fault in the first can't
pass: a bill, or a lock-out, by a run that went too fast is nothing to find out afterwards.
"""

from __future__ import annotations

SLACK_REQUESTS, SLACK_SECONDS = 2.0, 1.0
"""What the finder may rightly send at once: a late timer caught up, or a second saved beside a token limit."""

AT_A_TIME_SECONDS = 0.01
"""It is asked for so many seconds' requests at once, one at least: at a thousand a second it would cost as much as all the rest
of admission together."""


class Governor:
    """Lets no more than `rpm` requests a minute pass, in the long run."""

    def __init__(self, rpm: float) -> None:
        from aiolimiter import AsyncLimiter  # noqa: PLC0415 - only where --rpm is told: it reads its own version off the disk

        rate = rpm / 60.0
        depth = SLACK_REQUESTS + SLACK_SECONDS * rate
        self._limiter = AsyncLimiter(depth, depth / rate)
        self._at_a_time = max(1, int(AT_A_TIME_SECONDS * rate))
        self._permits = 0

    def passed(self) -> bool:
        """Let one more pass, if there is a permit for it."""
        if not self._permits:
            return False
        self._permits -= 1
        return True

    async def permit(self) -> None:
        """Let one more pass, as soon as it may."""
        if not self.passed():
            await self._limiter.acquire(self._at_a_time)
            self._permits += self._at_a_time - 1
