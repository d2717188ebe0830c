"""A stretch of an output's lines, found by the keys of their ids: a dictionary where they are few.

Where they are many `output.columns` keeps them, in a tenth of the memory. But numpy itself takes as much as 50,000 lines do here,
and 0.08 s, a quarter of what a run takes to start.
"""

from __future__ import annotations

from array import array
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Keys = array[int] | NDArray[np.int64]

DEAD = 0x80
"""Set in a line's flags when a later line replaced it."""
KEY_BYTES = 8
"""Of a fingerprint, the highest first."""


class Gathered(NamedTuple):
    """Lines in file order, column by column."""

    ids: array[int]
    """Keys."""
    fingerprints: bytearray
    places: array[int]
    """Where they start, from the start of the stretch."""
    flags: bytearray
    """Status and marks."""


class Stretch(Protocol):
    """Lines that stand one after another in the file, each by a number of its own."""

    flags: bytearray
    """By number."""

    @property
    def ids(self) -> Keys:
        """By number."""
        ...

    def find(self, keys: Sequence[int]) -> list[int]:
        """The number of each key's living line among these, or -1."""
        ...

    def give_way(self, newer: Stretch) -> None:
        """Mark the lines dead that later ones replace."""
        ...

    def record(self, number: int) -> tuple[int, int]:
        """The key of a line's fingerprint, and where it starts in the file."""
        ...

    def tally(self) -> Counter[int]:
        """How many lines have the same flags."""
        ...

    def places(self, mask: int, wanted: int) -> Iterator[int]:
        """Where lines start whose flags have the `wanted` value in the bits of `mask`, in file order."""
        ...

    def ids_in(self, start: int, end: int, but_not: int) -> Keys:
        """The ids of lines that start from `start` to `end`, without those that have the flags `but_not`."""
        ...


class FewLines:
    """Some thousands, in file order."""

    def __init__(self, base: int, gathered: Gathered) -> None:
        self._base = base
        self.ids, self._fingerprints, self._places, self.flags = gathered
        self._living = dict(zip(self.ids, count()))  # the last of its kind
        if len(self._living) < len(self.ids):
            for number, key in enumerate(self.ids):
                if self._living[key] != number:
                    self.flags[number] |= DEAD

    def find(self, keys: Sequence[int]) -> list[int]:
        """As `Stretch` says."""
        number_of = self._living.get
        return [number_of(key, -1) for key in keys]

    def give_way(self, newer: Stretch) -> None:
        """As `Stretch` says."""
        for key in self._living.keys() & set(newer.ids):
            self.flags[self._living.pop(key)] |= DEAD

    def record(self, number: int) -> tuple[int, int]:
        """As `Stretch` says."""
        fingerprint = self._fingerprints[number * KEY_BYTES : (number + 1) * KEY_BYTES]
        return int.from_bytes(fingerprint, "big"), self._base + self._places[number]

    def tally(self) -> Counter[int]:
        """As `Stretch` says."""
        return Counter(self.flags)

    def places(self, mask: int, wanted: int) -> Iterator[int]:
        """As `Stretch` says."""
        return (self._base + place for place, flags in zip(self._places, self.flags, strict=True) if flags & mask == wanted)

    def ids_in(self, start: int, end: int, but_not: int) -> array[int]:
        """As `Stretch` says."""
        lines = zip(self.ids, self._places, self.flags, strict=True)
        return array("q", (key for key, place, flags in lines if start <= self._base + place < end and not flags & but_not))
