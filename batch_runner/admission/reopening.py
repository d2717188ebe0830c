"""After an outage a service isn't stormed: one request at a time, then twice as many with each round of answers."""

from __future__ import annotations

MANY = 8192
"""A window so wide holds nobody any more."""


class Reopening:
    """A window that opens slowly after an outage.

    Requests that were sent before its end may hang until they time out; the window doesn't wait for them.
    """

    def __init__(self) -> None:
        self._window = MANY
        self._starts = 0
        self._in_flight = 0

    @property
    def room(self) -> bool:
        """Whether one more may be in flight."""
        return self._window >= MANY or self._in_flight < self._window

    def take(self) -> int:
        """Take a place; what names it."""
        self._in_flight += 1
        return self._starts

    def give_back(self, place: int) -> None:
        """Free a place that was taken."""
        if place == self._starts:
            self._in_flight -= 1

    def begin(self) -> None:
        """The outage is over."""
        self._window, self._in_flight = 1, 0
        self._starts += 1

    def grow(self) -> None:
        """An answer came: one more may be in flight, so twice as many after a round of answers."""
        if self._window < MANY:
            self._window += 1
