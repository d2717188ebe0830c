"""Virtual time that also moves when nothing is waited for.

aiolimiter sets its timers to the very moment at which a place becomes free, and looks again when that was a rounding error
too early. A real clock has moved on by then; looptime's has not, and would stand still for ever.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

TICK = 1e-6


class TickingLoop(asyncio.SelectorEventLoop):
    """An event loop that never really waits, and whose clock moves a tick at each turn."""

    def __init__(self) -> None:
        self._now = 0.0
        selector = selectors.DefaultSelector()
        self._look: Callable[[float | None], Any] = selector.select
        selector.select = self._wait  # type: ignore[method-assign]
        super().__init__(selector)

    def time(self) -> float:
        return self._now

    def _wait(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "everyone waits, and for nothing"
        self._now += timeout + TICK
        return self._look(0)


@pytest.fixture
def play() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Runs a coroutine in virtual time."""
    loop = TickingLoop()
    yield loop.run_until_complete
    loop.close()
