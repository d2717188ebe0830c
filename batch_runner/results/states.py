"""Whether an output is being worked at, finished, interrupted, dead or stuck; and the exit status that says so. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from batch_runner.clock import seconds_of
from batch_runner.exits import ExitStatus
from batch_runner.output.heartbeat import STALE_SECONDS, is_known, may_live

if TYPE_CHECKING:
    from collections.abc import Mapping

GRACE_SECONDS = 60.0
"""Beyond the timeout of a request, before a silent run counts as stuck."""


class OutputState(StrEnum):
    """How an output stands."""

    RUNNING = "running"
    DRAINING = "draining"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    DEAD = "dead"
    STUCK = "stuck"


MEANINGS: dict[OutputState, tuple[int, str]] = {
    OutputState.FINISHED: (
        0,
        f"every row has its last word, and as many are ok as `--max-failed` asked for; else {ExitStatus.ROWS_NOT_OK}",
    ),
    OutputState.INTERRUPTED: (
        20,
        "the last run ended before its rows did (signal, service, cap, disk); the same command goes on",
    ),
    OutputState.DEAD: (21, "the last run ended without a word (`kill -9`, power, a crash); the same command goes on"),
    OutputState.STUCK: (
        22,
        "the process of the last run is there and doesn't beat any more; or it beats, waits for nothing, and gets nothing back",
    ),
    OutputState.RUNNING: (int(ExitStatus.BUSY), "a run is at it"),
    OutputState.DRAINING: (int(ExitStatus.BUSY), "a run is at it, and leaves: nothing new is sent"),
}
"""The exit status of `status` in each state, and what the state means."""

STALE = 23
STALE_MEANING = "with `--max-age`: no run has ended well for so long (0 if one has, and none is dead or stuck since)"


@dataclass(frozen=True, slots=True)
class Traces:
    """What tells how an output stands, beside its heartbeat."""

    run_id: str
    closed: bool
    """Its last run has its totals line."""
    rows_left: int
    """Rows that the last run left without a last word."""


def state_of(traces: Traces, beat: Mapping[str, Any], now: float) -> OutputState:
    """How an output stands at `now`, seconds since 1970."""
    if beat.get("run_id") == traces.run_id:
        if beats(beat, now):
            return OutputState.STUCK if _is_silent(beat) else OutputState(beat["state"])
        if may_live(beat) and is_known(beat) and not traces.closed:
            return OutputState.STUCK
    if not traces.closed and not _has_had_a_last_word(beat, traces.run_id):
        return OutputState.DEAD
    lost = beat.get("run_id") == traces.run_id and beat.get("exit_status") == ExitStatus.OUTPUT_LOST
    return OutputState.INTERRUPTED if lost or traces.rows_left else OutputState.FINISHED


def beats(beat: Mapping[str, Any], now: float) -> bool:
    """Whether the run behind a heartbeat beat lately, and where its process can be looked at, that is there."""
    age = seconds_since(beat.get("updated"), now)
    return may_live(beat) and age is not None and age < STALE_SECONDS


def seconds_since(moment: Any, now: float) -> float | None:
    """How long ago a timestamp was; `None` for what is none."""
    try:
        return now - seconds_of(moment)
    except (ValueError, TypeError):
        return None


def _has_had_a_last_word(beat: Mapping[str, Any], run_id: str) -> bool:
    """True where the heartbeat tells how the run ended that left no totals line, or that a later one had nothing to send."""
    return beat.get("state") == "ended" and "exit_status" in beat and beat.get("run_id") in {run_id, ""}


def _is_silent(beat: Mapping[str, Any]) -> bool:
    """True for a run that beats, waits for nothing that it knows of, and gets nothing back."""
    silent, patience = beat.get("silent_s"), beat.get("timeout_s")
    if beat.get("waiting_for") or not isinstance(silent, int | float) or not isinstance(patience, int | float):
        return False
    return silent > patience + GRACE_SECONDS
