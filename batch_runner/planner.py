"""The first pass over the input: which rows are new, changed, done; what would be sent. Nothing is sent or written."""

from __future__ import annotations

import gc
import sys
import zlib
from array import array
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from batch_runner.chat import cap_of, request_body
from batch_runner.failures import CannotStart
from batch_runner.findings import NAMED, Findings, Place
from batch_runner.forms import AS_IT_COMES, Unusable
from batch_runner.growth import DOUBLED, NO_USE, Growth
from batch_runner.identity import (
    Action,
    Again,
    decide,
    decide_rejected,
    key_of_fingerprint,
    key_of_request,
    line_fingerprint,
)
from batch_runner.keys import KeySet
from batch_runner.loader import draft
from batch_runner.naming import Naming, keys_of, repeats_told
from batch_runner.plain import read_plain
from batch_runner.plan import RECORDED, Plan
from batch_runner.records import Status, Usage
from batch_runner.selection import EVERYTHING, Sample, Selection, blocks, ends_like_a_copy
from batch_runner.totals import NOT_IN_INPUT, UNATTEMPTED
from batch_runner.weighing import Weighing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from batch_runner.chat import Defaults
    from batch_runner.forms import Asked, Shape
    from batch_runner.loader import Block, Draft, Line, RowSource
    from batch_runner.output.history import History
    from batch_runner.output.index import Entry
    from batch_runner.plain import PlainRows

LEFT_OUT = bytes([Action.LEAVE_OUT])


class ToSend(NamedTuple):
    """A row that would be sent, as the first pass shows it."""

    line: Line
    asked: Asked
    copies: list[tuple[Action, Entry | None]]
    """What would be done about each of its copies that would be sent, and the record there is of it."""
    refused: bool
    """True when something about it is known to be refused."""
    cap: int | None = None
    """The cap that stands in place of its own, where an answer was cut off at that."""


def make_plan(
    source: RowSource,
    history: History,
    *,
    run: Defaults,
    again: Again,
    growth: Growth = DOUBLED,
    shape: Shape = AS_IT_COMES,
    selection: Selection = EVERYTHING,
    real: bool = True,
    all_rows: bool = False,
    named: int = NAMED,
    observe: Callable[[ToSend], object] | None = None,
    repeats_pass: bool = False,
) -> Plan:
    """Look at every row once (twice, where a sample is to be picked), and show those to be sent to `observe`.

    `real`: answers of the embedded endpoint don't count. `all_rows`: the rows of this run are those of the output, `source`
    giving only the ones that may be sent. `named`: how many rows to name of each thing found. Raises `CannotStart` when the
    input can't be read, and when ids of its own repeat, unless `repeats_pass`.
    """
    sample = None if selection.sample is None else Sample.of(source, shape, selection)
    planner = _Planner(history, run, again, growth, shape, selection, sample, real=real, named=named, observe=observe)
    with _collector_at_rest():
        for block in blocks(source, selection.lines):
            planner.take(block)
            if planner.full:
                break
    if planner.naming.doubled and not repeats_pass:
        raise CannotStart(repeats_told(source, planner.naming.doubled, shape, selection.lines))
    return planner.plan(all_rows=all_rows)


class _Planner:
    """Gathers the plan block by block."""

    def __init__(
        self,
        history: History,
        run: Defaults,
        again: Again,
        growth: Growth,
        shape: Shape,
        selection: Selection,
        sample: Sample | None,
        *,
        real: bool,
        named: int,
        observe: Callable[[ToSend], object] | None,
    ) -> None:
        self._history = history
        self._index = history.index
        self._run = run
        self._again = again
        self._growth = growth
        self._of_new = decide(None, same=False, again=again)
        self._shape = shape
        self._selection = selection
        self._sample = sample
        self._real = real
        self._named = named
        self._observe = observe
        self._at_once = observe is None and not selection.picks and selection.repeat == 1
        self._new_keys = KeySet()
        self.naming = Naming(selection.suffix(1))
        self._unmet = set(selection.where.names) if selection.where is not None else set[str]()
        self._actions = bytearray()
        self._checks = array("I")
        self._standing: Counter[str] = Counter()
        self._picked = 0
        self._full_length = 0
        self._bad = 0
        self._bad_lines: list[Place] = []
        self._weighing = Weighing(run, Findings(fix=run.fix, named=named))

    @property
    def full(self) -> bool:
        """True when the limit is reached."""
        return self._picked == self._selection.limit

    def take(self, block: Block) -> None:
        rows = read_plain(block, self._shape) if self._at_once else None
        if rows is None:
            self._take_each(block)
        else:
            self._take_plain(rows)

    def _take_plain(self, rows: PlainRows) -> None:
        """Take rows that are one text each; all at once, unless something is known of one."""
        count = len(rows.ids)
        ids, keys = self.naming.take(rows.ids, rows.draft, self._meet)
        handles = self._handles(ids, keys)
        self._checks.extend(map(zlib.crc32, rows.block.texts))
        self._picked += count
        if any(handle >= 0 for (handle,) in handles):
            for place, here in enumerate(handles):
                self._take_row(rows.block.line(place), rows.asked(place), here)
            return
        self._actions.extend(bytes([self._of_new]) * count)
        if self._of_new is not Action.KEEP:
            self._weighing.add_plain(rows.block, rows.prompts)

    def _take_each(self, block: Block) -> None:
        drafts = [draft(line, self._shape) for line in block.lines()]
        if self._selection.repeat > 1:
            _refuse_copies(drafts)
        ids, keys = self.naming.take([each.id for each in drafts], drafts.__getitem__, self._meet)
        handles = self._handles(ids, keys)
        meant = list(self._meant(drafts, ids)) if self._selection.picks else [True] * len(drafts)
        self._checks.extend(map(zlib.crc32, block.texts[: len(meant)]))
        self._picked += sum(meant)
        for each, places, is_meant in zip(drafts, handles, meant, strict=False):
            if not is_meant:
                self._actions.extend(LEFT_OUT * self._selection.repeat)
            elif isinstance(each.asked, Unusable):
                self._take_bad(each, each.asked.reason, places)
            else:
                self._take_row(each.line, each.asked, places)

    def plan(self, *, all_rows: bool) -> Plan:
        if self._selection.where is not None and self._unmet and self._checks and not self.full:
            raise self._selection.where.never_met(self._unmet)
        count = Counter(self._actions)
        standing = self._index.living() if all_rows else self._standing
        if all_rows:
            standing[UNATTEMPTED] = self._history.unattempted
        else:
            standing[UNATTEMPTED] = sum(rows for code, rows in count.items() if code < RECORDED) - count[Action.LEAVE_OUT]
        if self._selection.of_all and not all_rows:
            standing[NOT_IN_INPUT] = self._index.not_seen().total()
        return Plan(
            actions=self._actions,
            checks=self._checks,
            shape=self._shape,
            repeat=self._selection.repeat,
            repeated=self.naming.repeated,
            standing=+standing,
            new=count[Action.SEND],
            again=count[Action.SEND | RECORDED],
            changed=count[Action.CHANGED | RECORDED],
            rejected=count[Action.RECORD] + count[Action.RECORD | RECORDED],
            weighing=self._weighing,
            full_length=self._full_length,
            left_out=len(self._checks) - self._picked,
            bad=self._bad,
            bad_lines=tuple(self._bad_lines),
            doubled=self.naming.doubled,
            doubled_rows=self.naming.doubled_rows,
        )

    def _meet(self, keys: list[int]) -> list[int]:
        """Which rows have an id met before: those of the output are marked there, the others are kept here."""
        handles = self._index.find(keys)
        new = [place for place, handle in enumerate(handles) if handle < 0]
        met = [new[place] for place in self._new_keys.meet([keys[place] for place in new])]
        if len(new) == len(keys):
            return met
        known = [place for place, handle in enumerate(handles) if handle >= 0]
        first = self._index.mark([handles[place] for place in known])
        return sorted([*met, *(place for place, is_first in zip(known, first, strict=True) if not is_first)])

    def _handles(self, ids: list[str], keys: list[int]) -> list[tuple[int, ...]]:
        """Where each copy of each row stands in the output: for each row, a handle for each copy."""
        suffixes = [self._selection.suffix(copy) for copy in range(2, self._selection.repeat + 1)]
        copies = [keys, *(keys_of([row_id + suffix for row_id in ids]) for suffix in suffixes)]
        found = [self._index.find(each) for each in copies]
        for handles in found:
            self._index.mark([handle for handle in handles if handle >= 0])
        return list(zip(*found, strict=True))

    def _meant(self, drafts: list[Draft], ids: list[str]) -> Iterator[bool]:
        """Whether the run is about each row, up to the last one within the limit."""
        left = (self._selection.limit or sys.maxsize) - self._picked
        for each, row_id in zip(drafts, ids, strict=True):
            if left <= 0:
                return
            if not isinstance(each.asked, Unusable):
                self._unmet -= each.asked.fields.keys()
            meant = self._selection.means(each) and (self._sample is None or self._sample.holds(row_id))
            left -= meant
            yield meant

    def _take_row(self, line: Line, asked: Asked, handles: Sequence[int]) -> None:
        """Decide about every copy of a row."""
        sent: list[tuple[Action, Entry | None]] = []
        for handle in handles:
            entry = self._entry(handle) if handle >= 0 else None
            action = self._of_new if entry is None else self._of_recorded(asked, entry)
            self._actions.append(action if entry is None else action | RECORDED)
            if action is not Action.KEEP:
                sent.append((action, entry))
        if sent:
            cap = self._larger_cap(asked, sent)
            refused = self._weighing.add(asked, line, len(sent), cap)
            if self._observe is not None:
                self._observe(ToSend(line, asked, sent, refused, cap))

    def _of_recorded(self, asked: Asked, entry: Entry) -> Action:
        body = request_body(asked.asks, self._run, as_written=asked.as_written)
        same = entry.fingerprint_key == key_of_request(body)
        kind = self._history.kind_of(entry) if self._again.kinds else None
        action = decide(entry.status, same=same, again=self._again, kind=kind)
        if action is Action.SEND and entry.status is Status.TRUNCATED and same and self._next_cap(body, entry) == NO_USE:
            self._full_length += 1
            return Action.KEEP
        return action

    def _next_cap(self, body: Mapping[str, Any], entry: Entry) -> int | None:
        """The cap with which a truncated row is asked again; never blindly with the one that cut it off."""
        line, asked = self._history.line_of(entry), cap_of(body)
        if line is None:
            return asked
        return self._growth.again(body["model"], asked, line["max_completion_tokens"], Usage.from_dict(line["usage"]))

    def _larger_cap(self, asked: Asked, sent: list[tuple[Action, Entry | None]]) -> int | None:
        """The largest cap that one of a row's copies is asked again with because its answer was cut off."""
        cut = [entry for action, entry in sent if action is Action.SEND and entry and entry.status is Status.TRUNCATED]
        body = request_body(asked.asks, self._run, as_written=asked.as_written) if cut else {}
        return max((cap for entry in cut if (cap := self._next_cap(body, entry)) is not None), default=None)

    def _take_bad(self, each: Draft, reason: str, handles: Sequence[int]) -> None:
        """Decide about a line that can't be sent. One line tells of it, however often it would be sent."""
        self._bad += 1
        if self._bad <= self._named:
            self._bad_lines.append(Place(each.line.source, reason))
        entry = self._entry(handles[0]) if handles[0] >= 0 else None
        same = entry is not None and entry.fingerprint_key in {
            key_of_fingerprint(line_fingerprint(each.line.text, told))
            for told in (reason, "")  # earlier versions left the reason out
        }
        action = decide_rejected(entry.status if entry is not None else None, same=same)
        self._actions.append(action if entry is None else action | RECORDED)
        self._actions.extend(LEFT_OUT * (len(handles) - 1))

    def _entry(self, handle: int) -> Entry | None:
        """The record behind a handle, made-up answers aside where they don't count."""
        entry = self._index.entry(handle)
        if entry.made_up and self._real:
            return None
        self._standing[entry.status] += 1
        return entry


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Rows come and go by the thousand without any cycle: looking for some costs the first pass a fifth of its time."""
    at_work = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if at_work:
            gc.enable()


def _refuse_copies(drafts: list[Draft]) -> None:
    for each in drafts:
        if each.own_id and ends_like_a_copy(each.id):
            raise CannotStart(f"{each.line.source}: the id {each.id[:60]!r} ends as the copies of --repeat do: name it otherwise")
