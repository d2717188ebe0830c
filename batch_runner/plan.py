"""What a run would do: an action and a checksum for each input line, five bytes.

The second pass, which sends, follows the plan line by line; a line that is no longer what was planned stops the run before it
is sent.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from batch_runner.failures import CannotStart
from batch_runner.identity import Action, Occurrences
from batch_runner.loader import draft
from batch_runner.plain import read_plain
from batch_runner.records import Rejected
from batch_runner.selection import blocks

if TYPE_CHECKING:
    from array import array
    from collections import Counter
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from batch_runner.findings import Place
    from batch_runner.forms import Shape
    from batch_runner.loader import Block, RowSource
    from batch_runner.records import PromptRow
    from batch_runner.weighing import Weighing

RECORDED = 0x80
"""Set in an action's byte when the output holds a record of the row."""
CODES_AT_ONCE = 1_000_000
"""Looked through at a time, so that the peak stays small."""

RowAt = Callable[[int], "tuple[PromptRow | Rejected, bool]"]
"""Gives one row of a block, and whether its id is its own."""

PASSED_OVER = frozenset({Action.KEEP, Action.LEAVE_OUT})


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do, line by line and in sum."""

    actions: bytes | bytearray
    """What is done about each copy of each line."""
    checks: array[int]
    """A checksum of each line."""
    shape: Shape
    repeat: int
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
    weighing: Weighing
    """What the rows to be sent weigh, and what is refused about them."""
    full_length: int
    """Truncated rows that are kept although they were meant: no larger cap would bring a longer answer."""
    left_out: int
    """Rows of the input that the selection leaves out."""
    bad: int
    """Lines that can't be sent, recorded already or not."""
    bad_lines: tuple[Place, ...]
    """The first of them, each with its reason."""
    doubled: Mapping[str, str]
    """Rows' own ids that stand again, and where."""
    doubled_rows: int
    """Rows with the id of one before."""

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
        """Rows that the run is about, each as often as it is sent."""
        return len(self.actions) - self.actions.count(Action.LEAVE_OUT)

    @property
    def nothing_to_do(self) -> bool:
        """True when the output needs no line."""
        return self.to_record == 0

    def parted(self, count: int, seed: int) -> tuple[Plan, Plan]:
        """Two plans: `count` of the rows to be sent, at random, the same for the same `seed`; and everything else."""
        codes = np.frombuffer(self.actions, dtype=np.uint8)
        picked = Random(seed).sample(range(self.to_send), min(count, self.to_send))  # noqa: S311 - a sample, no secret
        places = _places_of(codes, np.array(sorted(picked), dtype=np.int64))
        first, rest = np.where(codes == Action.LEAVE_OUT, codes, np.uint8(Action.KEEP)), codes.copy()
        first[places], rest[places] = codes[places], Action.KEEP
        return self._doing(first.tobytes()), self._doing(rest.tobytes())

    def _doing(self, actions: bytes) -> Plan:
        """The same plan with other actions."""
        return replace(
            self,
            actions=actions,
            new=actions.count(Action.SEND),
            again=actions.count(Action.SEND | RECORDED),
            changed=actions.count(Action.CHANGED | RECORDED),
            rejected=actions.count(Action.RECORD) + actions.count(Action.RECORD | RECORDED),
        )

    def items(self, source: RowSource) -> Iterator[tuple[PromptRow | Rejected, bool]]:
        """The second pass: every row that needs a line in the output, and whether there is a record of it already."""
        occurrences, met, number = Occurrences(), set[str](), 0
        for block in blocks(source, len(self.checks)):
            read: RowAt | None = None
            for place, text in enumerate(block.texts):
                if zlib.crc32(text) != self.checks[number]:
                    raise _changed(block.line(place).source)
                codes = self.actions[number * self.repeat : (number + 1) * self.repeat]
                number += 1
                if not self.repeated and all(code & ~RECORDED in PASSED_OVER for code in codes):
                    continue
                read = read or _reader(block, self.shape)
                row, own_id = read(place)
                if row.id in self.repeated:
                    first = row.id not in met
                    met.add(row.id)
                    row = row if own_id or first else replace(row, id=occurrences.next(row.id))
                yield from self._copies(row, codes)
        if number < len(self.checks):
            raise CannotStart("the input became shorter while the run went on: the same command goes on with it as it is now")

    def _copies(self, row: PromptRow | Rejected, codes: bytes | bytearray) -> Iterator[tuple[PromptRow | Rejected, bool]]:
        for copy, code in enumerate(codes, start=1):
            action = code & ~RECORDED
            if action in PASSED_OVER:
                continue
            if isinstance(row, Rejected) != (action == Action.RECORD):
                raise _changed(row.source)  # an image that it names is another one now, or gone
            yield (row if self.repeat == 1 else replace(row, id=f"{row.id}#{copy}")), bool(code & RECORDED)


def _sends(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which codes stand for a row to be sent."""
    actions = codes & np.uint8(RECORDED - 1)
    sent: NDArray[np.bool_] = (actions == Action.SEND) | (actions == Action.CHANGED)
    return sent


def _places_of(codes: NDArray[np.uint8], ranks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the rows to be sent of these `ranks` (ascending, from 0) stand; a million codes at a time, to stay small."""
    found, before = [np.empty(0, dtype=np.int64)], 0
    for start in range(0, len(codes), CODES_AT_ONCE):
        here = np.flatnonzero(_sends(codes[start : start + CODES_AT_ONCE]))
        wanted = ranks[(ranks >= before) & (ranks < before + len(here))] - before
        found.append(here[wanted] + start)
        before += len(here)
    return np.concatenate(found)


def _reader(block: Block, shape: Shape) -> RowAt:
    """How the rows of a block are read: all at once where they are plain, each by itself where they aren't."""
    rows = read_plain(block, shape)
    if rows is not None:
        return lambda place: (rows.row(place), rows.own_ids)

    def read(place: int) -> tuple[PromptRow | Rejected, bool]:
        each = draft(block.line(place), shape)
        return each.row, each.own_id

    return read


def _changed(source: str) -> CannotStart:
    return CannotStart(f"{source} was changed while the run went on: the same command goes on with the file as it is now")
