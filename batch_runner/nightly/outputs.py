"""The outputs of a job's nights: where they are, and how each stands, at a glance."""

from __future__ import annotations

import glob
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from batch_runner.clock import seconds_of
from batch_runner.output.file import READ_BYTES
from batch_runner.output.lines import RUN, TOTALS
from batch_runner.output.packed import ENDING, unpacked_path
from batch_runner.records import Status
from batch_runner.totals import UNATTEMPTED, Totals

if TYPE_CHECKING:
    from collections.abc import Iterator

DATE = "{date}"
"""Stands for the date of the night in `inputs` and `output`."""
DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"


@dataclass(frozen=True, slots=True)
class Begun:
    """How an output stands, by its first line and its last."""

    job: str
    """The job whose run began it."""
    at: float
    """When, in seconds since 1970."""
    finished: bool
    """True when its last run ended with nothing left to do; rows that failed are no matter."""
    spent: Totals | None
    """What all its runs came to; `None` where the last one was killed and only the whole file tells."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """The outputs that a pattern names, `{date}` standing for the date of a night."""

    pattern: str

    @property
    def dated(self) -> bool:
        """True when each night has an output of its own."""
        return DATE in self.pattern

    @property
    def home(self) -> Path:
        """The folder that all of them lie in or below."""
        return Path(os.path.realpath(self.pattern.partition(DATE)[0] + "x")).parent

    def on(self, day: date) -> Path:
        """The output of the night of a date."""
        return Path(self.pattern.replace(DATE, day.isoformat()))

    def nights(self) -> Iterator[tuple[date, Path]]:
        """Those that are there, the latest first, packed ones aside; none where the nights share one."""
        yield from self._found("")

    def packed(self) -> Iterator[tuple[date, Path]]:
        """The packed ones, by the paths they had."""
        for day, path in self._found(ENDING):
            yield day, unpacked_path(path)

    def _found(self, ending: str) -> Iterator[tuple[date, Path]]:
        if not self.dated:
            return
        found = sorted(glob.glob(DAY.join(map(glob.escape, self.pattern.split(DATE))) + ending), reverse=True)  # noqa: PTH207 - it may be absolute
        shape = re.compile("(.+)".join(map(re.escape, self.pattern.split(DATE))) + re.escape(ending))
        for name in found:
            days = set(match.groups()) if (match := shape.fullmatch(name)) else set[str]()
            with suppress(ValueError):
                if len(days) == 1:
                    yield date.fromisoformat(days.pop()), Path(name)


def glance(path: Path) -> Begun | None:
    """How the output at `path` stands; `None` when there is none, or nothing in it, or it isn't ours."""
    try:
        with path.open("rb") as file:
            first = _parsed(file.readline())
            last = _last_line(file.fileno())
    except OSError:
        return None
    if first.get("status") != RUN:
        return None
    spent = Totals.from_json(last["totals"]["job"]) if last.get("status") == TOTALS else None
    return Begun(
        job=first["run"]["job"],
        at=seconds_of(first["finished_at"]),
        finished=spent is not None and not spent.rows[Status.UNFINISHED] and not spent.rows[UNATTEMPTED],
        spent=spent,
    )


def _last_line(file: int) -> dict[str, Any]:
    """The last line, parsed; empty where it is torn or longer than any line of ours that matters here."""
    size = os.fstat(file).st_size
    tail = os.pread(file, READ_BYTES, max(0, size - READ_BYTES))
    return _parsed(tail.rstrip(b"\n").rpartition(b"\n")[2])


def _parsed(line: bytes) -> dict[str, Any]:
    with suppress(orjson.JSONDecodeError):
        document = orjson.loads(line)
        if isinstance(document, dict):
            return document
    return {}
