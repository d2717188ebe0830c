"""An event loop that never really waits: an hour of pacing in a second.

Its clock also moves a tick at each turn. aiolimiter sets its timers to the very moment at which a place becomes free, and looks
again when that was a rounding error too early; a real clock has moved on by then.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
TICK = 1e-6


class TickingLoop(asyncio.SelectorEventLoop):
    """An event loop whose waits take no time."""

    def __init__(self) -> None:
        self._now = 0.0
        selector = selectors.DefaultSelector()
        self._look: Callable[[float | None], Any] = selector.select
        selector.select = self._wait  # type: ignore[method-assign]
        super().__init__(selector)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def _wait(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "everyone waits, and for nothing"
        self._now += timeout + TICK
        return self._look(0)


def play(scene: Coroutine[Any, Any, T]) -> T:
    """Run `scene` in virtual time."""
    loop = TickingLoop()
    try:
        return loop.run_until_complete(scene)
    finally:
        loop.close()
