"""How an output stands: rows, failures, tokens, and whether a run is at it now."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from batch_runner.advice import ADVICE
from batch_runner.exits import ExitStatus
from batch_runner.failures import CannotStart, FailureKind
from batch_runner.output.heartbeat import AT_WORK, STALE_SECONDS, read_heartbeat
from batch_runner.output.journal import Stall
from batch_runner.output.lines import read_result
from batch_runner.pricing.file import read_prices
from batch_runner.records import Status
from batch_runner.reporters.costs import cost_document, cost_lines, token_lines
from batch_runner.reporters.summary import MOST_REASON, standing_in_words
from batch_runner.reporters.wording import duration, in_brackets, money, one_line, rows, stall_in_words
from batch_runner.results.states import MEANINGS, STALE, OutputState, Traces, seconds_since, state_of
from batch_runner.totals import UNATTEMPTED, as_rows_deserve, row_counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batch_runner.output.history import History
    from batch_runner.output.lines import Run
    from batch_runner.pricing import Prices
    from batch_runner.totals import Totals

SCHEMA = 1
WAITS = ("outage_s", "pause_left_s")
GOES_ON = "the same command goes on"


@dataclass(frozen=True, slots=True)
class Standing:
    """What `status` tells of an output."""

    output: Path
    state: OutputState
    run: Run
    job: Totals
    failures: Counter[str]
    examples: Mapping[str, str]
    heartbeat: Mapping[str, Any]
    unreadable_lines: int
    prices: Prices
    last_good_end: str
    """When the last run ended whose rows were as asked for; empty when the rows aren't, or nobody tells."""

    @property
    def at_work(self) -> bool:
        """Whether a run is at it now."""
        return self.state in AT_WORK

    @property
    def held(self) -> bool:
        """Whether the process of a run is there, at work or stuck."""
        return self.at_work or self.state is OutputState.STUCK

    @property
    def exit_status(self) -> int:
        """What `status` ends with."""
        if self.state is OutputState.FINISHED:
            return int(as_rows_deserve(self.job.rows, self.run.max_failed))
        return MEANINGS[self.state][0]

    def exit_status_for(self, max_age: float, now: float) -> int:
        """The same where it is asked whether a run ended well within `max_age` seconds before `now`."""
        if self.state in {OutputState.DEAD, OutputState.STUCK}:
            return MEANINGS[self.state][0]
        age = seconds_since(self.last_good_end, now)
        return STALE if age is None or age > max_age else int(ExitStatus.OK)


def standing_of(history: History, prices: str | None = None) -> Standing:
    """How an output stands, by its lines and its heartbeat. `prices`: a file to count with, by default that of its last run.

    Raises `CannotStart` when it isn't an output.
    """
    output, index = history.path, history.index
    if index.last_run is None:
        raise CannotStart(f"{output}: there is no such output, or nothing in it")
    heartbeat = read_heartbeat(output)
    living = index.living()
    left = history.unattempted + living[Status.UNFINISHED]
    state = state_of(Traces(index.last_run.id, index.closed, left), heartbeat, time.time())
    job = history.job_so_far(real=index.real)
    if state in {OutputState.RUNNING, OutputState.DRAINING, OutputState.STUCK}:
        job = replace(job, unclosed=index.job.unclosed)  # what is in flight is nobody's loss yet
    job = replace(job, rows=living + Counter({UNATTEMPTED: history.unattempted}))
    failures, examples = Counter[str](), dict[str, str]()
    for result in map(read_result, history.living_lines()):
        if result.failure is not None:
            failures[result.failure] += 1
            examples.setdefault(result.failure, f"{result.source}: {result.message}")
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
        _last_good_end(index.last_run, job, index.totals_line, heartbeat) if state is OutputState.FINISHED else "",
    )


def standing_lines(standing: Standing, name: str) -> Iterator[str]:
    """For a person."""
    yield f"{name}: {_state_in_words(standing)}"
    yield standing_in_words(standing.job)
    for kind, count in standing.failures.most_common():
        yield f"  {count:>6,} {kind}: {one_line(standing.examples[kind])}"
        yield f"         {ADVICE[FailureKind(kind)]}"
    yield from _last_error_lines(standing)
    yield from token_lines(standing.job)
    yield from cost_lines(standing.job, standing.prices, _asked(standing.run))
    if standing.unreadable_lines:
        yield f"lines that can't be read: {standing.unreadable_lines:,}; a row without another line is sent again"


def standing_document(standing: Standing) -> dict[str, Any]:
    """For a program."""
    return {
        "schema": SCHEMA,
        "output": str(standing.output),
        "state": standing.state,
        "exit_status": standing.exit_status,
        "last_good_end": standing.last_good_end,
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


def _asked(run: Run) -> list[str]:
    """The model that the last run asked where a row named none."""
    model = run.settings.get("model")
    return [model] if isinstance(model, str) else []


def _prices(name: str | None, run: Run) -> Prices:
    """Those of the file `name`; else of the file that the last run was given, as long as it is there."""
    recorded = run.settings.get("prices")
    if name is None and isinstance(recorded, str) and Path(recorded).is_file():
        name = recorded
    return read_prices(name)


def heartbeat_in_words(beat: Mapping[str, Any]) -> str:
    """`120 of 400 rows of this run, 240/min, $0.0123, 1 min 10 s left`, and what it waits for."""
    pace = beat.get("rows_per_minute")
    cost = beat["cost"].get("usd") if isinstance(beat.get("cost"), dict) else None
    parts = [
        f"{beat.get('recorded', '?')} of {beat.get('to_record', '?')} rows of this run",
        f"{pace:,.0f}/min" if isinstance(pace, int | float) else "",
        money(cost) if isinstance(cost, int | float) and cost else "",
        _left_in_words(beat),
        _waiting_in_words(beat),
    ]
    return ", ".join(part for part in parts if part)


def _state_in_words(standing: Standing) -> str:
    beat = standing.heartbeat
    if not standing.held:
        return f"{standing.state}: {_rest_in_words(standing)} (last run {standing.run.id} at {standing.run.endpoint})"
    who = f"(process {beat.get('pid')} on {beat.get('host')}, {beat.get('updated')})"
    if standing.state is OutputState.STUCK:
        return f"stuck: {_silence_in_words(beat)}; {heartbeat_in_words(beat)} {who}"
    return f"{standing.state}: {heartbeat_in_words(beat)} {who}"


def _rest_in_words(standing: Standing) -> str:
    """How an output stands that no run is at."""
    beat = standing.heartbeat
    if (beat.get("exit_status"), beat.get("run_id")) == (ExitStatus.OUTPUT_LOST, standing.run.id):
        return f"its last run lost it: {one_line(str(beat.get('reason')), MOST_REASON)}"
    if standing.state is OutputState.DEAD:
        return f"its last run was killed; {GOES_ON}"
    if standing.state is OutputState.FINISHED:
        return "no run is at it"
    why = one_line(str(beat.get("reason") or ""), MOST_REASON) if beat.get("run_id") == standing.run.id else ""
    left = standing.job.rows[UNATTEMPTED] + standing.job.rows[Status.UNFINISHED]
    onward = "" if GOES_ON in why else f"; {GOES_ON}"
    return f"{rows(left)} left{in_brackets(why)}{onward}"


def _silence_in_words(beat: Mapping[str, Any]) -> str:
    silent, age = beat.get("silent_s"), seconds_since(beat.get("updated"), time.time())
    if age is not None and age >= STALE_SECONDS:
        return f"its process is there, and hasn't beaten for {duration(age)}"
    return f"nothing has come back for {duration(float(silent or 0))}"


def _left_in_words(beat: Mapping[str, Any]) -> str:
    if beat.get("disk"):
        return stall_in_words(Stall(**beat["disk"]))
    return f"{duration(beat['seconds_left'])} left" if isinstance(beat.get("seconds_left"), int) else ""


def _waiting_in_words(beat: Mapping[str, Any]) -> str:
    """What a run waits for, when it waits for the service, or for room under a cap."""
    outage, pause = (seconds if isinstance(seconds := beat.get(name), int | float) else 0.0 for name in WAITS)
    if outage > 0:
        return f"no answer for {duration(outage)}{in_brackets(str(beat.get('trouble') or ''))}"
    if pause > 0:
        return f"told to wait {duration(pause)}"
    held_by = one_line(str(beat.get("held_by") or ""), 40)
    return f"concurrency is held to {beat.get('in_flight', '?')} by {held_by}" if held_by else ""


def _last_error_lines(standing: Standing) -> Iterator[str]:
    """The last attempt that failed, while a run is at work: how it ended is told by the rows later."""
    error = standing.heartbeat.get("last_error")
    if standing.held and isinstance(error, dict):
        words = (one_line(str(error.get(name))) for name in ("row", "kind", "message"))
        yield "last failed attempt  row {}: {}: {}".format(*words) + in_brackets(str(error.get("at")))


def _last_good_end(run: Run, job: Totals, totals_line: bytes, beat: Mapping[str, Any]) -> str:
    """When the output was found well last: by the run that finished it, or by a later one that had nothing to send."""
    if as_rows_deserve(job.rows, run.max_failed) is not ExitStatus.OK:
        return ""
    closed_at = str(orjson.loads(totals_line)["finished_at"]) if totals_line else ""
    looked_at = str(beat.get("updated", "")) if beat.get("exit_status") == ExitStatus.OK else ""
    return max(closed_at, looked_at)
