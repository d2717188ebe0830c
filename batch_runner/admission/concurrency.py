"""Requests in flight: never more than a ceiling, and few after an outage."""

from __future__ import annotations

from batch_runner.admission.change import Change


class Concurrency:
    """At most `ceiling` requests at once.

    After an outage a window opens slowly. Requests that were sent before its end may hang until they time out: they hold
    their places below the ceiling, but the window doesn't wait for them.
    """

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.in_flight = 0
        self._window = ceiling
        self._starts = 0
        self._from_before = 0
        self._changed = Change()

    async def room(self) -> None:
        """Wait for a free place. For one waiter at a time."""
        while self.in_flight >= self.ceiling or self.in_flight - self._from_before >= self._window:
            await self._changed.wait()

    def take(self) -> int:
        """Take a place that is free; what names it."""
        self.in_flight += 1
        return self._starts

    def give_back(self, place: int) -> None:
        """Free a place that was taken."""
        self.in_flight -= 1
        self._from_before -= place != self._starts
        self._changed.happened()

    def start_small(self) -> None:
        """One at a time, then more: a service that comes back isn't stormed."""
        self._window = 1
        self._starts += 1
        self._from_before = self.in_flight
        self._changed.happened()

    def grow(self) -> None:
        """An answer came: one more may be in flight, so twice as many after a round of answers."""
        if self._window < self.ceiling:
            self._window += 1
            self._changed.happened()
