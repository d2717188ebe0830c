"""Requests per minute: a steady pace without a burst, first come, first served."""

from __future__ import annotations

import asyncio

from aiolimiter import AsyncLimiter

CATCH_UP_SECONDS = 0.02
"""What a late timer may catch up, beside one request: in no second more than 2 % and a request above the rate."""

MOST_PRICE_SECONDS = 0.08
"""Slower than this, a request is its own second, and catching one up would be a burst."""

PIECES = 2
"""A price is paid in parts of the bucket: aiolimiter takes no more at once than the bucket holds."""


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
        size = CATCH_UP_SECONDS + min(60.0 / rate if rate else 0.0, MOST_PRICE_SECONDS)
        self._bucket = AsyncLimiter(size, size)

    async def permit(self) -> None:
        """Wait until one more request may be sent."""
        if self.rate is None:
            return
        async with self._turn:
            if not self._begun:
                self._begun = True
                await self._bucket.acquire(self._bucket.max_rate)  # starts full: nothing is saved up yet
                return
            price = 60.0 / self.rate
            while price > 0:
                piece = min(price, self._bucket.max_rate / PIECES)
                await self._bucket.acquire(piece)
                price -= piece
