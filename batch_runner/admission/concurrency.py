"""Requests in flight: never more than a ceiling, first come, first served."""

from __future__ import annotations

import asyncio


class Concurrency:
    """At most `ceiling` requests at once."""

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.in_flight = 0
        self._places = asyncio.Semaphore(ceiling)

    async def take(self) -> None:
        """Wait for a free place."""
        await self._places.acquire()
        self.in_flight += 1

    def give_back(self) -> None:
        """Free a place that was taken."""
        self.in_flight -= 1
        self._places.release()
