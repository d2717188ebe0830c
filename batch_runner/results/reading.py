"""`read_results`: an output as typed results, one for each row."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from batch_runner.output.history import History
from batch_runner.output.lines import read_result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_runner.records import Result


def read_results(path: str | Path) -> Iterator[Result]:
    """The last result of each row of the output at `path`, in the order of the file; also while a run goes on.

    Bookkeeping lines, replaced lines and a torn last line are left out. Raises `CannotStart` when the file isn't an output.
    """
    with History(Path(os.path.realpath(path))) as history:
        yield from map(read_result, history.living_lines())
