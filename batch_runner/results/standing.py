"""How an output stands: rows, failures, tokens, and whether a run is at it now."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from batch_runner.advice import ADVICE
from batch_runner.failures import CannotStart, FailureKind
from batch_runner.output.history import History
from batch_runner.output.lines import read_result
from batch_runner.reporters.heartbeat import heartbeat_path
from batch_runner.reporters.summary import cost_lines, standing_in_words
from batch_runner.reporters.wording import duration, one_line
from batch_runner.totals import UNATTEMPTED, row_counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from batch_runner.output.lines import Run
    from batch_runner.totals import Totals

SCHEMA = 1
WAITS = ("outage_s", "pause_left_s")
STALE_SECONDS = 60.0
"""A heartbeat this old is a dead run's: a living one beats every two seconds."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What `status` tells of an output."""

    output: Path
    state: str
    """`running`, `draining`, `ended`, or `killed`: its last run left no totals and is not at work."""
    run: Run
    job: Totals
    failures: Counter[str]
    examples: Mapping[str, str]
    heartbeat: Mapping[str, Any]
    unreadable_lines: int


def read_standing(output: Path) -> Standing:
    """Read the output, and its heartbeat where there is one. Raises `CannotStart` when it isn't an output."""
    with History(output) as history:
        index = history.index
        if index.last_run is None:
            raise CannotStart(f"{output}: there is no such output, or nothing in it")
        heartbeat = _heartbeat(output)
        at_work = _at_work(heartbeat, index.last_run.id)
        job = index.job if index.closed or at_work else history.job_so_far(real=False)
        job = replace(job, rows=index.living() + Counter({UNATTEMPTED: history.unattempted}))
        failures, examples = Counter[str](), dict[str, str]()
        for result in map(read_result, history.living_lines()):
            if result.failure is not None:
                failures[result.failure] += 1
                examples.setdefault(result.failure, f"{result.source}: {result.message}")
    state = heartbeat["state"] if at_work else ("ended" if index.closed else "killed")
    return Standing(output, state, index.last_run, job, failures, examples, heartbeat, index.unreadable_lines)


def standing_lines(standing: Standing, name: str) -> Iterator[str]:
    """For a person."""
    yield f"{name}: {_state_in_words(standing)}"
    yield standing_in_words(standing.job)
    for kind, count in standing.failures.most_common():
        yield f"  {count:>6,} {kind}: {one_line(standing.examples[kind])}"
        yield f"         {ADVICE[FailureKind(kind)]}"
    yield from cost_lines(standing.job, "tokens")
    if standing.unreadable_lines:
        yield f"lines that can't be read: {standing.unreadable_lines:,}; their rows will be sent again"


def standing_document(standing: Standing) -> dict[str, Any]:
    """For a program."""
    return {
        "schema": SCHEMA,
        "output": str(standing.output),
        "state": standing.state,
        "run_id": standing.run.id,
        "endpoint": standing.run.endpoint,
        "job_name": standing.run.job,
        "rows": row_counts(standing.job.rows),
        "failures": [
            {"kind": kind, "rows": count, "example": standing.examples[kind], "advice": ADVICE[FailureKind(kind)]}
            for kind, count in standing.failures.most_common()
        ],
        "job": standing.job.as_json(),
        "heartbeat": dict(standing.heartbeat),
        "unreadable_lines": standing.unreadable_lines,
    }


def _state_in_words(standing: Standing) -> str:
    beat = standing.heartbeat
    if standing.state not in {"running", "draining"}:
        told = {"ended": "no run is at it", "killed": "its last run was killed; the same command goes on"}
        return f"{told[standing.state]} (last run {standing.run.id} at {standing.run.endpoint})"
    left = f", {duration(beat['seconds_left'])} left" if isinstance(beat.get("seconds_left"), int) else ""
    return (
        f"{standing.state}: {beat.get('recorded', '?')} of {beat.get('to_record', '?')} rows of this run"
        f"{left}{_waiting_in_words(beat)} (process {beat.get('pid')} on {beat.get('host')}, {beat.get('updated')})"
    )


def _waiting_in_words(beat: Mapping[str, Any]) -> str:
    """What a run waits for, when it waits for the service."""
    outage, pause = (seconds if isinstance(seconds := beat.get(name), int | float) else 0.0 for name in WAITS)
    if outage > 0:
        return f", no answer for {duration(outage)} ({beat.get('trouble')})"
    return f", told to wait {duration(pause)}" if pause > 0 else ""


def _heartbeat(output: Path) -> dict[str, Any]:
    with suppress(OSError, orjson.JSONDecodeError):
        beat = orjson.loads(heartbeat_path(output).read_bytes())
        if isinstance(beat, dict):
            return beat
    return {}


def _at_work(heartbeat: Mapping[str, Any], run_id: str) -> bool:
    """Whether the run behind a heartbeat lives: it beat lately, and where its process can be looked at, that is there."""
    if heartbeat.get("run_id") != run_id or heartbeat.get("state") not in {"running", "draining"}:
        return False
    try:
        age = time.time() - datetime.fromisoformat(heartbeat["updated"]).timestamp()
        if heartbeat["host"] == socket.gethostname():
            os.kill(int(heartbeat["pid"]), 0)
    except PermissionError:
        pass  # somebody else's process, but a process
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return False
    return age < STALE_SECONDS
