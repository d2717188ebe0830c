"""The shared pause after the service asked everyone to slow down."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

GUESS_SECONDS = 1.0
"""The first guess where the service asks to slow down and doesn't say for how long."""

PACED_GUESS_SECONDS, PACED_GUESS_REQUESTS = 0.5, 3
"""The same where the limit was told: the time of three requests, at most half a second. The pace is about right already."""

LEAST_SECONDS = 0.1
"""The shortest pause. Some gateways say `Retry-After: 0` whatever is true; to believe them would be to hammer."""

MOST_SECONDS = 60.0
ONE_EPISODE_SECONDS = 1.0
"""Refusals this close together answer requests that were sent together: they lengthen the pause once."""

QUIET_SECONDS = 10.0
"""After so long without a refusal (and as long as the last pause) requests have been let in, though answers take longer."""


def first_guess(rpm: float | None) -> float:
    """How long to pause when nobody says, at a told pace of `rpm` requests a minute."""
    return GUESS_SECONDS if rpm is None else min(PACED_GUESS_SECONDS, PACED_GUESS_REQUESTS * 60.0 / rpm)


class Cooldown:
    """Holds everyone back until a moment. The moment comes from the service, or from a guess; both are stretched, twofold
    for each episode of refusals without an answer in between.
    """

    def __init__(self, random: Callable[[], float], guess: float = GUESS_SECONDS) -> None:
        self._random = random
        self._guess = guess
        self._until = 0.0
        self._episodes = 0
        self._last_refusal = float("-inf")
        self._last_pause = 0.0

    @property
    def left(self) -> float:
        """Seconds until requests may be sent again; 0 when they may now."""
        return max(0.0, self._until - asyncio.get_running_loop().time())

    def refused(self, wait: float | None) -> None:
        """The service refused a request, and asked to wait so many seconds, or didn't say."""
        now = asyncio.get_running_loop().time()
        if now - self._last_refusal > QUIET_SECONDS + 2 * self._last_pause:
            self._episodes = 0
        stretch = 2.0 ** min(self._episodes, 10)
        if wait is None:
            wait = min(MOST_SECONDS, self._guess * stretch) * (0.5 + self._random() / 2)
        else:
            wait = max(wait, min(MOST_SECONDS, LEAST_SECONDS * stretch))
        if now - self._last_refusal > ONE_EPISODE_SECONDS:
            self._episodes += 1
        self._last_refusal = now
        self._last_pause = wait
        self._until = max(self._until, now + wait)

    def answered(self) -> None:
        """The service answered a request: the next pause starts small again."""
        self._episodes = 0

    async def over(self) -> None:
        """Wait until the pause is over, also when it grows meanwhile."""
        while (left := self.left) > 0:
            await asyncio.sleep(left)
