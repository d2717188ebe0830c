"""How an output stands: rows, failures, tokens, and whether a run is at it now."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_runner.advice import ADVICE
from batch_runner.exits import ExitStatus
from batch_runner.failures import CannotStart, FailureKind
from batch_runner.output.heartbeat import AT_WORK, STALE_SECONDS, may_live, read_heartbeat
from batch_runner.output.history import History
from batch_runner.output.journal import Stall
from batch_runner.output.lines import read_result
from batch_runner.pricing.file import read_prices
from batch_runner.reporters.summary import MOST_REASON, cost_document, cost_lines, standing_in_words, token_lines
from batch_runner.reporters.wording import duration, in_brackets, one_line, stall_in_words
from batch_runner.totals import UNATTEMPTED, row_counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batch_runner.output.lines import Run
    from batch_runner.pricing import Prices
    from batch_runner.totals import Totals

SCHEMA = 1
WAITS = ("outage_s", "pause_left_s")


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
    prices: Prices

    @property
    def at_work(self) -> bool:
        """Whether a run is at it now."""
        return self.state in AT_WORK


def read_standing(output: Path, prices: str | None = None) -> Standing:
    """Read the output, and its heartbeat where there is one. `prices`: a file to count with, by default that of its last run.
    Raises `CannotStart` when it isn't an output.
    """
    with History(output) as history:
        return standing_of(history, prices)


def standing_of(history: History, prices: str | None = None) -> Standing:
    """The same of an output that is open already."""
    output, index = history.path, history.index
    if index.last_run is None:
        raise CannotStart(f"{output}: there is no such output, or nothing in it")
    heartbeat = read_heartbeat(output)
    at_work = _at_work(heartbeat, index.last_run.id)
    job = history.job_so_far(real=index.real)
    if at_work:
        job = replace(job, unclosed=index.job.unclosed)  # what is in flight is nobody's loss yet
    job = replace(job, rows=index.living() + Counter({UNATTEMPTED: history.unattempted}))
    failures, examples = Counter[str](), dict[str, str]()
    for result in map(read_result, history.living_lines()):
        if result.failure is not None:
            failures[result.failure] += 1
            examples.setdefault(result.failure, f"{result.source}: {result.message}")
    state = heartbeat["state"] if at_work else ("ended" if index.closed else "killed")
    return Standing(
        output,
        state,
        index.last_run,
        job,
        failures,
        examples,
        heartbeat,
        index.unreadable_lines,
        _prices(prices, index.last_run),
    )


def standing_lines(standing: Standing, name: str) -> Iterator[str]:
    """For a person."""
    yield f"{name}: {_state_in_words(standing)}"
    yield standing_in_words(standing.job)
    for kind, count in standing.failures.most_common():
        yield f"  {count:>6,} {kind}: {one_line(standing.examples[kind])}"
        yield f"         {ADVICE[FailureKind(kind)]}"
    yield from token_lines(standing.job)
    yield from cost_lines(standing.job, standing.prices)
    if standing.unreadable_lines:
        yield f"lines that can't be read: {standing.unreadable_lines:,}; a row without another line is sent again"


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
        "cost": cost_document(standing.job, standing.prices),
        "heartbeat": dict(standing.heartbeat),
        "unreadable_lines": standing.unreadable_lines,
    }


def _prices(name: str | None, run: Run) -> Prices:
    """Those of the file `name`; else of the file that the last run was given, as long as it is there."""
    recorded = run.settings.get("prices")
    if name is None and isinstance(recorded, str) and Path(recorded).is_file():
        name = recorded
    return read_prices(name)


def _state_in_words(standing: Standing) -> str:
    beat = standing.heartbeat
    if not standing.at_work:
        told = {"ended": "no run is at it", "killed": "its last run was killed; the same command goes on"}[standing.state]
        if (beat.get("exit_status"), beat.get("run_id")) == (ExitStatus.OUTPUT_LOST, standing.run.id):
            told = f"its last run lost it: {one_line(str(beat.get('reason')), MOST_REASON)}"
        return f"{told} (last run {standing.run.id} at {standing.run.endpoint})"
    left = f", {duration(beat['seconds_left'])} left" if isinstance(beat.get("seconds_left"), int) else ""
    if beat.get("disk"):
        left = f", {stall_in_words(Stall(**beat['disk']))}"
    return (
        f"{standing.state}: {beat.get('recorded', '?')} of {beat.get('to_record', '?')} rows of this run"
        f"{left}{_waiting_in_words(beat)} (process {beat.get('pid')} on {beat.get('host')}, {beat.get('updated')})"
    )


def _waiting_in_words(beat: Mapping[str, Any]) -> str:
    """What a run waits for, when it waits for the service."""
    outage, pause = (seconds if isinstance(seconds := beat.get(name), int | float) else 0.0 for name in WAITS)
    if outage > 0:
        return f", no answer for {duration(outage)}{in_brackets(str(beat.get('trouble') or ''))}"
    return f", told to wait {duration(pause)}" if pause > 0 else ""


def _at_work(heartbeat: Mapping[str, Any], run_id: str) -> bool:
    """Whether the run behind a heartbeat lives: it beat lately, and where its process can be looked at, that is there."""
    if heartbeat.get("run_id") != run_id or not may_live(heartbeat):
        return False
    try:
        age = time.time() - datetime.fromisoformat(heartbeat["updated"]).timestamp()
    except (ValueError, KeyError, TypeError):
        return False
    return age < STALE_SECONDS
