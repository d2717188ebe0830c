"""The final ids of a run's rows: a row's own, or made from what it asks and numbered where several ask the same."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

from batch_runner.identity import Occurrences, key_of_encoded_id, key_of_id
from batch_runner.loader import draft

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from batch_runner.forms import Shape
    from batch_runner.loader import Draft, RowSource

NAMED_REPEATS = 5


Meet = Callable[[list[int]], list[int]]
"""Takes keys in, and gives the places of those met before, among them or earlier."""


class Naming:
    """Gives rows their final ids, block by block."""

    def __init__(self, suffix: str = "") -> None:
        self._suffix = suffix
        """What the first copy of each row carries behind its id; the keys are those of first copies."""
        self._occurrences = Occurrences()
        self.doubled: dict[str, str] = {}
        """Ids of their own that stand again, and where."""
        self.doubled_rows = 0
        """Rows with the id of one before."""

    @property
    def repeated(self) -> frozenset[str]:
        """Ids made from content that stand more than once."""
        return self._occurrences.repeated()

    def take(self, ids: list[str], draft_at: Callable[[int], Draft], meet: Meet) -> tuple[list[str], list[int]]:
        """The final ids of rows that are to have these `ids`, and the keys of those. `draft_at` gives one row."""
        keys = keys_of([each + self._suffix for each in ids] if self._suffix else ids)
        for place in meet(keys):
            ids[place] = self._again(draft_at(place))
            keys[place] = key_of_id(ids[place] + self._suffix)
        return ids, keys

    def _again(self, each: Draft) -> str:
        if each.own_id:
            self.doubled_rows += 1
            self.doubled.setdefault(each.id, each.line.source)
            return each.id
        return self._occurrences.next(each.id)


def keys_of(ids: Iterable[str]) -> list[int]:
    """The keys of ids."""
    return list(map(key_of_encoded_id, map(str.encode, ids)))


def first_places(source: RowSource, ids: Collection[str], shape: Shape, most: int | None) -> dict[str, str]:
    """Where each of `ids` stands first, within `most` lines."""
    firsts: dict[str, str] = {}
    for line in islice(source.lines(), most):
        if len(firsts) == len(ids):
            break
        row_id = draft(line, shape).id
        if row_id in ids:
            firsts.setdefault(row_id, line.source)
    return firsts


def repeats_told(source: RowSource, doubled: Mapping[str, str], shape: Shape, most: int | None) -> str:
    """Why a run can't begin whose rows repeat ids of their own: those, and where they stand again."""
    told = dict(islice(doubled.items(), NAMED_REPEATS))
    firsts = first_places(source, told, shape, most)
    named = [f"{row_id[:60]!r} at {firsts[row_id]} and {again}" for row_id, again in told.items()]
    more = f" and {len(doubled) - NAMED_REPEATS} more" if len(doubled) > NAMED_REPEATS else ""
    return f"ids must not repeat, so nothing was sent: {'; '.join(named)}{more}. Give each row its own id, or none"
