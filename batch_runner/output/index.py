"""Which rows an output already holds: 21 bytes a line, in numpy columns.

Lines are gathered in runs of a million, each sorted by the key of its id. A lookup asks the runs from the newest to the
oldest, so the last line of an id wins; lines that a later one replaced are marked dead as soon as their run meets it.
Sorting run by run keeps the peak near the resident size, which one large sort would double.
"""

from __future__ import annotations

import ctypes
from array import array
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from batch_runner.endpoint import FAKE
from batch_runner.failures import CannotStart
from batch_runner.identity import key_of_fingerprint, key_of_id
from batch_runner.output.file import READ_BYTES, ended, is_torn, open_output, opens_as_ours
from batch_runner.output.heads import KEY_BYTES, STATUSES, read_head, usual_heads
from batch_runner.output.lines import RUN, Run, read_run
from batch_runner.records import NO_USAGE, Status, Tokens, Usage
from batch_runner.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

LINES_IN_A_RUN = 1_000_000
BYTES_IN_A_RUN = 2**31
"""Of the file. Places within a run are kept in 32 bits, and the run is looked at after each piece that is read."""
PLACES_AT_ONCE = 4096
DEAD = 0x80
SEEN = 0x40
MADE_UP = 0x20
STATUS_BITS = 0x0F
AS_MADE_UP = bytes(status | MADE_UP for status in range(256))


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index knows of one id."""

    status: Status
    fingerprint_key: int
    offset: int
    """Where its last line starts in the file."""
    made_up: bool
    """Answered by the embedded endpoint."""


class _Columns:
    """A million lines, sorted by id: key of the id, key of the fingerprint, place in the file, status and marks."""

    __slots__ = ("base", "fingerprints", "flags", "ids", "places")

    def __init__(self, base: int, ids: array[int], fingerprints: bytearray, places: array[int], flags: bytearray) -> None:
        self.base = base
        keys = np.frombuffer(ids, dtype=np.int64)
        order = np.argsort(keys, kind="stable")
        self.ids = keys[order]
        self.fingerprints = np.frombuffer(fingerprints, dtype=">u8")[order].astype(np.uint64)
        self.places = np.frombuffer(places, dtype=np.uint32)[order]
        self.flags = np.frombuffer(bytes(flags), dtype=np.uint8)[order]
        self.flags[:-1][self.ids[:-1] == self.ids[1:]] |= DEAD  # the sort is stable: the last of its kind lives

    def find(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
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
        self.totals_line = b""
        """The last one."""
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
        self._lacks_end = False
        self._columns: list[_Columns] = []
        self._start_columns()

    def _start_columns(self) -> None:
        self._base = self.size
        """Where in the file the first of the lines to come starts; places are told from there."""
        self._ids, self._places = array("q"), array("I")
        self._fingerprints, self._flags = bytearray(), bytearray()

    @property
    def real(self) -> bool:
        """False when the last run asked the embedded endpoint."""
        return self.last_run is None or self.last_run.endpoint != FAKE

    @property
    def hidden(self) -> Usage:
        """What the last run may have cost beside what it recorded, if it was killed: at most its in-flight ceiling; nothing at
        the embedded endpoint, which bills nobody.
        """
        if self.closed or self.last_run is None or not self.real:
            return NO_USAGE
        ceiling = self.last_run.ceiling
        return Usage.at_worst(Tokens(ceiling.prompt_tokens, ceiling.completion_tokens))

    @property
    def dead_lines(self) -> int:
        """Lines that later ones replaced; a totals line counts, for the next run's will replace it."""
        return self._dead_rows + self._dead_bookkeeping

    def read_on(self, file: IO[bytes]) -> None:
        """Take in the whole lines that stand in `file` after those known, which are still as they were.

        Raises `CannotStart` when a newer program wrote one.
        """
        file.seek(self.size)
        while lines := file.readlines(READ_BYTES):
            if is_torn(lines[-1]):
                lines.pop()
            if lines:
                self.take(lines)
        self.settle()

    def take(self, lines: list[bytes]) -> None:
        """Take in the next whole lines; at least one."""
        heads = usual_heads(lines)
        if heads is None:
            for line in lines:
                self._take_one(line)
        else:
            *places, end = accumulate(map(len, lines), initial=self.size - self._base)
            self._gather(heads.ids, heads.fingerprints, places, heads.statuses)
            self.size = self._base + end
        self.lines += len(lines)
        if len(self._flags) >= LINES_IN_A_RUN or self.size - self._base >= BYTES_IN_A_RUN:
            self.settle()

    def _take_one(self, line: bytes) -> None:
        if self._lacks_end and line == b"\n":
            self.lines -= 1  # no line, but the end that the one before had lacked
        elif (head := read_head(line)) is None:
            self.unreadable_lines += 1
        elif head.bookkeeping is not None:
            self._take_bookkeeping(head.bookkeeping, line)
        else:
            fingerprint = key_of_fingerprint(head.fingerprint).to_bytes(KEY_BYTES, "big")
            self._gather(
                [key_of_id(head.id)], fingerprint, [self.size - self._base], bytes([STATUSES.index(Status(head.status))])
            )
        self._lacks_end = not line.endswith(b"\n")
        self.size += len(line)

    def _gather(self, ids: list[int], fingerprints: bytes, places: list[int], statuses: bytes) -> None:
        self._ids.extend(ids)
        self._fingerprints += fingerprints
        self._places.extend(places)
        self._flags += statuses if self.real else statuses.translate(AS_MADE_UP)

    def _take_bookkeeping(self, document: dict[str, Any], line: bytes) -> None:
        if document["status"] == RUN:
            before, self.last_run = self.last_run, read_run(document)
            if before is None or before.id != self.last_run.id:
                self.last_run_began = self.size
            self._dead_bookkeeping += self.last_run.id in self.run_lines
            self.run_lines[self.last_run.id] = ended(line)
            self.closed = False
        else:
            self.closed = True
            self.totals_line = ended(line)
            self._dead_bookkeeping += 1
        self.job = Totals.from_json(document["totals"]["job"])

    def settle(self) -> None:
        """Sort what was added since the last time, so that it can be found."""
        if not self._ids:
            self._base = self.size
            return
        newest = _Columns(self._base, self._ids, self._fingerprints, self._places, self._flags)
        self._start_columns()
        for older in self._columns:
            places = older.find(newest.ids)
            older.flags[places[places >= 0]] |= DEAD
        self._columns.append(newest)
        if len(newest.ids) >= LINES_IN_A_RUN // 10:
            _give_memory_back()
        self._dead_rows = sum(int(np.count_nonzero(columns.flags & DEAD)) for columns in self._columns)

    def find(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
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
            columns.base + int(columns.places[place]),
            bool(flags & MADE_UP),
        )

    def lookup(self, row_id: str) -> Entry | None:
        """The entry of one id."""
        handle = int(self.find(np.array([key_of_id(row_id)], dtype=np.int64))[0])
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

    def living_places(self, *, real_only: bool = False, seen: bool | None = None) -> Iterator[int]:
        """Where the last line of each id starts, in file order. `real_only` leaves out made-up answers; `seen` picks the ids
        that `mark` was told of, or the others.
        """
        looked_at = DEAD | (MADE_UP if real_only else 0) | (0 if seen is None else SEEN)
        wanted = SEEN if seen else 0
        for columns in self._columns:  # each holds a stretch of the file, so that one at a time is sorted
            places = np.sort(columns.places[(columns.flags & looked_at) == wanted])
            for start in range(0, len(places), PLACES_AT_ONCE):
                yield from (columns.base + place for place in places[start : start + PLACES_AT_ONCE].tolist())

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


def _give_memory_back() -> None:
    """Tell glibc to let go of what sorting has left behind: it would keep several bytes a line for later."""
    with suppress(AttributeError, OSError):  # other C libraries let go by themselves
        ctypes.CDLL(None).malloc_trim(0)


def read_index(path: Path) -> Index:
    """The index of the output at `path`, for who wants no lines behind it, such as a test or a measurement; `History` opens both.

    Empty when there is no such file. Raises as `index_of` does.
    """
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
            index.read_on(file)
    except OSError as error:
        raise CannotStart(f"{path}: can't be read: {error.strerror}") from None
    except CannotStart as refused:
        raise CannotStart(str(refused) if str(path) in str(refused) else f"{path}: {refused}") from None
    return index
