"""`prune`: an output without the records of rows that its input no longer holds. They are set aside, not thrown away."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from batch_runner.chat import defaults
from batch_runner.clock import compact_timestamp, timestamp
from batch_runner.failures import CannotStart, OutputLost, UsageMistake
from batch_runner.forms import shape
from batch_runner.identity import Again
from batch_runner.loader import STDIN, InputFiles, find_inputs
from batch_runner.output.aside import aside_path
from batch_runner.output.compact import lines_at, write_anew
from batch_runner.output.file import READ_BYTES
from batch_runner.output.kept_inputs import stdin_copy_path
from batch_runner.output.ledger import fold
from batch_runner.output.lines import run_line, totals_line
from batch_runner.planner import make_plan
from batch_runner.selection import selection
from batch_runner.settings import read_settings
from batch_runner.totals import NOT_IN_INPUT, Totals, as_rows_deserve
from batch_runner.upkeep.outputs import held_output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from batch_runner.clock import Clock
    from batch_runner.exits import ExitStatus
    from batch_runner.output.history import History
    from batch_runner.output.lines import Run
    from batch_runner.plan import Plan


@dataclass(frozen=True, slots=True)
class Pruned:
    """What became of an output that was to be pruned."""

    output: Path
    rows: Counter[str]
    """Of the input, as they stand."""
    exit_status: ExitStatus
    dropped: int
    """Rows whose record was set aside."""
    aside: Path | None
    """Where their lines are now: an output too, which `merge` joins again."""


def prune(name: str | Path, inputs: tuple[str, ...], *, clock: Clock, confirm: Callable[[str], bool] | None = None) -> Pruned:
    """Set aside the records in the output of that name whose rows are in none of `inputs`. `confirm` asks a person first;
    without one, nothing is done.

    Raises `OutputBusy`, `CannotStart`, or `OutputLost` when there is no room: the output is then as it was.
    """
    with held_output(name) as (history, run):
        plan = _plan(history, run, inputs)
        rows = +Counter({status: count for status, count in plan.standing.items() if status != NOT_IN_INPUT})
        exit_status = as_rows_deserve(rows, run.max_failed)
        dropped = history.index.not_seen()
        if not dropped:
            return Pruned(history.path, rows, exit_status, 0, None)
        _ask(name, dropped, history.index.living().total(), confirm)
        aside = aside_path(history.path, compact_timestamp(clock()), "pruned")
        try:
            _part(history, run, rows, aside, timestamp(clock()))
        except OSError as error:
            raise OutputLost(f"{name} stays as it is, it can't be written anew: {error.strerror}") from None
        return Pruned(history.path, rows, exit_status, dropped.total(), aside)


def _plan(history: History, run: Run, inputs: tuple[str, ...]) -> Plan:
    """A plan of the inputs as the run that made the output would make it, which finds its rows in the index."""
    if STDIN in inputs:
        raise UsageMistake(f"standard input isn't read here: name its copy, {stdin_copy_path(history.path)}, or a file")
    source = InputFiles.of(find_inputs(inputs)[0])
    settings = read_settings(run.settings)
    plan = make_plan(
        source,
        history,
        run=defaults(settings),
        again=Again(),
        shape=shape(settings),
        selection=selection(settings),
        real=False,
    )
    if plan.rows == 0:
        raise CannotStart(f"there is no row in {', '.join(inputs)}, so every record would go: nothing was changed")
    return plan


def _ask(name: str | Path, dropped: Counter[str], total: int, confirm: Callable[[str], bool] | None) -> None:
    if dropped.total() == total:
        raise CannotStart(
            f"none of the {total:,} records in {name} is of a row of the input: name the files that it was made from (to start "
            "anew: run --fresh); nothing was changed"
        )
    states = ", ".join(f"{count:,} {status}" for status, count in dropped.items())
    asks = f"{dropped.total():,} of {total:,} records in {name} are of rows that the input no longer holds ({states})"
    if confirm is None:
        raise CannotStart(f"{asks}: to set them aside add --yes; nothing was changed")
    if not confirm(f"{asks}. Set them aside?"):
        raise CannotStart("nothing was changed")


def _part(history: History, run: Run, rows: Counter[str], aside: Path, at: str) -> None:
    """Write both halves, the one set aside first: whatever comes between, no record is in neither."""
    index, before = history.index, history.job_so_far(real=history.index.real)
    kept = replace(_sum(history, seen=True), rows=rows, unclosed=before.unclosed, wall_ms=before.wall_ms)
    gone = replace(_sum(history, seen=False), rows=index.not_seen())
    with history.path.open("rb", buffering=READ_BYTES) as old:

        def half(places: Iterator[int], job: Totals, *, unreadable: bool) -> Iterator[bytes]:
            index.run_lines[run.id] = run_line(run, job)
            rows_of_half = lines_at(old, index, places, unreadable=unreadable)
            return chain(rows_of_half, [totals_line(run.id, at, job, Totals())])

        write_anew(aside, half(index.living_places(seen=False), gone, unreadable=False), like=history.path)
        write_anew(history.path, half(index.living_places(seen=True), kept, unreadable=True), like=history.path)


def _sum(history: History, *, seen: bool) -> Totals:
    return fold(history.living_lines(real_only=history.index.real, seen=seen))
