"""What a run came to, for a person and for a program. Pure."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from batch_runner.advice import ADVICE
from batch_runner.exits import ExitStatus
from batch_runner.failures import FailureKind
from batch_runner.records import Status
from batch_runner.reporters.statement import after_a_run, change_document
from batch_runner.reporters.wording import duration, money, one_line, rows
from batch_runner.totals import UNATTEMPTED, row_counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from batch_runner.account import Quota
    from batch_runner.pricing import Prices
    from batch_runner.progress import RunReport
    from batch_runner.totals import Totals

SCHEMA = 1
MOST_REASON = 1000
"""Characters: the paths in it must stay whole."""
NAMED_MODELS = 5
CAPS = {"--max-cost": 2, "--max-total-tokens": 0}
"""The caps on cost, and how many decimals one is written with."""


def summary_lines(
    report: RunReport, command: Sequence[str], output: str, quotas: tuple[Quota, Quota] | None = None
) -> Iterator[str]:
    """The summary at the end of a run; `command` is how it was called (empty: by a program), `output` its output as the user
    names it, `quotas` what the service told of the key's quota before and after.
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
        yield from after_a_run(*quotas) if quotas is not None else ()
        yield from _pace_lines(report.run)
    if report.totals.rows[UNATTEMPTED] and "retry" in command[1:2]:
        yield f"{rows(report.totals.rows[UNATTEMPTED])} never sent: only a run of the input has them, retry doesn't"
    for departure in report.drift:
        yield f"unusual  {one_line(departure)}"
    yield f"output   {output}"
    if command:
        yield f"next     {shlex.join(next_command(report, command, output))}"


def standing_in_words(job: Totals) -> str:
    """`37 rows: 35 ok, 1 truncated, 1 invalid`."""
    counts = [(status, job.rows[status]) for status in (*Status, UNATTEMPTED) if job.rows[status]]
    told = ", ".join(f"{count:,} {status}" for status, count in counts)
    return f"{rows(sum(count for _, count in counts))}: {told}" if counts else "no rows"


def token_lines(totals: Totals) -> Iterator[str]:
    """Tokens spent, and what may have been billed beside them."""
    spent, owed = totals.spent, totals.maybe_billed
    yield (
        f"tokens   {spent.prompt_tokens:,} prompt ({spent.cached_tokens:,} cached), "
        f"{spent.completion_tokens:,} completion ({spent.reasoning_tokens:,} reasoning)"
    )
    if owed:
        yield f"{'':<8} at most {owed.prompt_tokens:,} prompt, {owed.completion_tokens:,} completion may have been billed besides"
    if totals.usage_missing:
        yield f"{'':<8} {rows(totals.usage_missing)} came without a usage"


def cost_lines(totals: Totals, prices: Prices) -> Iterator[str]:
    """The same in money, as far as prices are known."""
    spent, owed = prices.cost(totals.spent_by_model), prices.cost(totals.owed_by_model)
    unknown = sorted(spent.unpriced | owed.unpriced)
    if unknown and not (spent.listed or spent.own):
        yield f"cost     unknown: no price of {models_in_words(unknown)}, --prices FILE gives one"
        return
    yield f"cost     {'at least ' if spent.at_least or totals.usage_missing else ''}{money(spent.usd)} ({prices.basis(spent)})"
    if unknown:
        yield f"{'':<8} besides {models_in_words(unknown)}, whose price isn't known: --prices FILE gives one"
    if owed.usd:
        yield f"{'':<8} {money(owed.usd)} more may have been billed"
    if totals.unclosed:
        yield f"{'':<8} what killed runs may have cost isn't in it: they told no model"


def models_in_words(models: Sequence[str]) -> str:
    """`a, b, c and 4 more`."""
    more = f" and {len(models) - NAMED_MODELS} more" if len(models) > NAMED_MODELS else ""
    return ", ".join(one_line(model, 40) for model in models[:NAMED_MODELS]) + more


def cost_document(totals: Totals, prices: Prices) -> dict[str, Any]:
    """The same for a program."""
    spent, owed = prices.cost(totals.spent_by_model), prices.cost(totals.owed_by_model)
    return {
        "usd": spent.known,
        "maybe_billed_usd": owed.known,
        "at_least": spent.at_least or totals.usage_missing > 0,
        "unpriced": sorted(spent.unpriced | owed.unpriced),
        "prices": prices.basis(spent + owed),
    }


def next_command(report: RunReport, command: Sequence[str], output: str) -> list[str]:
    """The one command that makes sense now."""
    standing = report.totals.rows
    unsent = standing[UNATTEMPTED] and "retry" not in command[1:2]
    if report.exit_status is ExitStatus.SPEND_CAP:
        resumes = unsent or standing[Status.UNFINISHED] or "retry" in command[1:2]
        again = command if resumes else ["batch-runner", "retry", output, "--only", "truncated", *_caps_in(command)]
        return _with_more(again, report.reason)
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


def _with_more(command: Sequence[str], reason: str) -> list[str]:
    """The same command with twice the cap that `reason` names: with the same one it would send nothing."""
    words = list(command)
    for flag, digits in CAPS.items():
        place = words.index(flag) + 1 if flag in words else len(words)
        if reason.startswith(flag) and place < len(words) and re.fullmatch(r"\$?\d[\d_]*(\.\d+)?", words[place]):
            words[place] = f"{2 * float(words[place].removeprefix('$')):.{digits}f}"
    return words


def summary_document(
    report: RunReport, command: Sequence[str], output: Path, quotas: tuple[Quota, Quota] | None = None
) -> dict[str, Any]:
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
        "account": None if quotas is None else change_document(*quotas),
        "next": shlex.join(next_command(report, command, str(output))) if command else "",
    }


def _pace_lines(run: Totals) -> Iterator[str]:
    seconds = run.wall_ms / 1000
    pace = f", {60 * run.rows.total() / seconds:,.0f} rows/min" if seconds else ""
    median, slow = run.latency_quantile(0.5), run.latency_quantile(0.95)
    latency = f", half of the answers within {duration(median)}, 95 % within {duration(slow)}" if median and slow else ""
    yield f"time     {duration(seconds)}{pace}{latency}"
    for (asked, answered), count in run.answered_as.items():
        if asked != answered:
            answering = one_line(answered, 60) or "a model without a name"
            yield f"model    {rows(count)} asked of {one_line(asked, 60)}, answered by {answering}"


def _larger_cap(report: RunReport, command: Sequence[str]) -> int:
    """Twice the mean completion of all answers, at least 4,096, and twice the cap of `command`: a start for rows whose cap was
    too small.
    """
    answers = max(1, sum(report.totals.rows[status] for status in (Status.OK, Status.TRUNCATED)))
    mean = (report.totals.spent.completion_tokens or 0) // answers
    place = command.index("--max-completion-tokens") + 1 if "--max-completion-tokens" in command else len(command)
    asked = int(command[place]) if place < len(command) and command[place].isascii() and command[place].isdigit() else 0
    return max(4096, 2 * mean, 2 * asked)
