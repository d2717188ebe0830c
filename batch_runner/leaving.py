"""The way out of a run: first drain (stop feeding, let requests in flight finish), then hang up.

Hanging up on a request doesn't cancel what the service bills for it, so a run asked to leave waits for its answers first.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from batch_runner.exits import ExitStatus


class WaitEndedError(Exception):
    """A wait was ended from outside."""


class Waits:
    """A group of waits that can all be ended at once, from then on at the start."""

    def __init__(self) -> None:
        self.ended = False
        self._begun: set[Wait] = set()
        self._others: list[Callable[[], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def until(self, seconds: float | None = None) -> Wait:
        """`with waits.until(5):` raises `TimeoutError` after 5 seconds, `WaitEndedError` when the group is ended."""
        return Wait(self, seconds)

    async def sleep(self, seconds: float) -> None:
        """Sleep, unless the group is ended: then `WaitEndedError`."""
        with self.until():
            await asyncio.sleep(seconds)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that all of them wait in."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    def also(self, end: Callable[[], None]) -> None:
        """Have `end` called too when the group is ended: for a wait in another thread."""
        self._others.append(end)

    def end(self) -> None:
        """End every wait of the group, now and later."""
        self.ended = True
        for end in self._others:
            end()
        for wait in tuple(self._begun):
            wait.end(WaitEndedError)

    def begun(self, wait: Wait) -> None:
        """One of the group's waits begins."""
        self._begun.add(wait)

    def over(self, wait: Wait) -> None:
        """It is over."""
        self._begun.discard(wait)


class Wait:
    """One wait of a group; a context manager around what a task waits for.

    What `asyncio.timeout` does, and the same way, for half of what it costs: every request waits so.
    """

    __slots__ = ("_cancelled_before", "_seconds", "_task", "_timer", "_waits", "_why")

    def __init__(self, waits: Waits, seconds: float | None) -> None:
        self._waits = waits
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        self._why: type[Exception] | None = None

    def __enter__(self) -> Self:
        if self._waits.ended:
            raise WaitEndedError
        task = asyncio.current_task(self._waits.loop)
        assert task is not None, "a wait belongs to a task"
        self._task, self._cancelled_before = task, task.cancelling()
        if self._seconds is not None:
            self._timer = self._waits.loop.call_later(self._seconds, self.end, TimeoutError)
        self._waits.begun(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._waits.over(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._why is None or self._task.uncancel() > self._cancelled_before:
            return  # nobody ended it, or somebody cancelled the task as well
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            raise self._why from error

    def end(self, why: type[Exception]) -> None:
        """Have it end with such an error; the first reason counts."""
        if self._why is None:
            self._why = why
            self._task.cancel()


@dataclass(frozen=True, slots=True)
class AtStake:
    """What leaving at this very moment would cost."""

    requests: int = 0
    """On their way, answers not yet written included."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    """Theirs, at their worst: paid for, and lost."""
    unwritten: int = 0
    """Lines that wait for the disk."""


class Leaving:
    """Whether the run is on its way out, why, and the two groups of waits that its steps end."""

    def __init__(self, drain_timeout: float) -> None:
        self.drain_timeout = drain_timeout
        self.causes: list[ExitStatus] = []
        """Why the run leaves before its rows are done, in the order the causes came."""
        self.reason = ""
        """The same in a sentence, where the run itself decided so."""
        self.kept_short = 0
        """Rows that keep a truncated answer only because the run leaves: it would have asked them again."""
        self.patient = Waits()
        """Waits for a slot or for a retry: ended when the run drains."""
        self.sends = Waits()
        """Requests in flight: ended when the run hangs up."""
        self.at_stake: Callable[[], AtStake] = AtStake
        """What a kill would cost now; nothing until a run tells otherwise."""

    @property
    def draining(self) -> bool:
        """True once nothing new is started."""
        return self.patient.ended

    def drain(self, cause: ExitStatus) -> None:
        """Start nothing new, end every wait but those for answers, and those too when `drain_timeout` is over."""
        self.causes.append(cause)
        if self.draining:
            return
        self.patient.end()
        asyncio.get_running_loop().call_later(self.drain_timeout, self.sends.end)

    def hang_up(self, cause: ExitStatus) -> None:
        """Drain, and stop waiting for answers at once."""
        self.drain(cause)
        self.sends.end()
