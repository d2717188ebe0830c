"""`read_results`: an output as typed results, one for each row."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from batch_runner.output.index import Index, read_index, whole_lines
from batch_runner.output.lines import read_result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_runner.records import Result


def read_results(path: str | Path) -> Iterator[Result]:
    """The last result of each row of the output at `path`, in the order of the file.

    Bookkeeping lines, replaced lines and a torn last line are left out. Raises `CannotStart` when the file isn't an output.
    """
    output = Path(os.path.realpath(path))
    yield from living_results(output, read_index(output))


def living_results(output: Path, index: Index) -> Iterator[Result]:
    """The same for an output whose index is known."""
    places = iter(index.living_places())
    place = next(places, None)
    if place is None:
        return
    with output.open("rb") as file:
        for offset, line in whole_lines(file):
            if offset == place:
                yield read_result(orjson.loads(line))
                place = next(places, None)
                if place is None:
                    return
