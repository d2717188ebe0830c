"""The final ids of a run's rows: a row's own, or made from what it asks and numbered where several ask the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from batch_runner.identity import Occurrences, key_of_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from batch_runner.loader import Draft
    from batch_runner.records import PromptRow, Rejected

Keys = "NDArray[np.uint64]"


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


class Naming:
    """Gives rows their final ids, block by block. `meet` takes keys, none twice, and says which are met for the first time."""

    def __init__(self, meet: Callable[[NDArray[np.uint64]], NDArray[np.bool_]], suffix: str = "") -> None:
        self._meet = meet
        self._suffix = suffix
        """What the first copy of each row carries behind its id; the keys are those of first copies."""
        self._occurrences = Occurrences()
        self.doubled: dict[str, str] = {}
        """Ids of their own that stand again, and where."""

    @property
    def repeated(self) -> frozenset[str]:
        """Ids made from content that stand more than once."""
        return self._occurrences.repeated()

    def take(self, drafts: Sequence[Draft]) -> tuple[list[PromptRow | Rejected], NDArray[np.uint64]]:
        """The rows under their final ids, and the keys of those."""
        rows = [each.row for each in drafts]
        keys = keys_of(row.id + self._suffix for row in rows)
        first = np.zeros(len(keys), dtype=np.bool_)
        places = np.unique(keys, return_index=True)[1]
        first[places] = self._meet(keys[places])
        for place in np.flatnonzero(~first).tolist():
            rows[place] = self._again(drafts[place])
            keys[place] = key_of_id(rows[place].id + self._suffix)
        return rows, keys

    def _again(self, each: Draft) -> PromptRow | Rejected:
        if each.own_id:
            self.doubled.setdefault(each.row.id, each.row.source)
            return each.row
        return replace(each.row, id=self._occurrences.next(each.row.id))


def keys_of(ids: Iterable[str]) -> NDArray[np.uint64]:
    """The keys of ids, as a column."""
    return np.array([key_of_id(each) for each in ids], dtype=np.uint64)
