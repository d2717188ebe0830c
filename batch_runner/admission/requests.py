"""Requests per minute: a steady pace without a burst, first come, first served."""

from __future__ import annotations

from aiolimiter import AsyncLimiter

SHARE = 0.995
"""Of the limit: a minute counted from any moment on must not hold one request too many."""

CATCH_UP_SECONDS, CATCH_UP_REQUESTS = 0.02, 2
"""What a late timer may catch up, together: in no second more than 2 % and two requests above the rate. On a busy machine
timers are late all the time, and what isn't caught up is never used."""

SHARED_CATCH_UP_SECONDS = 1.0
"""The same beside a token limit: while that one holds everyone up, this one has to save, or neither is ever used up."""

MOST_CATCH_UP_SECONDS = 0.16
"""Of the requests: at a slow rate to catch even one up would be a burst."""

PIECES = 2
"""A price is paid in parts of the bucket: aiolimiter takes no more at once than the bucket holds."""


class Pace:
    """Lets `rate` requests a minute through, evenly.

    The bucket holds seconds, not requests: a request costs `60 / rate` of them. So one limiter serves every rate, a changed
    rate is a changed price, and nothing is saved up that could be sent at once. A price above the bucket is paid in pieces;
    admission lets one waiter at a time in here, as aiolimiter itself wakes the smallest first. The first request of all is
    free, so that a slow rate doesn't begin with a wait.
    """

    def __init__(self, rate: float | None, *, beside_tokens: bool = False) -> None:
        self.rate = rate
        self._begun = False
        catch_up = SHARED_CATCH_UP_SECONDS if beside_tokens else CATCH_UP_SECONDS
        size = catch_up + min(CATCH_UP_REQUESTS * 60.0 / rate if rate else 0.0, MOST_CATCH_UP_SECONDS)
        self._bucket = AsyncLimiter(size, size)

    def at_most(self, rate: float) -> None:
        """The service named its limit: from now on no faster than `rate` requests a minute."""
        self.rate = rate if self.rate is None else min(self.rate, rate)

    async def permit(self) -> None:
        """Wait until one more request may be sent. For one waiter at a time."""
        if self.rate is None:
            return
        if not self._begun:
            self._begun = True
            await self._bucket.acquire(self._bucket.max_rate)  # starts full: nothing is saved up yet
            return
        price = 60.0 / (SHARE * self.rate)
        while price > 0:
            piece = min(price, self._bucket.max_rate / PIECES)
            await self._bucket.acquire(piece)
            price -= piece
