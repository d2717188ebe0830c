"""Which rows an output already holds: 21 bytes a line where they are many.

Lines are gathered in stretches of up to a million, each found by the key of its id. Those that later ones replace are marked
dead when their stretch is done, or meets the later one, so the last line of an id wins. Sorting stretch by stretch keeps the peak
near the resident size, which one large sort would double.
"""

from __future__ import annotations

from array import array
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from typing import IO, TYPE_CHECKING, Any

from batch_runner.endpoint import FAKE
from batch_runner.failures import CannotStart
from batch_runner.identity import key_of_fingerprint, key_of_id
from batch_runner.keys import FEW
from batch_runner.output.file import READ_BYTES, ended, is_torn, open_output, opens_as_ours
from batch_runner.output.heads import STATUSES, read_head, usual_heads
from batch_runner.output.lines import RUN, Run, read_run
from batch_runner.output.stretch import DEAD, KEY_BYTES, FewLines, Gathered
from batch_runner.records import NO_USAGE, Status, Tokens, Usage
from batch_runner.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from batch_runner.output.stretch import Stretch

LINES_IN_A_STRETCH = 1_000_000
BYTES_IN_A_STRETCH = 2**31
"""Of the file. Places within a stretch are kept in 32 bits, and it is looked at after each piece that is read."""
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
        self._stretches: list[Stretch] = []
        self._start_stretch()

    def _start_stretch(self) -> None:
        self._base = self.size
        """Where in the file the first of the lines to come starts; places are told from there."""
        self._gathered = Gathered(array("q"), bytearray(), array("I"), bytearray())

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
        if len(self._gathered.flags) >= LINES_IN_A_STRETCH or self.size - self._base >= BYTES_IN_A_STRETCH:
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
        gathered = self._gathered
        gathered.ids.extend(ids)
        gathered.fingerprints.extend(fingerprints)
        gathered.places.extend(places)
        gathered.flags.extend(statuses if self.real else statuses.translate(AS_MADE_UP))

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
        """Make what was added since the last time findable."""
        if not self._gathered.ids:
            self._base = self.size
            return
        newest = _stretch(self._base, self._gathered)
        self._start_stretch()
        for older in self._stretches:
            older.give_way(newest)
        self._stretches.append(newest)
        if len(newest.ids) >= LINES_IN_A_STRETCH // 10:
            _give_memory_back()
        self._dead_rows = sum(count for flags, count in self._tally().items() if flags & DEAD)

    def find(self, keys: Sequence[int]) -> list[int]:
        """A handle for each id key, or -1 where the output holds no line of it."""
        handles, base = [-1] * len(keys), 0
        for stretch in self._stretches:
            found = stretch.find(keys)
            if max(found, default=-1) >= 0:
                handles = [base + new if new >= 0 else old for new, old in zip(found, handles, strict=True)]
            base += len(stretch.ids)
        return handles

    def entry(self, handle: int) -> Entry:
        """What stands behind a handle."""
        stretch, number = self._at(handle)
        flags = stretch.flags[number]
        fingerprint, place = stretch.record(number)
        return Entry(STATUSES[flags & STATUS_BITS], fingerprint, place, bool(flags & MADE_UP))

    def lookup(self, row_id: str) -> Entry | None:
        """The entry of one id."""
        (handle,) = self.find([key_of_id(row_id)])
        return self.entry(handle) if handle >= 0 else None

    def mark(self, handles: Sequence[int]) -> list[bool]:
        """Note that the input holds these rows; False where that was known already."""
        first = []
        for handle in handles:
            stretch, number = self._at(handle)
            first.append(not stretch.flags[number] & SEEN)
            stretch.flags[number] |= SEEN
        return first

    def living(self) -> Counter[str]:
        """How many ids have a last line of each status."""
        return self._count(0)

    def not_seen(self) -> Counter[str]:
        """The same for ids that `mark` was never told of."""
        return self._count(SEEN)

    def met_since(self, offset: int, *, real_only: bool) -> int:
        """How many ids have their first line at `offset` or later; `real_only`: made-up lines before it don't count."""
        import numpy as np  # noqa: PLC0415 - asked of a run that was killed

        late = [stretch.ids_in(offset, self.size, 0) for stretch in self._stretches]
        early = [stretch.ids_in(0, offset, MADE_UP if real_only else 0) for stretch in self._stretches]
        return len(np.setdiff1d(np.concatenate(late), np.concatenate(early))) if late else 0

    def living_places(self, *, real_only: bool = False, seen: bool | None = None) -> Iterator[int]:
        """Where the last line of each id starts, in file order. `real_only` leaves out made-up answers; `seen` picks the ids
        that `mark` was told of, or the others.
        """
        looked_at = DEAD | (MADE_UP if real_only else 0) | (0 if seen is None else SEEN)
        for stretch in self._stretches:
            yield from stretch.places(looked_at, SEEN if seen else 0)

    def _tally(self) -> Counter[int]:
        """How many lines have the same flags."""
        return sum((stretch.tally() for stretch in self._stretches), Counter())

    def _count(self, but_not: int) -> Counter[str]:
        counts: Counter[str] = Counter()
        for flags, count in self._tally().items():
            if not flags & (DEAD | but_not):
                counts[STATUSES[flags & STATUS_BITS]] += count
        return counts

    def _at(self, handle: int) -> tuple[Stretch, int]:
        for stretch in self._stretches:
            if handle < len(stretch.ids):
                return stretch, handle
            handle -= len(stretch.ids)
        raise IndexError(handle)


def _stretch(base: int, gathered: Gathered) -> Stretch:
    if len(gathered.ids) <= FEW:
        return FewLines(base, gathered)
    from batch_runner.output.columns import ManyLines  # noqa: PLC0415 - numpy

    return ManyLines(base, gathered)


def _give_memory_back() -> None:
    """Tell glibc to let go of what sorting has left behind: it would keep several bytes a line for later."""
    import ctypes  # noqa: PLC0415 - only after a large output

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
