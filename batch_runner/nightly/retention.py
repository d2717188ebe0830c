"""What becomes of old nights' outputs: the newest stay as they are, older ones are packed, the oldest packed ones removed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING

from batch_runner.failures import CannotStart, OutputBusy
from batch_runner.nightly.job_keys import PREVIOUS
from batch_runner.nightly.outputs import glance
from batch_runner.output.heartbeat import heartbeat_path
from batch_runner.output.kept_inputs import stdin_copy_path
from batch_runner.output.lock import lock
from batch_runner.output.packed import pack, packed_path, packed_size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from batch_runner.nightly.job_keys import JobKeys
    from batch_runner.nightly.outputs import Outputs

NEEDED_BY_THE_NEXT = 2
"""Nights that `retry_failed_from = "previous"` reads: the one it retries, and its own."""


class Fate(StrEnum):
    """What becomes of an output."""

    PACKED = "packed"
    REMOVED = "removed"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Step:
    """One output that is no longer kept as it is."""

    day: date
    path: Path
    fate: Fate
    why: str = ""
    """Why it is left where it is."""
    freed: int = 0
    """Bytes; 0 until it is done, or as far as one can tell before."""


def steps(outputs: Outputs, keys: JobKeys) -> Iterator[Step]:
    """What is to be done, the newest first. Never touched: the newest night, one that is held, one with unfinished rows."""
    if keys.keep is None:
        return
    keep = max(keys.keep, NEEDED_BY_THE_NEXT if keys.retry_failed_from == PREVIOUS else 1)
    whole = list(outputs.nights())
    old = whole[keep:]
    packed = {day: path for day, path in outputs.packed() if not path.exists()}
    left = set[date]()
    for day, path in old:
        why = _why_not(path) or _who_holds(path)
        if why:
            left.add(day)
        yield Step(day, path, Fate.LEFT if why else Fate.PACKED, why)
    if keys.keep_packed is None:
        return
    packed |= {day: path for day, path in old if day not in left}
    for day in _oldest(packed, keys.keep_packed):
        yield Step(day, packed[day], Fate.REMOVED, freed=packed_size(packed[day]) or 0)


def carry_out_step(step: Step) -> Step:
    """Do it; what was done. Raises `OSError`."""
    if step.fate is Fate.LEFT:
        return step
    try:
        with lock(step.path):
            if step.fate is Fate.REMOVED:
                return _removed(step)
            why = _why_not(step.path)  # somebody may have gone on with it since
            freed = 0 if why else pack(step.path)
            return Step(step.day, step.path, Fate.LEFT if why else Fate.PACKED, why, freed)
    except (OutputBusy, CannotStart) as held:
        return Step(step.day, step.path, Fate.LEFT, str(held))


def _removed(step: Step) -> Step:
    """An output without what stands beside it; but for its lock, which is never removed."""
    freed = packed_size(step.path) or 0
    packed_path(step.path).unlink(missing_ok=True)
    for beside in (heartbeat_path(step.path), stdin_copy_path(step.path)):
        beside.unlink(missing_ok=True)
    return Step(step.day, step.path, Fate.REMOVED, freed=freed)


def _oldest(days: dict[date, Path], kept: int) -> Sequence[date]:
    return sorted(days, reverse=True)[kept:]


def _who_holds(path: Path) -> str:
    """Who is at an output now; empty where nobody is."""
    try:
        with lock(path):
            return ""
    except (OutputBusy, CannotStart) as held:
        return str(held)


def _why_not(path: Path) -> str:
    """Why an output must stay as it is; empty where it needn't."""
    begun = glance(path)
    if begun is None:
        return "it isn't an output"
    return "" if begun.finished else "it has rows without a last word"
