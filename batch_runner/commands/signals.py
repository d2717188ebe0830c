"""Signals that ask to leave, while no run listens for them itself: what was begun is put away, and nothing is lost on the way."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from batch_runner.exits import ExitStatus
from batch_runner.reporters.voice import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from types import FrameType

T = TypeVar("T")

CAUSES = {
    signal.SIGINT: ExitStatus.INTERRUPTED,
    signal.SIGTERM: ExitStatus.TERMINATED,
    signal.SIGHUP: ExitStatus.TERMINATED,  # the terminal was closed
}


@contextmanager
def leaving_tidily() -> Iterator[None]:
    """Until the run begins, SIGTERM and SIGHUP end the command as Ctrl-C does: what was begun is put away.

    What the run sets afterwards stays until the process ends: a late Ctrl-C must not turn a good end into another.
    """
    with ExitStack() as before:
        for number in heard():
            before.callback(signal.signal, number, signal.getsignal(number))
            if number is not signal.SIGINT:
                signal.signal(number, _leave)
        yield
        before.pop_all()


@contextmanager
def heard_asleep() -> Iterator[Callable[[float], None]]:
    """Signals that ask to leave are heard only while the function that is given sleeps so many seconds, and at the end.

    An exit raised while a library tidies up behind itself can be lost: Python drops what is raised in a `__del__`. (To block the
    signals doesn't help: numpy's threads would still take them, and Python calls its handlers all the same.)
    """
    asleep, told = False, list[int]()
    before = {number: signal.getsignal(number) for number in heard()}

    def hear(number: int, frame: FrameType | None = None) -> None:
        told.append(number)
        if asleep:
            obey(frame)

    def obey(frame: FrameType | None = None) -> None:
        number = told.pop(0)
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    def sleep(seconds: float) -> None:
        nonlocal asleep
        asleep = True
        try:
            if told:
                obey()
            time.sleep(seconds)
        finally:
            asleep = False

    for number in before:
        signal.signal(number, hear)
    try:
        yield sleep
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if told:
        obey()


def heard() -> list[signal.Signals]:
    """The signals that ask to leave, but for those that whoever started us wants ignored: nohup means it."""
    return [number for number in CAUSES if signal.getsignal(number) is not signal.SIG_IGN]


def _leave(number: int, _frame: FrameType | None) -> None:
    tell("told to leave; nothing was sent")
    raise SystemExit(int(CAUSES[signal.Signals(number)]))


def leave_between(number: int, _frame: FrameType | None) -> None:
    """Leave between two parts of a run."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    tell("told to leave; what was sent is recorded")
    raise SystemExit(int(CAUSES[signal.Signals(number)]))


async def unless_told_to_leave(question: Coroutine[Any, Any, T]) -> T:
    """What comes of `question`. A signal cancels it first: an exit from the midst of a loop leaves its tasks in pieces."""
    loop, asked, told = asyncio.get_running_loop(), asyncio.create_task(question), list[signal.Signals]()

    def leave(number: signal.Signals) -> None:
        told.append(number)
        asked.cancel()

    with ExitStack() as after:
        for number in set(heard()) - {signal.SIGINT}:  # which asyncio does itself
            after.callback(signal.signal, number, signal.getsignal(number))
            loop.add_signal_handler(number, leave, number)
            after.callback(loop.remove_signal_handler, number)
        await asyncio.wait([asked])
    if told:
        _leave(told[0], None)
    return asked.result()
