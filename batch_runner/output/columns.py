"""Many lines of an output, 21 bytes each: numpy columns, sorted by the keys of their ids."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from batch_runner.output.stretch import DEAD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from batch_runner.output.stretch import Gathered, Stretch

PLACES_AT_ONCE = 4096


class ManyLines:
    """Up to millions, sorted by id."""

    def __init__(self, base: int, gathered: Gathered) -> None:
        self._base = base
        keys = np.frombuffer(gathered.ids, dtype=np.int64)
        order = np.argsort(keys, kind="stable")
        self.ids: NDArray[np.int64] = keys[order]
        self._fingerprints = np.frombuffer(gathered.fingerprints, dtype=">u8")[order].astype(np.uint64)
        self._places = np.frombuffer(gathered.places, dtype=np.uint32)[order]
        self.flags = bytearray(np.frombuffer(gathered.flags, dtype=np.uint8)[order])
        self._marks = np.frombuffer(self.flags, dtype=np.uint8)
        self._marks[:-1][self.ids[:-1] == self.ids[1:]] |= DEAD  # the sort is stable: the last of its kind lives

    def find(self, keys: Sequence[int]) -> list[int]:
        """As `Stretch` says."""
        numbers = self._find(np.array(keys, dtype=np.int64))
        found: list[int] = np.where(self._marks[numbers] & DEAD, -1, numbers).tolist()
        return found

    def give_way(self, newer: Stretch) -> None:
        """As `Stretch` says."""
        numbers = self._find(np.asarray(newer.ids, dtype=np.int64))
        self._marks[numbers[numbers >= 0]] |= DEAD

    def record(self, number: int) -> tuple[int, int]:
        """As `Stretch` says."""
        return int(self._fingerprints[number]), self._base + int(self._places[number])

    def tally(self) -> Counter[int]:
        """As `Stretch` says."""
        return +Counter(dict(enumerate(np.bincount(self._marks).tolist())))

    def places(self, mask: int, wanted: int) -> Iterator[int]:
        """As `Stretch` says."""
        places = np.sort(self._places[(self._marks & mask) == wanted])
        for start in range(0, len(places), PLACES_AT_ONCE):
            yield from (self._base + place for place in places[start : start + PLACES_AT_ONCE].tolist())

    def ids_in(self, start: int, end: int, but_not: int) -> NDArray[np.int64]:
        """As `Stretch` says."""
        places = self._places.astype(np.int64) + self._base
        found: NDArray[np.int64] = self.ids[(places >= start) & (places < end) & (self._marks & but_not == 0)]
        return found

    def _find(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of each key's last line among these, or -1."""
        numbers = np.searchsorted(self.ids, keys, side="right") - 1
        found = (numbers >= 0) & (self.ids[numbers] == keys)
        return np.where(found, numbers, -1)
