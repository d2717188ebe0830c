"""The shared pause after the service asked everyone to slow down."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_SECONDS = 1.0
MOST_SECONDS = 60.0
ONE_EPISODE_SECONDS = 1.0
"""Refusals this close together answer requests that were sent together: they lengthen the pause once."""


class Cooldown:
    """Holds everyone back until a moment; the moment comes from the service, or from a guess that doubles with each refusal."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._until = 0.0
        self._guess = FIRST_SECONDS
        self._last_refusal = float("-inf")

    @property
    def left(self) -> float:
        """Seconds until requests may be sent again; 0 when they may now."""
        return max(0.0, self._until - asyncio.get_running_loop().time())

    def refused(self, wait: float | None) -> None:
        """The service refused a request, and asked to wait so many seconds, or didn't say."""
        now = asyncio.get_running_loop().time()
        if wait is None:
            wait = self._guess * (0.5 + self._random() / 2)
            if now - self._last_refusal > ONE_EPISODE_SECONDS:
                self._guess = min(MOST_SECONDS, self._guess * 2)
        self._last_refusal = now
        self._until = max(self._until, now + wait)

    def answered(self) -> None:
        """The service answered a request: the next guess starts small again."""
        self._guess = FIRST_SECONDS

    async def over(self) -> None:
        """Wait until the pause is over, also when it grows meanwhile."""
        while (left := self.left) > 0:
            await asyncio.sleep(left)
