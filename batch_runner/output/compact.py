"""Leaves one line per row in an output: lines that later ones replaced go, atomically."""

from __future__ import annotations

import shutil
from typing import IO, TYPE_CHECKING

from batch_runner.output.file import sync_folder, sync_to_disk, whole_lines
from batch_runner.output.heads import read_head
from batch_runner.output.lines import RUN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batch_runner.output.index import Index

SMALL_BYTES = 256_000_000
DEAD_SHARE = 0.1


def is_due(size: int, lines: int, dead_lines: int) -> bool:
    """Whether compaction is worth its while: always in a small file, else once a tenth of its lines is dead."""
    return dead_lines > 0 and (size < SMALL_BYTES or dead_lines > DEAD_SHARE * lines)


def compact(path: Path, index: Index) -> int:
    """Replace the output at `path`, which `index` describes as it stands, by its living lines; returns how many went.

    The new file is written beside the old one, synced, and takes its place in one step, so that a kill or a power loss
    leaves one or the other. Mode is kept. The caller holds the lock and the journal is closed. Raises `OSError`, and leaves
    the output as it was, where there is no room.
    """
    temporary = _temporary(path)
    kept = 0
    try:
        with path.open("rb") as old, temporary.open("wb") as new:
            for line in living_lines(old, index):
                new.write(line)
                kept += 1
            new.flush()
            shutil.copymode(path, temporary)
            sync_to_disk(new.fileno())
        temporary.replace(path)
    finally:
        remove_remains(path)  # whatever stopped it, a Ctrl-C too, leaves nothing half done behind
    sync_folder(path.parent)
    return index.lines - kept


def remove_remains(path: Path) -> None:
    """Remove what a compaction of `path` left that didn't come to its end."""
    _temporary(path).unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(path.name + ".compacting")


def living_lines(file: IO[bytes], index: Index) -> Iterator[bytes]:
    """The lines a compacted output holds, in their order.

    Row lines that are the last of their id; before the first of each run's, the last run line of that run; the last
    totals line. Lines that can't be read stay.
    """
    places = iter(index.living_places())
    living = next(places, None)
    run, told, totals = "", set(), b""
    for offset, line in whole_lines(file):
        head = read_head(line)
        if head is not None and head.bookkeeping is not None:
            if head.status == RUN:
                run = head.bookkeeping["run_id"]
            else:
                totals = line
            continue
        if head is not None and offset != living:
            continue  # a later line replaced it
        if run in index.run_lines and run not in told:
            told.add(run)
            yield index.run_lines[run]
        yield _ended(line)
        if offset == living:
            living = next(places, None)
    if run in index.run_lines and run not in told:
        yield index.run_lines[run]
    if index.closed:
        yield totals


def _ended(line: bytes) -> bytes:
    return line if line.endswith(b"\n") else line + b"\n"
