"""Many keys in little memory: sorted numpy columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray


class SortedKeys:
    """64-bit keys, eight bytes each: sorted pieces, each at least twice as long as the next."""

    def __init__(self, keys: Collection[int]) -> None:
        self._pieces: list[NDArray[np.int64]] = [np.sort(np.fromiter(keys, dtype=np.int64, count=len(keys)))]

    def meet(self, keys: Sequence[int]) -> list[int]:
        """Take keys in; the places of those that were there already, or stand among them before."""
        column = np.array(keys, dtype=np.int64)
        different, places = np.unique(column, return_index=True)
        new = np.zeros(len(column), dtype=np.bool_)
        new[places] = self._add(different)
        met: list[int] = np.flatnonzero(~new).tolist()
        return met

    def _add(self, keys: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Add keys (none twice); True for each that is new."""
        new = np.ones(len(keys), dtype=np.bool_)
        for piece in self._pieces:
            places = np.minimum(np.searchsorted(piece, keys), len(piece) - 1)
            new &= piece[places] != keys
        if new.any():
            self._pieces.append(np.sort(keys[new]))
        while len(self._pieces) > 1 and len(self._pieces[-2]) < 2 * len(self._pieces[-1]):
            last = self._pieces.pop()
            self._pieces[-1] = np.concatenate([self._pieces[-1], last])
            self._pieces[-1].sort(kind="stable")  # in place: a copy more would stand beside what is merged
        return new
