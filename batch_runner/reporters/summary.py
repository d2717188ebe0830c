"""What a run came to, for a person and for a program. Pure."""

from __future__ import annotations

import math
import shlex
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from batch_runner.advice import ADVICE
from batch_runner.exits import ExitStatus
from batch_runner.failures import FailureKind
from batch_runner.records import Status
from batch_runner.reporters.costs import (
    cost_document,
    cost_lines,
    length_lines,
    rest_line,
    suggested_cap,
    token_lines,
    whole_cost_lines,
)
from batch_runner.reporters.statement import after_a_run, change_document
from batch_runner.reporters.wording import counted, duration, limit_in_words, one_line, requests, rows
from batch_runner.spending import MAX_COST, MAX_TOTAL_TOKENS
from batch_runner.totals import UNATTEMPTED, row_counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from decimal import Decimal
    from pathlib import Path

    from batch_runner.progress import RunReport
    from batch_runner.spending import CapReached
    from batch_runner.totals import Totals

SCHEMA = 1
MOST_REASON = 1000
"""Characters: the paths in it must stay whole."""
CAPS = (MAX_COST, MAX_TOTAL_TOKENS)
"""The caps on cost."""


def summary_lines(report: RunReport, command: Sequence[str], output: str) -> Iterator[str]:
    """The summary at the end of a run; `command` is how it was called (empty: by a program), `output` its output as the user
    names it.
    """
    if report.reason:
        yield one_line(report.reason, MOST_REASON)
    yield standing_in_words(report.totals)
    for kind, count in report.run.failures.most_common():
        yield f"  {count:>6,} {kind}: {one_line(report.examples.get(kind, ''))}"
        yield f"         {ADVICE[FailureKind(kind)]}"
    if report.run.attempts:
        yield from token_lines(report.run)
        yield from cost_lines(report.run, report.prices)
        yield from rest_line(report.totals, report.run, report.prices)
        yield from _all_runs(report)
        yield from after_a_run(*report.quotas, _counted(report)) if report.quotas is not None else ()
        yield from length_lines(report.run)
        yield from _pace_lines(report.run)
        if report.learned is not None:
            yield f"limit    found: {limit_in_words(report.learned)}"
    if report.totals.rows[UNATTEMPTED] and "retry" in command[1:2]:
        yield f"{rows(report.totals.rows[UNATTEMPTED])} never sent: only a run of the input has them, retry doesn't"
    for departure in report.drift:
        yield f"unusual  {one_line(departure)}"
    yield f"output   {output}"
    if command:
        yield f"next     {shlex.join(next_command(report, command, output))}"


def standing_in_words(job: Totals) -> str:
    """`37 rows: 35 ok, 1 truncated, 1 invalid`."""
    counts = [(job.rows[status], status) for status in (*Status, UNATTEMPTED)]
    told = counted(counts)
    return f"{rows(sum(count for count, _ in counts))}: {told}" if told else "no rows"


def next_command(report: RunReport, command: Sequence[str], output: str) -> list[str]:
    """The one command that makes sense now."""
    standing = report.totals.rows
    unsent = standing[UNATTEMPTED] and "retry" not in command[1:2]
    if report.exit_status is ExitStatus.SPEND_CAP:
        resumes = unsent or standing[Status.UNFINISHED] or "retry" in command[1:2]
        again = command if resumes else ["batch-runner", "retry", output, "--only", "truncated", *_caps_in(command)]
        return _with_more(again, report.cap)
    if report.exit_status not in {ExitStatus.OK, ExitStatus.ROWS_NOT_OK} or unsent:
        return list(command)
    if standing[Status.FAILED] or standing[Status.UNFINISHED]:
        return ["batch-runner", "retry", output]
    if standing[Status.TRUNCATED]:
        return [
            "batch-runner",
            "retry",
            output,
            "--only",
            "truncated",
            "--max-completion-tokens",
            str(_larger_cap(report, command)),
        ]
    if standing[Status.INVALID] and "retry" not in command[1:2]:
        return list(command)
    return ["batch-runner", "status", output]


def _caps_in(command: Sequence[str]) -> Iterator[str]:
    """The caps on cost that `command` names, and their values."""
    for flag, value in pairwise(command):
        if flag in CAPS:
            yield from (flag, value)


def _with_more(command: Sequence[str], cap: CapReached | None) -> list[str]:
    """The same command with twice that cap, or more where the next row needs more: with the same one, be it of the command, a
    variable or a job, it would send nothing. Only a job file raises a job's budget.
    """
    words = list(command)
    if cap is None or cap.flag not in CAPS:
        return words
    flag, more = cap.flag, _as_typed(max(2 * float(cap.limit), 1.1 * float(cap.used + cap.asked)))
    for place, word in enumerate(words):
        if word.startswith(f"{flag}="):
            return [*words[:place], f"{flag}={more}", *words[place + 1 :]]
        if word == flag:
            return [*words[: place + 1], more, *words[place + 2 :]]
    end = words.index("--") if "--" in words else len(words)
    return [*words[:end], flag, more, *words[end:]]


def _as_typed(amount: float) -> str:
    """A number as one would type it: whole from 10 on, else with two digits that count or more."""
    return f"{math.ceil(amount)}" if amount >= 10 else f"{amount:.2g}"  # noqa: PLR2004 - digits


def summary_document(report: RunReport, command: Sequence[str], output: Path) -> dict[str, Any]:
    """The summary as `--json` prints it."""
    return {
        "schema": SCHEMA,
        "exit_status": int(report.exit_status),
        "reason": report.reason,
        "output": str(output),
        "run_id": report.run_id,
        "rows": row_counts(report.totals.rows),
        "failures": [
            {"kind": kind, "rows": count, "example": report.examples.get(kind, ""), "advice": ADVICE[FailureKind(kind)]}
            for kind, count in report.run.failures.most_common()
        ],
        "job": report.totals.as_json(),
        "run": report.run.as_json(),
        "cost": {"job": cost_document(report.totals, report.prices), "run": cost_document(report.run, report.prices)},
        "drift": list(report.drift),
        "pilot": None if report.pilot is None else dict(report.pilot),
        "account": None if report.quotas is None else change_document(*report.quotas),
        "next": shlex.join(next_command(report, command, str(output))) if command else "",
    }


def _all_runs(report: RunReport) -> Iterator[str]:
    """What the output has cost so far, where this run isn't all of it."""
    nothing = not report.totals.spent and not report.totals.maybe_billed
    if nothing or (report.totals.attempts == report.run.attempts and not report.totals.unclosed):
        return
    first, *more = whole_cost_lines(report.totals, report.prices, report.run.bills)
    yield first.replace("cost     ", "all runs ", 1)
    yield from more


def _counted(report: RunReport) -> tuple[Decimal, Decimal] | None:
    """What we think this run cost, without and with its lost answers; `None` while a price is missing."""
    spent, owed = (report.prices.cost(usages) for usages in (report.run.spent_by_model, report.run.owed_by_model))
    return None if spent.unpriced or owed.unpriced else (spent.usd, spent.usd + owed.usd)


def _pace_lines(run: Totals) -> Iterator[str]:
    seconds = run.wall_ms / 1000
    pace = f", {60 * run.rows.total() / seconds:,.0f} rows/min" if seconds else ""
    median, slow = run.latency_quantile(0.5), run.latency_quantile(0.95)
    latency = f", half of the answers within {duration(median)}, 95 % within {duration(slow)}" if median and slow else ""
    yield f"time     {duration(seconds)}{pace}{latency}"
    for (asked, answered), count in run.answered_as.items():
        if asked != answered:
            answering = one_line(answered, 60) or "a model without a name"
            yield f"model    {requests(count)} to {one_line(asked, 60)}, answered by {answering}"


def _larger_cap(report: RunReport, command: Sequence[str]) -> int:
    """What rows need whose cap was too small, by the answers of this run; at least 4,096, and twice the cap of `command`."""
    place = command.index("--max-completion-tokens") + 1 if "--max-completion-tokens" in command else len(command)
    asked = int(command[place]) if place < len(command) and command[place].isascii() and command[place].isdigit() else 0
    return max(4096, suggested_cap(report.run) or 0, 2 * asked)
