"""Requests in flight: never more than a ceiling, and few after an outage."""

from __future__ import annotations

import asyncio


class Concurrency:
    """At most `ceiling` requests at once."""

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.in_flight = 0
        self._window = ceiling
        self._changed = asyncio.Event()

    async def room(self) -> None:
        """Wait for a free place. For one waiter at a time."""
        while self.in_flight >= self._window:
            self._changed.clear()
            await self._changed.wait()

    def take(self) -> None:
        """Take a place that is free."""
        self.in_flight += 1

    def give_back(self) -> None:
        """Free a place that was taken."""
        self.in_flight -= 1
        self._changed.set()

    def start_small(self) -> None:
        """One at a time, then more: a service that comes back isn't stormed."""
        self._window = 1

    def grow(self) -> None:
        """An answer came: one more may be in flight, so twice as many after a round of answers."""
        if self._window < self.ceiling:
            self._window += 1
            self._changed.set()
