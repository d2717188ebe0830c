"""What a run would do: an action and a checksum for each input line, five bytes.

The second pass, which sends, follows the plan line by line; a line that is no longer what was planned stops the run before it
is sent.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import compress, islice, pairwise
from itertools import count as countless
from random import Random
from typing import TYPE_CHECKING

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

    from batch_runner.findings import Place
    from batch_runner.forms import Shape
    from batch_runner.loader import Block, RowSource
    from batch_runner.records import PromptRow
    from batch_runner.weighing import Weighing

RECORDED = 0x80
"""Set in an action's byte when the output holds a record of the row."""

IS_SENT = bytes(code & ~RECORDED in {Action.SEND, Action.CHANGED} for code in range(256))
"""An action's byte -> 1 where it stands for a row to be sent."""
AS_KEPT = bytes(code if code == Action.LEAVE_OUT else Action.KEEP for code in range(256))
"""An action's byte -> that of a plan which sends nothing."""

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
        picked = sorted(Random(seed).sample(range(self.to_send), min(count, self.to_send)))  # noqa: S311 - a sample, no secret
        to_send = compress(countless(), self.actions.translate(IS_SENT))
        gaps = (rank - before - 1 for before, rank in pairwise([-1, *picked]))
        first, rest = bytearray(self.actions.translate(AS_KEPT)), bytearray(self.actions)
        for place in [next(islice(to_send, gap, None)) for gap in gaps]:
            first[place], rest[place] = rest[place], Action.KEEP
        return self._doing(bytes(first)), self._doing(bytes(rest))

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
