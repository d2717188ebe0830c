"""Writes an output anew with fewer lines: atomically, and with no more in memory than its index."""

from __future__ import annotations

import shutil
from typing import IO, TYPE_CHECKING

from batch_runner.output.file import READ_BYTES, ended, sync_folder, sync_to_disk, whole_lines
from batch_runner.output.heads import read_head
from batch_runner.output.lines import RUN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from batch_runner.output.index import Index

SMALL_BYTES = 256_000_000
DEAD_SHARE = 0.1


def is_due(size: int, lines: int, dead_lines: int) -> bool:
    """Whether compaction is worth its while: always in a small file, else once a tenth of its lines is dead."""
    return dead_lines > 0 and (size < SMALL_BYTES or dead_lines > DEAD_SHARE * lines)


def compact(path: Path, index: Index) -> int:
    """Replace the output at `path`, which `index` describes as it stands, by its living lines; returns how many went.

    The caller holds the lock and the journal is closed. Raises as `write_anew` does.
    """
    with path.open("rb", buffering=READ_BYTES) as old:
        return index.lines - write_anew(path, living_lines(old, index), like=path)


def write_anew(path: Path, lines: Iterable[bytes], *, like: Path) -> int:
    """Make `lines` the content of `path`, with the mode of the file at `like`; returns how many they were.

    They are written beside `path`, synced, and take its place in one step, so that a kill or a power loss leaves one or the
    other. Raises `OSError`, and leaves `path` as it was, where there is no room.
    """
    temporary = _temporary(path)
    count = 0
    try:
        with temporary.open("wb", buffering=READ_BYTES) as new:
            for line in lines:
                new.write(line)
                count += 1
            new.flush()
            shutil.copymode(like, temporary)
            sync_to_disk(new.fileno())
        temporary.replace(path)
    finally:
        remove_remains(path)  # whatever stopped it, a Ctrl-C too, leaves nothing half done behind
    sync_folder(path.parent)
    return count


def remove_remains(path: Path) -> None:
    """Remove what writing `path` anew left when it didn't come to its end."""
    _temporary(path).unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(path.name + ".compacting")


def living_lines(file: IO[bytes], index: Index) -> Iterator[bytes]:
    """The lines a compacted output holds, in their order: the last one of each row, and the last totals line."""
    yield from lines_at(file, index, index.living_places())
    if index.closed:
        yield index.totals_line


def lines_at(file: IO[bytes], index: Index, places: Iterator[int], *, unreadable: bool = True) -> Iterator[bytes]:
    """The row lines at `places`, which ascend, each run's behind its last run line, and the last run's line in any case.

    Lines that can't be read stay where they are, unless `unreadable` is false.
    """
    place = next(places, None)
    run = told = ""
    for offset, line in whole_lines(file):
        if offset == place:
            place = next(places, None)
        elif (head := read_head(line)) is not None:
            run = head.bookkeeping["run_id"] if head.bookkeeping is not None and head.status == RUN else run
            continue  # a later line replaced it, or it isn't wanted
        elif not unreadable:
            continue
        if run in index.run_lines and run != told:
            told = run
            yield index.run_lines[run]
        yield ended(line)
    if run in index.run_lines and run != told:
        yield index.run_lines[run]
