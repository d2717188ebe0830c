"""`merge`: several outputs -> one, with one line for each row and every attempt counted once. The inputs are only read."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from batch_runner.blocks import in_blocks
from batch_runner.clock import timestamp
from batch_runner.failures import CannotStart, OutputLost, UsageMistake
from batch_runner.identity import key_of_id
from batch_runner.loader import RUN_LINE_START
from batch_runner.output.compact import lines_at, write_anew
from batch_runner.output.heads import read_head
from batch_runner.output.history import History
from batch_runner.output.ledger import count
from batch_runner.output.lines import read_result, row_line, run_line, totals_line
from batch_runner.output.lock import lock, lock_path
from batch_runner.records import ANSWERED
from batch_runner.totals import UNATTEMPTED, Totals, as_rows_deserve
from batch_runner.upkeep.joining import Record, joined, last_word
from batch_runner.upkeep.outputs import existing, last_run
from batch_runner.upkeep.shared_runs import groups_of, hidden_and_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batch_runner.clock import Clock
    from batch_runner.exits import ExitStatus
    from batch_runner.records import Result

LINES_AT_ONCE = 512
BYTES_AT_ONCE = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of joining outputs."""

    output: Path
    totals: Totals
    """Of the job: rows as they stand now, every attempt of every run once."""
    exit_status: ExitStatus
    repeated: int
    """Rows that stood in more than one output."""
    differing: int
    """Rows of these that were answered under different requests: one answer stands, the other is in its own output still."""
    unreadable: int
    """Lines that can't be read; they are in no output but their own."""


def merge(names: Sequence[str | Path], output: str | Path, *, clock: Clock) -> Merged:
    """Join the outputs of those names in a new one.

    Raises `OutputBusy` while a run holds one of them, `CannotStart` when one is no output or the new one is there already,
    `OutputLost` when there is no room for it.
    """
    paths = list(dict.fromkeys(existing(name) for name in names))
    if len(paths) < 2:  # noqa: PLR2004 - two
        raise UsageMistake("name two outputs at least, or there is nothing to join")
    target = _new(output)
    with ExitStack() as held:
        for path in paths:
            if os.access(lock_path(path), os.W_OK):  # where there is none, or none can be held, no run is at it, and none is made
                held.enter_context(lock(path))
        sources = [held.enter_context(History(path)) for path in paths]
        sources.sort(key=lambda source: last_run(source).started_at)
        held.enter_context(lock(target))
        join = _Join(sources, clock)
        try:
            write_anew(target, join.lines(), like=sources[-1].path)
        except OSError as error:
            raise OutputLost(f"{output} can't be written: {error.strerror}; nothing was joined") from None
    unreadable = sum(source.index.unreadable_lines for source in sources)
    status = as_rows_deserve(join.totals.rows, last_run(sources[-1]).max_failed)
    return Merged(target, join.totals, status, join.repeated, join.differing, unreadable)


def _new(output: str | Path) -> Path:
    target = Path(output).resolve()
    if target.exists():
        raise CannotStart(f"{output} is there already: name a new output with -o")
    if not target.parent.is_dir():
        raise CannotStart(f"{output}: there is no folder {target.parent}")
    return target


class _Found(NamedTuple):
    """A row line on its way into the new output."""

    line: bytes
    run_line: bytes
    document: dict[str, Any] | None
    """`None` when it is damaged behind its head."""
    id: str


class _Join:
    """Streams the lines of outputs, the one whose last run is the newest last, and adds up what they come to."""

    def __init__(self, sources: Sequence[History], clock: Clock) -> None:
        self._sources = sources
        self._clock = clock
        self._groups = groups_of([source.index for source in sources])
        self._met = Counter[int]()
        """Different rows by group of outputs that share a run."""
        self.totals = Totals()
        self.repeated = 0
        self.differing = 0

    def lines(self) -> Iterator[bytes]:
        """All lines of the new output; `totals` is complete when they are through."""
        told = b""
        for place in range(len(self._sources)):
            for run, line in self._of(place):
                if run != told:
                    told = run
                    yield run
                yield line
        self._add_bookkeeping()
        newest = last_run(self._sources[-1])
        yield run_line(newest, self.totals)
        yield totals_line(newest.id, timestamp(self._clock()), self.totals, Totals())

    def _of(self, place: int) -> Iterator[tuple[bytes, bytes]]:
        """The lines that the output at `place` gives, each with the run line it belongs to."""
        source = self._sources[place]
        with source.once_more() as file:
            lines = lines_at(file, source.index, source.index.living_places(), unreadable=False)
            found = _rows(lines, next(iter(source.index.run_lines.values())))
            for block in in_blocks(found, lambda row: len(row.line), most=LINES_AT_ONCE, most_bytes=BYTES_AT_ONCE):
                keys = [key_of_id(row.id) for row in block]
                handles = [each.index.find(keys) for each in self._sources]
                for row, of_row in zip(block, zip(*handles, strict=True), strict=True):
                    line = self._chosen(row, place, of_row)
                    if line is not None:
                        yield row.run_line, line

    def _chosen(self, row: _Found, place: int, handles: Sequence[int]) -> bytes | None:
        """The line that stands for a row; `None` when another output gives it."""
        holders = [each for each, handle in enumerate(handles) if handle >= 0]
        self._met[self._groups[place]] += not any(self._groups[each] == self._groups[place] for each in holders if each < place)
        made_up = self._sources[place].index.entry(handles[place]).made_up
        if row.document is None:
            return row.line if len(holders) == 1 else None
        records = {each: self._record(row.id, each, handles[each]) for each in holders if each != place}
        others = {each: record for each, record in records.items() if record is not None}
        if not others:
            return self._counted(row.document, row.line, made_up=made_up)
        return self._joined({**others, place: Record(read_result(row.document), made_up)}, row, place)

    def _joined(self, records: dict[int, Record], row: _Found, place: int) -> bytes | None:
        in_order = sorted(records)
        ordered = [records[each] for each in in_order]
        if in_order[last_word(ordered)] != place:
            return None
        self.repeated += 1
        self.differing += _differ([record.result for record in ordered])
        result = joined(ordered)
        line = row.line if result == records[place].result else row_line(result)
        return self._counted(orjson.loads(line), line, made_up=records[place].made_up)

    def _record(self, row_id: str, place: int, handle: int) -> Record | None:
        source = self._sources[place]
        entry = source.index.entry(handle)
        document = source.line_of(entry)
        if document is None or document["id"] != row_id:
            return None
        return Record(read_result(document), entry.made_up)

    def _counted(self, document: dict[str, Any], line: bytes, *, made_up: bool) -> bytes:
        self.totals.rows[document["status"]] += 1
        if not (made_up and self._sources[-1].index.real):
            count(self.totals, document)
        return line

    def _add_bookkeeping(self) -> None:
        """What no row line tells: rows never sent, what killed runs may have cost, the time that runs took."""
        known: Counter[int] = Counter()
        for group, source in zip(self._groups, self._sources, strict=True):
            known[group] = max(known[group], source.index.living().total() + source.unattempted)
        self.totals.rows[UNATTEMPTED] = sum(max(0, known[group] - self._met[group]) for group in known)
        self.totals.rows = +self.totals.rows
        self.totals.unclosed, self.totals.wall_ms = hidden_and_time([source.index for source in self._sources])


def _rows(lines: Iterator[bytes], run: bytes) -> Iterator[_Found]:
    """Row lines, each with the run line that stands before it: `run` until there is one."""
    for line in lines:
        if line.startswith(RUN_LINE_START):
            run = line
            continue
        try:
            document = orjson.loads(line)
            yield _Found(line, run, document, document["id"])
        except orjson.JSONDecodeError:
            head = read_head(line)
            if head is not None:
                yield _Found(line, run, None, head.id)


def _differ(results: list[Result]) -> bool:
    return len({result.fingerprint for result in results if result.status in ANSWERED}) > 1
