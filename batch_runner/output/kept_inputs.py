"""The input lines that an output keeps of its rows that aren't ok: what `retry` sends, without the input files."""

from __future__ import annotations

import re
from array import array
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from batch_runner.failures import CannotStart
from batch_runner.forms import AS_IT_COMES
from batch_runner.loader import InputFile, InputFiles, Line, draft
from batch_runner.output.lines import HEAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_runner.forms import Shape
    from batch_runner.loader import RowSource
    from batch_runner.output.history import History
    from batch_runner.records import Status

STDIN_COPY = ".input.jsonl.zst"
"""Stands beside an output whose rows came from standing input, after the output's name."""


def stdin_copy_path(output: Path) -> Path:
    """Where standard input is copied, so that it can be read twice."""
    return output.with_name(output.name + STDIN_COPY)


NUMBERED = re.compile(r"^(row-[0-9a-f]{16})-\d+$")
"""An id that was made from content, for the second occurrence of it and later ones."""


class KeptInputs:
    """A row source: the rows of an output whose last line has one of `states`.

    `long_ones`: those too, whose lines were too long to be kept; they are looked for where they were read.
    """

    def __init__(
        self, history: History, states: frozenset[Status], shape: Shape = AS_IT_COMES, *, long_ones: bool = True
    ) -> None:
        self._history = history
        self._states = states
        self._shape = shape
        self._places: array[int] | None = None
        """Where those rows stand in the file, once it was gone through: they are the same rows from then on."""
        self._long_ones = long_ones

    def lines(self) -> Iterator[Line]:
        """The input line of each such row, under the id it has in the output; lines too long to be kept come last."""
        elsewhere: dict[str, list[str]] = {}
        found = array("q")
        for place in self._history.index.living_places() if self._places is None else self._places:
            line = self._history.raw_line(place)
            head = HEAD.match(line)
            if head is None or head[2].decode() not in self._states:
                continue
            found.append(place)
            try:
                kept = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue  # damaged inside: only a run of the input can send that row again
            if kept["input"]:
                yield Line(kept["input"].encode(), kept["source"], kept["id"])
            elif self._long_ones:
                elsewhere.setdefault(kept["source"], []).append(kept["id"])
        self._places = found
        yield from self._from_input_files(elsewhere)

    def _from_input_files(self, wanted: dict[str, list[str]]) -> Iterator[Line]:
        """Lines too long to be kept (or not UTF-8), by their source, from where they were read."""
        for name in dict.fromkeys(source.rpartition(":")[0] for source in wanted):
            for line in InputFiles.of([self._input_file(name)]).lines():
                for row_id in wanted.pop(line.source, ()):
                    yield _still(line, row_id, self._shape)
        if wanted:
            raise CannotStart(f"{next(iter(wanted))}: there is no such line any more; run the input again instead of retry")

    def _input_file(self, name: str) -> InputFile:
        path = stdin_copy_path(self._history.path) if name == "stdin" else Path(name)
        if not path.exists():
            raise CannotStart(f"{self._history.path} doesn't keep the long lines of {name}, and that file isn't here")
        return InputFile(path, name)


class Joined:
    """A row source: the rows of an input, and behind them those of `kept` that the input doesn't hold."""

    def __init__(self, source: RowSource, kept: KeptInputs, shape: Shape) -> None:
        self._source = source
        self._kept = kept
        self._shape = shape

    def moved(self, path: Path, to: Path) -> Joined:
        """The same, after the input file at `path` was moved."""
        assert isinstance(self._source, InputFiles)
        return Joined(self._source.moved(path, to), self._kept, self._shape)

    def lines(self) -> Iterator[Line]:
        """Every line of the input, then those kept, under the ids they have."""
        missing = {_base(str(line.id)) for line in self._kept.lines()}
        for line in self._source.lines():
            if missing:
                missing.discard(draft(line, self._shape).id)
            yield line
        yield from (line for line in self._kept.lines() if _base(str(line.id)) in missing)


def _base(row_id: str) -> str:
    """An id made from content, without the number of the occurrence; any other as it is."""
    return NUMBERED.sub(r"\1", row_id)


def _still(line: Line, row_id: str, shape: Shape) -> Line:
    """`line` under the id it was recorded with. Raises `CannotStart` when another line stands in its place now."""
    read = draft(line, shape)
    numbered = row_id.startswith(f"{read.id}#") or (not read.own_id and row_id.startswith(f"{read.id}-"))
    if read.id != row_id and not numbered:
        raise CannotStart(f"{line.source} isn't the line of row {row_id} any more: run the input again instead of retry")
    return line._replace(id=row_id)
