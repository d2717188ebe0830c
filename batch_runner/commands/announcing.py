"""Telling others how a run ended, from a command."""

from __future__ import annotations

import asyncio
import signal
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from batch_runner.failures import BatchRunnerError
from batch_runner.notices.announcer import announcing
from batch_runner.reporters.voice import tell

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from types import TracebackType

    from batch_runner.intent import Order
    from batch_runner.nightly.book import Book
    from batch_runner.notices.announcer import Announcer


class Obstacles:
    """Whatever keeps a run from beginning, or breaks it, is told to those who wait for word of it."""

    def __init__(self, announcer: Announcer, book: Book | None = None) -> None:
        self._announcer = announcer
        self._book = book

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> None:
        if self._book is not None and isinstance(error, BatchRunnerError):
            self._book.refused(error)
        if isinstance(error, Exception | SystemExit):
            announce(self._announcer.refused(error))


@contextmanager
def telling_obstacles(order: Order, book: Book | None = None) -> Iterator[None]:
    """Whatever is refused in here is told to those whom `order` names."""
    try:
        yield
    except BatchRunnerError as error:
        with announcing(order, tell) as announcer, Obstacles(announcer, book):
            raise error from None


def announce(telling: Coroutine[Any, Any, None]) -> None:
    """Tell others how it ended. A signal cuts that short, and changes nothing about the end."""

    async def unless_cut_short() -> None:
        task, loop = asyncio.create_task(telling), asyncio.get_running_loop()
        with ExitStack() as after:
            for number in (signal.SIGINT, signal.SIGTERM):
                after.callback(signal.signal, number, signal.getsignal(number))
                loop.add_signal_handler(number, task.cancel)
                after.callback(loop.remove_signal_handler, number)
            await asyncio.wait([task])
        if task.cancelled():
            tell("told to leave: not everybody was told how it ended")
        else:
            task.result()

    asyncio.run(unless_cut_short())
