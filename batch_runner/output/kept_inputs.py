"""The input lines that an output keeps of its rows that aren't ok: what `retry` sends, without the input files."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from batch_runner.failures import CannotStart
from batch_runner.loader import InputFile, InputFiles, Line
from batch_runner.output.index import whole_lines
from batch_runner.output.lines import HEAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_runner.output.records import Records
    from batch_runner.records import Status

STDIN_COPY = ".input.jsonl.zst"
"""Stands beside an output whose rows came from standing input, after the output's name."""


def stdin_copy_path(output: Path) -> Path:
    """Where standard input is copied, so that it can be read twice."""
    return output.with_name(output.name + STDIN_COPY)


class KeptInputs:
    """A row source: the rows of an output whose last line has one of `states`."""

    def __init__(self, records: Records, states: frozenset[Status]) -> None:
        self._records = records
        self._states = states

    def lines(self) -> Iterator[Line]:
        """The input line of each such row, under the id it has in the output."""
        places = iter(self._records.index.living_places())
        place = next(places, None)
        with self._records.path.open("rb") as file:
            for offset, line in whole_lines(file):
                if place is None:
                    return  # what follows was appended since
                if offset != place:
                    continue
                place = next(places, None)
                head = HEAD.match(line)
                if head is not None and head[2].decode() in self._states:
                    kept = orjson.loads(line)
                    yield Line(kept["input"].encode() or self._from_input_file(kept["source"]), kept["source"], kept["id"])

    def _from_input_file(self, source: str) -> bytes:
        """A line too long to be kept (or not UTF-8), from where it was read."""
        name, _, number = source.rpartition(":")
        path = stdin_copy_path(self._records.path) if name == "stdin" else Path(name)
        if not path.exists():
            raise CannotStart(
                f"{self._records.path} doesn't keep the long line {source}, and that file isn't here: run retry where it is"
            )
        lines = InputFiles.of([InputFile(path, name)]).lines()
        found = next((line for line in islice(lines, int(number)) if line.source == source), None)
        if found is None:
            raise CannotStart(f"{source}: there is no such line any more")
        return found.text
