"""The first pass over the input: which rows are new, changed, done; what would be sent. Nothing is sent or written.

The plan remembers an action and a checksum for each input line, five bytes. The second pass, which sends, follows it line
by line; a line that is no longer what was planned stops the run before it is sent.
"""

from __future__ import annotations

import zlib
from array import array
from collections import Counter
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from batch_runner.chat import body_of, request_of
from batch_runner.failures import CannotStart
from batch_runner.identity import (
    Action,
    Again,
    Occurrences,
    decide,
    decide_rejected,
    key_of_fingerprint,
    key_of_id,
    line_fingerprint,
)
from batch_runner.loader import draft
from batch_runner.records import PromptRow, Rejected, Tokens
from batch_runner.totals import NOT_IN_INPUT, UNATTEMPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from numpy.typing import NDArray

    from batch_runner.chat import Defaults
    from batch_runner.loader import Draft, Line, RowSource
    from batch_runner.output.history import History
    from batch_runner.output.index import Entry
    from batch_runner.records import ChatRequest

BLOCK_LINES = 4096
BLOCK_BYTES = 4 * 1024 * 1024
RECORDED = 0x80
"""Set in an action's byte when the output holds a record of the row."""
NAMED_REPEATS = 5


class Seen(NamedTuple):
    """One row, as the first pass saw it."""

    row: PromptRow | Rejected
    action: Action
    entry: Entry | None
    """What the output holds of it."""
    body: dict[str, Any] | None
    """What it asks for; `None` for a line that can't be sent."""
    request: ChatRequest | None
    """What would be sent."""
    repeats: bool
    """True when its own id stands in the input before it."""

    @property
    def to_send(self) -> bool:
        """True when a run would send it."""
        return self.request is not None and self.action is not Action.KEEP


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do, line by line and in sum."""

    actions: bytes
    checks: array[int]
    repeated: frozenset[str]
    """Ids made from content that stand more than once."""
    standing: Counter[str]
    """The rows of the input by the status of their record; `unattempted` where there is none."""
    new: int
    again: int
    """Rows with a record that are sent again, changed ones aside."""
    changed: int
    """Answered rows whose request has changed."""
    rejected: int
    """Lines that can't be sent and whose output line is still to be written."""
    uncapped: int
    """Rows to be sent whose answer has no cap of its own."""
    as_written: int
    """OpenAI Batch lines among the rows to be sent: the run's own parameters don't reach them."""
    largest: Tokens
    """The worst of any row to be sent, prompt and completion taken apart."""

    @property
    def to_send(self) -> int:
        """Rows that would be sent; changed ones only after the user's word."""
        return self.new + self.again + self.changed

    @property
    def to_record(self) -> int:
        """Rows that would get a line: those sent, and those that can't be."""
        return self.to_send + self.rejected

    @property
    def kept(self) -> int:
        """Rows whose record stands."""
        return self.rows - self.to_record

    @property
    def rows(self) -> int:
        """Rows of the input."""
        return len(self.actions)

    @property
    def nothing_to_do(self) -> bool:
        """True when the output needs no line."""
        return self.to_record == 0

    def items(self, source: RowSource) -> Iterator[tuple[PromptRow | Rejected, bool]]:
        """The second pass: every row that needs a line in the output, and whether there is a record of it already."""
        occurrences, met = Occurrences(), set[str]()
        lines = source.lines()
        for code, check in zip(self.actions, self.checks, strict=True):
            line = next(lines, None)
            if line is None:
                raise CannotStart("the input became shorter while the run went on: the same command goes on with it as it is now")
            if zlib.crc32(line.text) != check:
                raise CannotStart(f"{line.source} was changed while the run went on: the same command goes on with the file as it is now")  # fmt: skip # noqa: E501
            action = code & ~RECORDED
            if action == Action.KEEP and not self.repeated:
                continue
            row, own_id = draft(line)
            if row.id in self.repeated:
                plain_id = row.id
                if not own_id and plain_id in met:
                    row = replace(row, id=occurrences.next(plain_id))
                met.add(plain_id)
            if action != Action.KEEP:
                yield row, bool(code & RECORDED)


def make_plan(
    source: RowSource,
    history: History,
    *,
    run: Defaults,
    again: Again,
    limit: int | None = None,
    real: bool = True,
    all_rows: bool = False,
    observe: Callable[[Seen], object] | None = None,
    repeats_pass: bool = False,
) -> Plan:
    """Look at every row once, and show each to `observe`.

    `real`: answers of the embedded endpoint don't count. `all_rows`: the rows of this run are those of the output, `source`
    giving only the ones that may be sent. Raises `CannotStart` when the input can't be read or ids of its own repeat;
    `repeats_pass` leaves the repeats to `observe`.
    """
    planner = _Planner(history, run, again, real=real, observe=observe)
    for block in _blocks(islice(source.lines(), limit)):
        planner.take(block)
    if planner.repeats and not repeats_pass:
        raise CannotStart(_repeats_told(source, planner.repeats, limit))
    return planner.plan(all_rows=all_rows, limited=limit is not None)


class KeySet:
    """64-bit keys, eight bytes each: sorted pieces, each at least twice as long as the next."""

    def __init__(self) -> None:
        self._pieces: list[NDArray[np.uint64]] = []

    def add(self, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Add keys (none twice); True for each that is new."""
        new = np.ones(len(keys), dtype=np.bool_)
        for piece in self._pieces:
            places = np.minimum(np.searchsorted(piece, keys), len(piece) - 1)
            new &= piece[places] != keys
        if new.any():
            self._pieces.append(np.sort(keys[new]))
        while len(self._pieces) > 1 and len(self._pieces[-2]) < 2 * len(self._pieces[-1]):
            last = self._pieces.pop()
            self._pieces[-1] = np.sort(np.concatenate([self._pieces[-1], last]), kind="stable")
        return new


class _Planner:
    """Gathers the plan block by block."""

    def __init__(
        self, history: History, run: Defaults, again: Again, *, real: bool, observe: Callable[[Seen], object] | None
    ) -> None:
        self._history = history
        self._index = history.index
        self._run = run
        self._again = again
        self._real = real
        self._observe = observe
        self._new_keys = KeySet()
        self._occurrences = Occurrences()
        self._actions = bytearray()
        self._checks = array("I")
        self._standing: Counter[str] = Counter()
        self._by_action: Counter[Action] = Counter()
        self._new = 0
        self._uncapped = 0
        self._as_written = 0
        self._largest = Tokens(0, 0)
        self.repeats: dict[str, str] = {}
        """Ids of their own that stand again, and where."""

    def take(self, block: list[Line]) -> None:
        drafts = [draft(line) for line in block]
        keys = np.fromiter((key_of_id(each.row.id) for each in drafts), dtype=np.uint64, count=len(drafts))
        handles = self._index.find(keys)
        first = self._first_times(keys, handles)
        for line, each, handle, is_first in zip(block, drafts, handles.tolist(), first.tolist(), strict=True):
            self._checks.append(zlib.crc32(line.text))
            row, place = (each.row, handle) if is_first else self._repeated(each)
            repeats = each.own_id and not is_first
            self._take_row(row, self._index.entry(place) if place >= 0 else None, repeats=repeats)

    def plan(self, *, all_rows: bool, limited: bool) -> Plan:
        standing = self._index.living() if all_rows else self._standing
        if all_rows:
            standing[UNATTEMPTED] = self._history.unattempted
        elif not limited:
            standing[NOT_IN_INPUT] = self._index.not_seen().total()
        sent = self._by_action[Action.SEND]
        return Plan(
            actions=bytes(self._actions),
            checks=self._checks,
            repeated=self._occurrences.repeated(),
            standing=+standing,
            new=self._new,
            again=sent - self._new,
            changed=self._by_action[Action.CHANGED],
            rejected=self._by_action[Action.RECORD],
            uncapped=self._uncapped,
            as_written=self._as_written,
            largest=self._largest,
        )

    def _first_times(self, keys: NDArray[np.uint64], handles: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each row's id is met for the first time."""
        first = np.zeros(len(keys), dtype=np.bool_)
        first[np.unique(keys, return_index=True)[1]] = True
        recorded = first & (handles >= 0)
        new = first & (handles < 0)
        first[recorded] = self._index.mark(handles[recorded])
        first[new] = self._new_keys.add(keys[new])
        return first

    def _repeated(self, each: Draft) -> tuple[PromptRow | Rejected, int]:
        if each.own_id:
            self.repeats.setdefault(each.row.id, each.row.source)
            return each.row, -1
        row = replace(each.row, id=self._occurrences.next(each.row.id))
        handles = self._index.find(np.array([key_of_id(row.id)], dtype=np.uint64))
        if handles[0] >= 0:
            self._index.mark(handles)
        return row, int(handles[0])

    def _take_row(self, row: PromptRow | Rejected, entry: Entry | None, *, repeats: bool) -> None:
        if entry is not None and entry.made_up and self._real:
            entry = None
        body = request = None
        if isinstance(row, PromptRow):
            body = body_of(row, self._run)
            request = request_of(row.id, body, fix=self._run.fix)
            action = self._decide(row, request, entry)
        else:
            action = self._decide_rejected(row, entry)
        if self._observe is not None:
            self._observe(Seen(row, action, entry, body, request, repeats))
        self._actions.append(action | (RECORDED if entry is not None else 0))
        self._standing[entry.status if entry is not None else UNATTEMPTED] += 1
        self._by_action[action] += 1

    def _decide(self, row: PromptRow, request: ChatRequest, entry: Entry | None) -> Action:
        same = entry is not None and entry.fingerprint_key == key_of_fingerprint(request.fingerprint)
        kind = self._history.kind_of(entry) if entry is not None and self._again.kinds else None
        action = decide(entry.status if entry is not None else None, same=same, again=self._again, kind=kind)
        if action is not Action.KEEP:
            self._new += entry is None
            self._uncapped += request.max_completion_tokens is None
            self._as_written += row.as_written
            self._largest = Tokens(
                max(self._largest.prompt, request.worst.prompt), max(self._largest.completion, request.worst.completion)
            )
        return action

    def _decide_rejected(self, row: Rejected, entry: Entry | None) -> Action:
        same = entry is not None and entry.fingerprint_key == key_of_fingerprint(line_fingerprint(row.line))
        return decide_rejected(entry.status if entry is not None else None, same=same)


def _blocks(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Lines by the thousand, fewer where they are long."""
    block: list[Line] = []
    size = 0
    for line in lines:
        block.append(line)
        size += len(line.text)
        if len(block) == BLOCK_LINES or size > BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def first_places(source: RowSource, ids: Collection[str], limit: int | None) -> dict[str, str]:
    """Where each of `ids` stands first."""
    firsts: dict[str, str] = {}
    for line in islice(source.lines(), limit):
        if len(firsts) == len(ids):
            break
        row = draft(line).row
        if row.id in ids:
            firsts.setdefault(row.id, row.source)
    return firsts


def _repeats_told(source: RowSource, repeats: dict[str, str], limit: int | None) -> str:
    firsts = first_places(source, repeats, limit)
    named = [f"{row_id[:60]!r} at {firsts[row_id]} and {again}" for row_id, again in islice(repeats.items(), NAMED_REPEATS)]
    more = f" and {len(repeats) - NAMED_REPEATS} more" if len(repeats) > NAMED_REPEATS else ""
    return f"ids must not repeat, so nothing was sent: {'; '.join(named)}{more}. Give each row its own id, or none"
