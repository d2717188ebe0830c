"""Nobody answers: everyone waits, but for one request now and then that looks whether the service is back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ENOUGH_EVIDENCE = 20
"""Evidence is counted once a row, so that a few rows that fail whatever happens don't look like an outage."""

SILENCE, DOUBT = 4, 1
"""What a row's failure weighs: nobody there or a proxy's word, against a 500, which may be the row's own doing."""

LONG_ENOUGH_SECONDS = 5.0
OFTEN_ENOUGH = 3
"""An outage begins when there is enough evidence and no answer has come for so long, or since a row was tried so often:
before it, rows would run out of attempts."""

FIRST_GAP, MOST_GAP = 1.0, 60.0
"""Seconds between probes; doubled each time."""


class Outage:
    """Counts failures without an answer in between; `on` when they are about the service and no longer about rows."""

    def __init__(self, random: Callable[[], float]) -> None:
        self.on = False
        self._random = random
        self._evidence: dict[str, int] = {}
        self._times: dict[str, int] = {}
        self._since = 0.0
        self._gap = FIRST_GAP
        self._next_probe = 0.0
        self._changed = asyncio.Event()

    @property
    def seconds(self) -> float:
        """How long there has been no answer; 0 while there is no outage."""
        return asyncio.get_running_loop().time() - self._since if self.on else 0.0

    @property
    def left(self) -> float:
        """Seconds until the next probe may go; 0 while there is no outage."""
        return max(0.0, self._next_probe - asyncio.get_running_loop().time()) if self.on else 0.0

    def lost(self, row_id: str, weight: int) -> None:
        """A request of this row brought no answer, and may not be to blame for it."""
        if self.on:
            return
        now = asyncio.get_running_loop().time()
        if not self._evidence:
            self._since = now
        self._evidence[row_id] = max(weight, self._evidence.get(row_id, 0))
        self._times[row_id] = self._times.get(row_id, 0) + 1
        if sum(self._evidence.values()) >= ENOUGH_EVIDENCE and (
            now - self._since >= LONG_ENOUGH_SECONDS or max(self._times.values()) >= OFTEN_ENOUGH
        ):
            self._begin(now)

    def alive(self) -> bool:
        """The service answered something; true when that ends an outage."""
        was_on, self.on = self.on, False
        if self._evidence:
            self._evidence.clear()
            self._times.clear()
        self._changed.set()
        return was_on

    async def over(self) -> None:
        """Wait until the outage is over, or it is time for a probe: then this is it. For one waiter at a time."""
        while self.on:
            if (left := self.left) <= 0:
                self._set_next_probe(asyncio.get_running_loop().time())
                return
            self._changed.clear()
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def _begin(self, now: float) -> None:
        self.on = True
        self._evidence.clear()
        self._times.clear()
        self._gap = FIRST_GAP
        self._set_next_probe(now)

    def _set_next_probe(self, now: float) -> None:
        self._next_probe = now + self._gap * (0.75 + self._random() / 2)  # many runs share a service: not all at once
        self._gap = min(MOST_GAP, 2 * self._gap)
