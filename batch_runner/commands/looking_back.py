"""`job history`: a job's nights, one line each, as a person or a program reads them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from batch_runner.commands.terminal import print_json
from batch_runner.exits import ExitStatus
from batch_runner.failures import CannotStart
from batch_runner.nightly.diary import Diary, Entry
from batch_runner.nightly.outputs import glance
from batch_runner.nightly.tonight import tonight
from batch_runner.reporters.voice import show
from batch_runner.reporters.wording import duration, money, one_line, percent, short

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_runner.nightly.job_file import Job
    from batch_runner.nightly.tonight import Tonight

SCHEMA = 1
WIDTH = 132
COLUMNS = ("night", "end", "rows", "ok", "truncated", "tokens", "cost", "time", "p50", "p95", "429", "answered by")
NOTHING = "–"


def tell_history(job: Job, *, last: int, as_json: bool, fail_on_drift: bool) -> int:
    """Tell the last nights of a job; returns the exit status."""
    night = tonight(job, time.time())
    entries = sorted(nights_of(night), key=lambda entry: entry.night)[-last:]
    if as_json:
        print_json({"schema": SCHEMA, "job": job.name, "nights": [entry.as_json() for entry in entries]})
    elif not entries:
        show(f"{job.name}: no night yet")
    else:
        for line in _lines(entries):
            show(line)
    drifted = fail_on_drift and bool(entries) and bool(entries[-1].drift)
    return int(ExitStatus.DRIFTED if drifted else ExitStatus.OK)


def nights_of(night: Tonight) -> Iterator[Entry]:
    """Every night of a job: those of its history, and those that left an output and no word. Raises `CannotStart`."""
    diary = Diary(night.diary)
    if diary.trouble:
        raise CannotStart(f"{diary.path}: can't be read: {diary.trouble}")
    yield from diary.entries
    for day, path in night.outputs.nights():
        begun = glance(path)
        if diary[day.isoformat()] is None and begun is not None and begun.job == night.job.name:
            yield Entry(day.isoformat(), "", -1, "it was killed, or is at work", str(path))


def _lines(entries: list[Entry]) -> Iterator[str]:
    table = Table(*COLUMNS[:2], box=box.SIMPLE_HEAD, pad_edge=False)
    for column in COLUMNS[2:-1]:
        table.add_column(column, justify="right")
    table.add_column(COLUMNS[-1])
    for entry in entries:
        table.add_row(*_cells(entry))
    console = Console(width=WIDTH, no_color=True, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(table)
    yield from (line.rstrip() for line in captured.get().strip("\n").splitlines())
    for entry in entries:
        yield from (f"! {entry.night}: {one_line(departure)}" for departure in entry.drift)
        if entry.reason and not entry.drift:
            yield f"  {entry.night}: {one_line(entry.reason)}"


def _cells(entry: Entry) -> tuple[str, ...]:
    totals = entry.totals
    p50, p95 = totals.latency_quantile(0.5), totals.latency_quantile(0.95)
    models = ", ".join(one_line(model, 30) for model, _ in entry.models.most_common(2))
    return (
        f"{entry.night}{' !' if entry.drift else ''}",
        _end(entry),
        f"{entry.judged:,}" if entry.judged else NOTHING,
        _or_nothing(entry.ok_share, percent),
        _or_nothing(entry.truncated_share, percent),
        short(totals.spent.total_tokens or 0) if totals.attempts else NOTHING,
        _or_nothing(entry.cost_usd if totals.attempts else None, money),
        duration(totals.wall_ms / 1000) if totals.wall_ms else NOTHING,
        _or_nothing(p50, duration),
        _or_nothing(p95, duration),
        _or_nothing(entry.slow_down_share, percent),
        models or NOTHING,
    )


def _end(entry: Entry) -> str:
    if entry.exit_status < 0:
        return "?"
    return "ok" if entry.exit_status == ExitStatus.OK else f"exit {entry.exit_status}"


def _or_nothing(value: float | None, told: Any) -> str:
    return NOTHING if value is None else str(told(value))
