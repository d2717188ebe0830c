"""What an output already holds: its index, the lines behind it, and what they add up to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import orjson

from batch_runner.endpoint import FAKE
from batch_runner.failures import CannotStart, FailureKind
from batch_runner.output.file import open_output
from batch_runner.output.index import Index, index_of
from batch_runner.output.lines import read_bills, read_past
from batch_runner.records import ANSWERED, NO_PAST, Past, Status, Usage
from batch_runner.totals import UNATTEMPTED, Totals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from batch_runner.admission import Ceiling
    from batch_runner.output.index import Entry


class History:
    """What the output at `path` held when it was opened; a context manager.

    `as_new`: as if the output were empty, for a run that will set it aside.
    """

    def __init__(self, path: Path, *, as_new: bool = False) -> None:
        self.path = path
        self._file = None if as_new else open_output(path)
        try:
            self.index = Index() if self._file is None else index_of(self._file, path)
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

    def line_of(self, entry: Entry) -> dict[str, Any] | None:
        """The parsed line behind an entry; `None` when it is damaged inside."""
        if self._file is None:
            raise ValueError("no lines behind an empty index")
        self._file.seek(entry.offset)
        return _parsed(self._file.readline())

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
        return max(0, known - self.index.met_since(self.index.last_run_began, real_only=run.endpoint != FAKE))

    def job_so_far(self, *, real: bool) -> Totals:
        """What all earlier runs came to. A run that was killed is charged up to its in-flight ceiling, on top of what its
        lines tell; one of the embedded endpoint isn't, nobody bills it. `real`: what that one was asked is left out.
        """
        run = self.index.last_run
        if run is None:
            return Totals()
        made_up = run.endpoint == FAKE
        if self.index.closed and not (real and made_up):
            return self.index.job
        counted = self._recounted(real_only=real)
        hidden = Usage() if made_up or self.index.closed else _at_most(run.ceiling)
        counted.unclosed = self.index.job.unclosed + hidden
        return counted

    def _recounted(self, *, real_only: bool) -> Totals:
        """The totals of all living lines, read one by one."""
        totals = Totals()
        for line in self.living_lines(real_only=real_only):
            totals.attempts += sum(attempt["n"] for attempt in line["attempts"])
            if line["failure"]:
                totals.failures[line["failure"]] += 1
            for model, bill in read_bills(line).items():
                totals.bill(model, bill)
            if line["status"] in ANSWERED and line["latency_s"] is not None:
                usage_known = line["usage"]["prompt_tokens"] is not None
                totals.answered(line["model"], line["model_answered"], line["latency_s"], usage_known=usage_known)
        totals.wall_ms = self.index.job.wall_ms
        return totals

    def living_lines(self, *, real_only: bool = False) -> Iterator[dict[str, Any]]:
        """The last line of each row, parsed, in the order of the file; `real_only` leaves out made-up answers."""
        if self._file is None:
            return
        for place in self.index.living_places(real_only=real_only):
            self._file.seek(place)
            line = _parsed(self._file.readline())
            if line is not None:
                yield line


def _at_most(ceiling: Ceiling) -> Usage:
    return Usage(ceiling.prompt_tokens, 0, ceiling.completion_tokens, 0, ceiling.prompt_tokens + ceiling.completion_tokens)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A row line; `None` when it is damaged somewhere behind its head."""
    try:
        parsed: dict[str, Any] = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return parsed
