"""Which rows an output already holds: 25 bytes a line, in numpy columns.

Lines are gathered in runs of a million, each sorted by the key of its id. A lookup asks the runs from the newest to the
oldest, so the last line of an id wins; lines that a later one replaced are marked dead as soon as their run meets it.
Sorting run by run keeps the peak near the resident size, which one large sort would double.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson

from batch_runner.endpoint import FAKE
from batch_runner.failures import CannotStart
from batch_runner.identity import key_of_fingerprint, key_of_id
from batch_runner.output.file import is_sound, open_output, opens_as_ours, whole_lines
from batch_runner.output.lines import FORMAT_VERSION, HEAD, RUN, TOTALS, Run, read_run
from batch_runner.records import Status
from batch_runner.totals import Totals

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LINES_IN_A_RUN = 1_000_000
STATUSES = tuple(Status)
DEAD = 0x80
SEEN = 0x40
MADE_UP = 0x20
STATUS_BITS = 0x0F
BOOKKEEPING = frozenset({RUN, TOTALS})
FINGERPRINT = re.compile(rb"v\d+:[0-9a-f]{32}")
ENDS_WELL = re.compile(rb"\}\s*\Z")


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index knows of one id."""

    status: Status
    fingerprint_key: int
    offset: int
    """Where its last line starts in the file."""
    made_up: bool
    """Answered by the embedded endpoint."""


class Head(NamedTuple):
    """What a line says of itself before its long texts; of a bookkeeping line, everything."""

    id: str
    status: str
    fingerprint: str
    bookkeeping: dict[str, Any] | None


def read_head(line: bytes) -> Head | None:
    """The head of a whole line; `None` when the line can't be read, and so tells of no row.

    Raises `CannotStart` for an output that a newer program made.
    """
    match = HEAD.match(line)
    if match is None or not ENDS_WELL.search(line) or not is_sound(line):
        return None
    status = match[2].decode()
    if status in BOOKKEEPING:
        return _bookkeeping_head(status, line)
    if status not in STATUSES or not FINGERPRINT.fullmatch(match[3]):
        return None
    try:
        return Head(
            orjson.loads(b'"' + match[1] + b'"') if b"\\" in match[1] else match[1].decode(), status, match[3].decode(), None
        )
    except ValueError:
        return None


def _bookkeeping_head(status: str, line: bytes) -> Head | None:
    try:
        document = orjson.loads(line)
        if status == RUN:
            version, program = document["run"]["version"], document["run"]["program"]
            if version > FORMAT_VERSION:
                raise CannotStart(f"the output was made by a newer program, {program}: update batch-runner to go on with it")
            read_run(document)
        Totals.from_json(document["totals"]["job"])
    except (ValueError, KeyError, TypeError):
        return None
    return Head("", status, "", document)


class _Columns:
    """A million lines, sorted by id: key of the id, key of the fingerprint, place in the file, status and marks."""

    __slots__ = ("fingerprints", "flags", "ids", "places")

    def __init__(self, ids: array[int], fingerprints: array[int], places: array[int], flags: bytearray) -> None:
        keys = np.frombuffer(ids, dtype=np.uint64)
        order = np.argsort(keys, kind="stable")
        self.ids = keys[order]
        self.fingerprints = np.frombuffer(fingerprints, dtype=np.uint64)[order]
        self.places = np.frombuffer(places, dtype=np.uint64)[order]
        self.flags = np.frombuffer(bytes(flags), dtype=np.uint8)[order]
        self.flags[:-1][self.ids[:-1] == self.ids[1:]] |= DEAD  # the sort is stable: the last of its kind lives

    def find(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Where each key's living line stands among these, or -1."""
        if not len(self.ids):
            return np.full(len(keys), -1, dtype=np.int64)
        places = np.searchsorted(self.ids, keys, side="right") - 1
        found = (places >= 0) & (self.ids[places] == keys)
        return np.where(found, places, -1)


class Index:
    """The last line of every id in an output, and what its bookkeeping lines tell."""

    def __init__(self) -> None:
        self.run_lines: dict[str, bytes] = {}
        """The last run line of each run."""
        self.last_run: Run | None = None
        self.last_run_began = 0
        """Where its first run line starts in the file."""
        self.job = Totals()
        """Where the job stood when the last run began, or ended if it did."""
        self.closed = True
        """False when the last run has no totals line: it was killed."""
        self.lines = 0
        self._dead_rows = 0
        self._dead_bookkeeping = 0
        self.unreadable_lines = 0
        self.size = 0
        """Bytes up to the end of the last whole line."""
        self._columns: list[_Columns] = []
        self._start_columns()

    def _start_columns(self) -> None:
        self._ids, self._fingerprints, self._places = array("Q"), array("Q"), array("Q")
        self._flags = bytearray()

    @property
    def dead_lines(self) -> int:
        """Lines that later ones replaced; a totals line counts, for the next run's will replace it."""
        return self._dead_rows + self._dead_bookkeeping

    def add(self, line: bytes, offset: int) -> None:
        """Take in one whole line that starts at `offset`."""
        self.lines += 1
        head = read_head(line)
        if head is None:
            self.unreadable_lines += 1
        elif head.bookkeeping is not None:
            self._add_bookkeeping(head, line, offset)
        else:
            self._add_row(head, offset)

    def _add_bookkeeping(self, head: Head, line: bytes, offset: int) -> None:
        document = head.bookkeeping or {}
        if head.status == RUN:
            before, self.last_run = self.last_run, read_run(document)
            if before is None or before.id != self.last_run.id:
                self.last_run_began = offset
            self._dead_bookkeeping += self.last_run.id in self.run_lines
            self.run_lines[self.last_run.id] = line
            self.closed = False
        else:
            self.closed = True
            self._dead_bookkeeping += 1
        self.job = Totals.from_json(document["totals"]["job"])

    def _add_row(self, head: Head, offset: int) -> None:
        made_up = self.last_run is not None and self.last_run.endpoint == FAKE
        self._ids.append(key_of_id(head.id))
        self._fingerprints.append(key_of_fingerprint(head.fingerprint))
        self._places.append(offset)
        self._flags.append(STATUSES.index(Status(head.status)) | (MADE_UP if made_up else 0))
        if len(self._ids) >= LINES_IN_A_RUN:
            self.settle()

    def settle(self) -> None:
        """Sort what was added since the last time, so that it can be found."""
        if not self._ids:
            return
        newest = _Columns(self._ids, self._fingerprints, self._places, self._flags)
        self._start_columns()
        for older in self._columns:
            places = older.find(newest.ids)
            older.flags[places[places >= 0]] |= DEAD
        self._columns.append(newest)
        self._dead_rows = sum(int(np.count_nonzero(columns.flags & DEAD)) for columns in self._columns)

    def find(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """A handle for each id key, or -1 where the output holds no line of it."""
        handles = np.full(len(keys), -1, dtype=np.int64)
        base = 0
        for columns in self._columns:
            places = columns.find(keys)
            alive = places >= 0
            alive[alive] = (columns.flags[places[alive]] & DEAD) == 0
            handles[alive] = places[alive] + base
            base += len(columns.ids)
        return handles

    def entry(self, handle: int) -> Entry:
        """What stands behind a handle."""
        columns, place = self._at(handle)
        flags = int(columns.flags[place])
        return Entry(
            STATUSES[flags & STATUS_BITS],
            int(columns.fingerprints[place]),
            int(columns.places[place]),
            bool(flags & MADE_UP),
        )

    def lookup(self, row_id: str) -> Entry | None:
        """The entry of one id."""
        handle = int(self.find(np.array([key_of_id(row_id)], dtype=np.uint64))[0])
        return self.entry(handle) if handle >= 0 else None

    def mark(self, handles: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Note that the input holds these rows (no handle twice); False where that was known already."""
        first = np.empty(len(handles), dtype=np.bool_)
        base = 0
        for columns in self._columns:
            here = (handles >= base) & (handles < base + len(columns.ids))
            places = handles[here] - base
            first[here] = (columns.flags[places] & SEEN) == 0
            columns.flags[places] |= SEEN
            base += len(columns.ids)
        return first

    def living(self) -> Counter[str]:
        """How many ids have a last line of each status."""
        return self._count(0)

    def not_seen(self) -> Counter[str]:
        """The same for ids that `mark` was never told of."""
        return self._count(SEEN)

    def met_since(self, offset: int, *, real_only: bool) -> int:
        """How many ids have their first line at `offset` or later; `real_only`: made-up lines before it don't count."""
        late = [columns.ids[columns.places >= offset] for columns in self._columns]
        passed_over = MADE_UP if real_only else 0
        early = [columns.ids[(columns.places < offset) & (columns.flags & passed_over == 0)] for columns in self._columns]
        return len(np.setdiff1d(np.concatenate(late), np.concatenate(early))) if late else 0

    def living_places(self, *, real_only: bool = False) -> list[int]:
        """Where the last line of each id starts, in file order; `real_only` leaves out made-up answers."""
        passed_over = DEAD | MADE_UP if real_only else DEAD
        places = [columns.places[(columns.flags & passed_over) == 0] for columns in self._columns]
        return np.sort(np.concatenate(places)).tolist() if places else []

    def _count(self, but_not: int) -> Counter[str]:
        counts: Counter[str] = Counter()
        for columns in self._columns:
            flags = columns.flags[(columns.flags & (DEAD | but_not)) == 0] & STATUS_BITS
            for code, count in enumerate(np.bincount(flags, minlength=len(STATUSES)).tolist()):
                counts[STATUSES[code]] += count
        return +counts

    def _at(self, handle: int) -> tuple[_Columns, int]:
        for columns in self._columns:
            if handle < len(columns.ids):
                return columns, handle
            handle -= len(columns.ids)
        raise IndexError(handle)


def read_index(path: Path) -> Index:
    """The index of the output at `path`; empty when there is no such file. Raises as `index_of` does."""
    file = open_output(path)
    if file is None:
        return Index()
    with file:
        return index_of(file, path)


def index_of(file: IO[bytes], path: Path) -> Index:
    """The index of an open output. A torn last line counts as absent.

    Raises `CannotStart` when the file isn't an output of ours. What is read later at the index's offsets must be read from
    the same `file`: the one at `path` may have been replaced meanwhile.
    """
    index = Index()
    try:
        if opens_as_ours(file, path):
            for offset, line in whole_lines(file):
                index.add(line, offset)
                index.size = offset + len(line)
    except OSError as error:
        raise CannotStart(f"{path}: can't be read: {error.strerror}") from None
    index.settle()
    return index


def last_run_of(path: Path) -> Run | None:
    """The last run line of the output at `path`; `None` when there is no output. Raises as `read_index` does."""
    return read_index(path).last_run
