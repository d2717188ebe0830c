"""Which rows of its input a run is about, and how often each is sent."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch_runner.condition import Condition
from batch_runner.forms import Unusable
from batch_runner.identity import lot
from batch_runner.keys import KeySet
from batch_runner.loader import InputFiles, blocks_of, draft
from batch_runner.naming import Naming

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_runner.forms import Shape
    from batch_runner.loader import Block, Draft, RowSource
    from batch_runner.settings import Settings

COPY = re.compile(r"#\d+")
"""What stands behind the id of one of several copies."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows a run is about. A line that can't be read is always one of them as far as `where` goes."""

    where: Condition | None = None
    sample: int | None = None
    """So many rows, picked by a hash of seed and id: rows that are added or moved hardly change who is picked."""
    seed: int = 0
    limit: int | None = None
    """The first so many of those that `where` and `sample` leave."""
    repeat: int = 1

    @property
    def of_all(self) -> bool:
        """True when no row of the input is left out."""
        return not self.picks and self.limit is None

    @property
    def picks(self) -> bool:
        """True when more than a limit decides which rows are meant."""
        return self.where is not None or self.sample is not None

    @property
    def lines(self) -> int | None:
        """How many lines need a look: where nothing else picks rows, no more than `limit`."""
        return None if self.picks else self.limit

    def suffix(self, copy: int) -> str:
        """What stands behind the id of a row's `copy`, counted from 1."""
        return f"#{copy}" if self.repeat > 1 else ""

    def means(self, each: Draft) -> bool:
        """Whether `where` holds for a row."""
        return self.where is None or isinstance(each.asked, Unusable) or self.where.holds(each.asked.fields, each.line.source)


EVERYTHING = Selection()


def selection(settings: Settings) -> Selection:
    """What the settings say of the rows. Raises `UsageMistake` for a condition that can't be read."""
    rows = settings.rows
    where = None if rows.where is None else Condition(rows.where)
    return Selection(where, rows.sample, rows.seed, rows.limit, rows.repeat)


def ends_like_a_copy(row_id: str) -> bool:
    """True for an id that `--repeat` could have made."""
    return COPY.fullmatch(row_id[max(0, row_id.rfind("#")) :]) is not None


class Sample:
    """The rows whose hash of seed and id is among the smallest: a random choice that any order of the rows leaves as it is."""

    def __init__(self, seed: int, bound: int) -> None:
        self._seed = seed
        self._bound = bound

    @classmethod
    def of(cls, source: RowSource, shape: Shape, selection: Selection) -> Sample:
        """Look through `source` for the rows that `selection` picks; eight bytes a row, until this returns."""
        import numpy as np  # noqa: PLC0415 - 11 MiB and 0.08 s, for those alone who want a sample

        size = selection.sample or 0
        met, picked = KeySet(), np.empty(0, dtype=np.uint64)
        naming = Naming()
        for block in blocks(source):
            drafts = [draft(line, shape) for line in block.lines()]
            ids, _ = naming.take([each.id for each in drafts], drafts.__getitem__, met.meet)
            meant = [row_id for row_id, each in zip(ids, drafts, strict=True) if selection.means(each)]
            lots = np.fromiter((lot(selection.seed, row_id) for row_id in meant), dtype=np.uint64)
            picked = np.sort(np.concatenate([picked, lots]))[:size]
        return cls(selection.seed, int(picked[-1]) if len(picked) == size else 2**64)

    def holds(self, row_id: str) -> bool:
        """Whether a row is one of those picked."""
        return lot(self._seed, row_id) <= self._bound


def blocks(source: RowSource, most: int | None = None) -> Iterator[Block]:
    """The first `most` lines of `source`, as many at once as come together."""
    left = sys.maxsize if most is None else most
    for block in source.blocks() if isinstance(source, InputFiles) else blocks_of(source.lines()):
        yield block if len(block.texts) <= left else block.first(left)
        left -= len(block.texts)
        if left <= 0:
            return
