"""Something that changes, and somebody who waits for it, but not for ever."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Change:
    """Wakes its waiter when something has changed."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def happened(self) -> None:
        """Wake whoever waits."""
        self._event.set()

    async def wait(self, most: float | None = None) -> None:
        """Wait until something changes from now on, or `most` seconds have passed."""
        self._event.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(most):
                await self._event.wait()
