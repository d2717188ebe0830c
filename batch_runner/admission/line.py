"""Who waits for leave to send stands in one line, first come, first served."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from batch_runner.leaving import WaitEndedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch_runner.leaving import Waits

T = TypeVar("T")
LEAST_SECONDS = 0.001
"""Event loops keep time in milliseconds: to wait for less is to spin."""


class Line(Generic[T]):
    """`held(who)` says for how many seconds the first one can't be let in yet, `inf` until something ends; `let_in(who)` does it.

    Nothing is held while somebody waits, and nothing is awaited between the question and the deed: so what was true when it was
    asked is true when it is done. `move` asks again; whoever changes something calls it.
    """

    def __init__(self, waits: Waits, held: Callable[[T], float], let_in: Callable[[T], None]) -> None:
        self._waits = waits
        self._held = held
        self._let_in = let_in
        self._waiting: deque[tuple[T, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._asks_at = math.inf
        waits.also(self._end)

    def __len__(self) -> int:
        return len(self._waiting)

    def passed(self, who: T) -> bool:
        """Let somebody in at once, if nobody waits and nothing holds them; raises `WaitEndedError` once waits are over."""
        if self._waits.ended:
            raise WaitEndedError
        if self._waiting or self._held(who) > 0:
            return False
        self._let_in(who)
        return True

    async def stand(self, who: T, give_back: Callable[[T], None], *, ahead: bool = False) -> None:
        """Wait to be let in, `ahead` of everyone or behind; raises `WaitEndedError` when the run drains first.

        Who is let in and can't come gives it back.
        """
        if self._waits.ended:  # maybe since the last question, and by it
            raise WaitEndedError
        future = asyncio.get_running_loop().create_future()
        if ahead:
            self._waiting.appendleft((who, future))
        else:
            self._waiting.append((who, future))
        if ahead or len(self._waiting) == 1:
            self.move()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                give_back(who)
            raise

    def move(self) -> None:
        """Let in whoever may go now."""
        waiting = self._waiting
        while waiting:
            who, future = head = waiting[0]
            if future.done():
                waiting.popleft()  # gave up
                continue
            seconds = self._held(who)
            if not waiting or waiting[0] is not head:
                continue  # the question itself ended the run
            if seconds > 0:
                self._ask_again_in(seconds)
                return
            waiting.popleft()
            self._let_in(who)
            future.set_result(None)

    def fail(self, error: BaseException) -> None:
        """The first one will never be let in."""
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_exception(error)
                return

    def _ask_again_in(self, seconds: float) -> None:
        if seconds == math.inf:
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + max(seconds, LEAST_SECONDS)
        if self._timer is not None:
            if self._asks_at <= at:
                return  # asks early, and sets itself anew
            self._timer.cancel()
        self._timer, self._asks_at = loop.call_at(at, self._time_is_up), at

    def _time_is_up(self) -> None:
        self._timer = None
        self.move()

    def _end(self) -> None:
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_exception(WaitEndedError())
        if self._timer is not None:
            self._timer.cancel()
