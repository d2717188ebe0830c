"""Which keys were met before: a set while they are few, so that a small run needn't load numpy, and columns from then on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch_runner.sorted_keys import SortedKeys

FEW = 50_000
"""Up to here a set or a dictionary takes less memory than numpy itself, which is 11 MiB and 0.08 s."""


class KeySet:
    """64-bit keys (signed): about 100 bytes each while they are few, eight when they are many."""

    def __init__(self) -> None:
        self._few: set[int] = set()
        self._many: SortedKeys | None = None

    def meet(self, keys: Sequence[int]) -> list[int]:
        """Take keys in; the places of those that were there already, or stand among them before."""
        if self._many is not None:
            return self._many.meet(keys)
        met = self._meet_few(keys)
        if len(self._few) > FEW:
            from batch_runner.sorted_keys import SortedKeys  # noqa: PLC0415 - numpy

            self._many = SortedKeys(self._few)
            self._few.clear()
        return met

    def _meet_few(self, keys: Sequence[int]) -> list[int]:
        new = set(keys)
        if len(new) == len(keys) and new.isdisjoint(self._few):
            self._few |= new
            return []
        met = []
        for place, key in enumerate(keys):
            if key in self._few:
                met.append(place)
            self._few.add(key)
        return met
