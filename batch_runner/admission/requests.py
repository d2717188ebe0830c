"""Requests per minute: a steady pace without a burst, first come, first served."""

from __future__ import annotations

import asyncio

from aiolimiter import AsyncLimiter

BUCKET_SECONDS = 0.1
PIECE_SECONDS = 0.05


class Pace:
    """Lets `rate` requests a minute through, evenly.

    The bucket holds seconds, not requests: a request costs `60 / rate` of them. So one limiter serves every rate, a changed
    rate is a changed price, and nothing is saved up that could be sent at once. A price above the bucket is paid in pieces,
    behind a turn that keeps the order: aiolimiter itself wakes the smallest waiter first. The first request of all is free,
    so that a slow rate doesn't begin with a wait.
    """

    def __init__(self, rate: float | None) -> None:
        self.rate = rate
        self._begun = False
        self._turn = asyncio.Lock()
        self._bucket = AsyncLimiter(BUCKET_SECONDS, BUCKET_SECONDS)

    async def permit(self) -> None:
        """Wait until one more request may be sent."""
        if self.rate is None:
            return
        async with self._turn:
            price = 60.0 / self.rate if self._begun else 0.0
            self._begun = True
            while price > 0:
                piece = min(price, PIECE_SECONDS)
                await self._bucket.acquire(piece)
                price -= piece
