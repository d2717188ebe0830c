"""A job's turn: one run of it at a time, whichever night's output it writes."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from batch_runner.failures import CannotStart, OutputBusy
from batch_runner.output.lock import lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOOK_SECONDS = 1.0


@contextmanager
def turn(
    path: Path,
    job: str,
    *,
    by_kernel: bool,
    wait: Callable[[OutputBusy], bool],
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold the lock of `job` at `path`. While another run has it, `wait` is asked each second whether to go on waiting.

    Raises `OutputBusy` where it says no, or `CannotStart`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(f"{path.parent}: can't be made: {error.strerror}") from None
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(lock(path, by_kernel=by_kernel, what=f"the job {job}"))
                break
            except OutputBusy as busy:
                if not wait(busy):
                    raise
            sleep(LOOK_SECONDS)
        yield
