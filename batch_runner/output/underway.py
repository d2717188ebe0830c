"""A line on its way into the output, and telling whoever waits for it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from batch_runner.failures import OutputLost

if TYPE_CHECKING:
    import asyncio


class Line(NamedTuple):
    """A line on its way; `written` is done when the line is."""

    text: bytes
    synced: bool
    written: asyncio.Future[None]  # the event loop's: the thread never touches it


def tell(lines: list[Line], error: Exception | None = None) -> None:
    """Have the event loop tell all who wait for `lines`, in one turn: written, or an error."""
    if lines:
        with suppress(RuntimeError):  # it is closed: nobody waits any more
            lines[0].written.get_loop().call_soon_threadsafe(_wake, lines, error)


def _wake(lines: list[Line], error: Exception | None) -> None:
    for line in lines:
        if line.written.done():
            continue  # whoever waited has left; the line is written all the same
        if error is None:
            line.written.set_result(None)
        else:
            line.written.set_exception(OutputLost(error.strerror or str(error)) if isinstance(error, OSError) else error)
