"""`compact`: an output without the lines that later ones replaced."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch_runner.output.compact import compact
from batch_runner.totals import UNATTEMPTED, as_rows_deserve
from batch_runner.upkeep.outputs import held_output

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.exits import ExitStatus


@dataclass(frozen=True, slots=True)
class Compacted:
    """What became of an output that was to be compacted."""

    output: Path
    rows: Counter[str]
    exit_status: ExitStatus
    """What its rows deserve: lines too many harm nobody."""
    lines_gone: int
    bytes_before: int
    bytes_after: int
    trouble: str = ""
    """Why it stays as it was, when it couldn't be written anew."""


def tidy(name: str | Path) -> Compacted:
    """Compact the output of that name; where nothing was replaced it stays as it is, byte for byte.

    Raises `OutputBusy` while a run holds it, `CannotStart` when it isn't an output.
    """
    with held_output(name) as (history, run):
        path, index = history.path, history.index
        before = path.stat().st_size
        rows = +Counter({**index.living(), UNATTEMPTED: history.unattempted})
        gone, trouble = 0, ""
        if index.dead_lines > index.closed:  # the last totals line lives, though the next run's will replace it
            try:
                gone = compact(path, index)
            except OSError as error:
                trouble = error.strerror or str(error)
        return Compacted(path, rows, as_rows_deserve(rows, run.max_failed), gone, before, path.stat().st_size, trouble)
