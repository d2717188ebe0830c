"""What an output already holds: its index, the lines behind it, and what they add up to."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, Self

import orjson

from batch_runner.clock import timestamp
from batch_runner.failures import CannotStart, FailureKind
from batch_runner.output.compact import compact, is_due, remove_remains
from batch_runner.output.file import READ_BYTES, open_output
from batch_runner.output.index import Index, index_of
from batch_runner.output.ledger import fold
from batch_runner.output.lines import read_past
from batch_runner.output.lock import lock
from batch_runner.output.packed import ENDING, check_not_packed, packed_path, unpacked
from batch_runner.records import NO_PAST, Past, Status
from batch_runner.totals import UNATTEMPTED, Totals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from batch_runner.output.index import Entry

PIECE_BYTES = 8192


class History:
    """What the output at `path` held when it was opened; a context manager.

    `as_new`: as if the output were empty, for a run that will set it aside.
    """

    def __init__(self, path: Path, *, as_new: bool = False) -> None:
        self.path = path
        self._open(as_new=as_new)

    def _open(self, *, as_new: bool = False) -> None:
        self._file = None if as_new else _opened(self.path)
        try:
            self.index = Index() if self._file is None else index_of(self._file, self.path)
        except CannotStart:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the index stays."""
        if self._file is not None:
            self._file.close()

    def read_on(self) -> Index:
        """The index, with what the run that holds the output has appended since."""
        with self.path.open("rb", buffering=READ_BYTES) as file:
            self.index.read_on(file)
        return self.index

    def tidy(self) -> None:
        """Leave one line per row, if that is worth it; where there is no room for it, the output stays as it is."""
        if is_due(self.index.size, self.index.lines, self.index.dead_lines - self.index.closed):
            with suppress(OSError):
                compact(self.path, self.index)
                self.reopen()

    def reopen(self) -> None:
        """Read the output anew: it is another file now, or was none before."""
        self.close()
        self._open()

    def line_of(self, entry: Entry) -> dict[str, Any] | None:
        """The parsed line behind an entry; `None` when it is damaged inside. Can be asked by several threads at once."""
        if self._file is None:
            raise ValueError("no lines behind an empty index")
        return _parsed(_line_at(self._file.fileno(), entry.offset))

    def past(self, row_id: str) -> Past:
        """What earlier runs did for a row."""
        entry = self.index.lookup(row_id)
        line = self.line_of(entry) if entry is not None else None
        if line is None:
            return NO_PAST if entry is None else Past(entry.status)
        return read_past(line)

    def kind_of(self, entry: Entry) -> FailureKind | None:
        """Why the row behind an entry has no answer, if it has none."""
        if entry.status is Status.OK:
            return None
        line = self.line_of(entry)
        return FailureKind(line["failure"]) if line is not None and line["failure"] else None

    @property
    def unattempted(self) -> int:
        """Rows of the input that no run has sent yet, as far as the last run knew its input: with `--limit`, only its part."""
        known, run = self.index.job.rows[UNATTEMPTED], self.index.last_run
        if self.index.closed or run is None:
            return known
        return max(0, known - self.index.met_since(self.index.last_run_began, real_only=self.index.real))

    def job_so_far(self, *, real: bool) -> Totals:
        """What all earlier runs came to. A run that was killed is charged up to its in-flight ceiling, on top of what its
        lines tell. `real`: what the embedded endpoint was asked is left out, nobody bills it.
        """
        run = self.index.last_run
        if run is None:
            return Totals()
        if self.index.closed and real is self.index.real:
            return self.index.job
        counted = fold(self.living_lines(real_only=real))
        counted.wall_ms = self.index.job.wall_ms
        counted.unclosed = self.index.job.unclosed + self.index.hidden
        return counted

    def job_before(self, moment: float, so_far: Totals) -> Totals:
        """What the runs that began before `moment` came to, `so_far` being what all of them did: each run line opens with it."""
        began = timestamp(moment)
        since = (run for run in map(orjson.loads, self.index.run_lines.values()) if run["finished_at"] >= began)
        first = next(since, None)
        return so_far if first is None else Totals.from_json(first["totals"]["job"])

    def raw_line(self, place: int) -> bytes:
        """The line that starts there, of the file as it was opened. Can be asked by several threads at once."""
        if self._file is None:
            raise ValueError("no lines in an output that isn't there")
        return _line_at(self._file.fileno(), place)

    def once_more(self) -> IO[bytes]:
        """The file anew, from its start; for an output that holds something."""
        file = _opened(self.path)
        assert file is not None, "it was there a moment ago"
        return file

    def lines(self) -> Iterator[bytes]:
        """Every line of the file, those that can't be read and a torn last one too."""
        if self._file is not None:
            self._file.seek(0)
            yield from self._file

    def living_lines(self, *, real_only: bool = False, seen: bool | None = None) -> Iterator[dict[str, Any]]:
        """The last line of each row, parsed, in the order of the file; which ones as `Index.living_places` says."""
        if self._file is None:
            return
        for place in self.index.living_places(real_only=real_only, seen=seen):
            self._file.seek(place)
            line = _parsed(self._file.readline())
            if line is not None:
                yield line


@contextmanager
def hold(path: Path, *, as_new: bool = False, by_kernel: bool = True) -> Iterator[History]:
    """The output at `path`, kept from every other run as `lock` does, and what it holds. Raises `OutputBusy` or `CannotStart`."""
    if not as_new:
        check_not_packed(path)
    with lock(path, by_kernel=by_kernel):
        remove_remains(path)
        with History(path, as_new=as_new) as history:
            yield history


def _opened(path: Path) -> IO[bytes] | None:
    """The output at `path`, or what it holds where it is packed; `None` when there is neither. Raises `CannotStart`."""
    if path.name.endswith(ENDING):
        return unpacked(path)
    file = open_output(path)
    return unpacked(packed_path(path)) if file is None and packed_path(path).exists() else file


def _line_at(file: int, offset: int) -> bytes:
    """The line that starts there. It moves no position that others read from."""
    line = b""
    while piece := os.pread(file, PIECE_BYTES, offset + len(line)):
        end = piece.find(b"\n")
        if end >= 0:
            return line + piece[: end + 1]
        line += piece
    return line


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A row line; `None` when it is damaged somewhere behind its head."""
    try:
        parsed: dict[str, Any] = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return parsed
