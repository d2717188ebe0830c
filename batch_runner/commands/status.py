"""`batch-runner status`: how an output stands, running or finished."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batch_runner.commands.terminal import json_option, print_json
from batch_runner.exits import ExitStatus
from batch_runner.settings.kinds import Duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_runner.output.history import History
    from batch_runner.results.standing import Standing

EVERY_SECONDS = 2.0


@click.command()
@click.argument("output", metavar="[OUT]", required=False)
@click.option("--job", "job_file", metavar="FILE", help="The newest night of the job in FILE, instead of OUT.")
@click.option("--verify", is_flag=True, help="Look at every line and add up the totals anew; exit 10 when something is wrong.")
@click.option("--watch", is_flag=True, help="While a run is at it, tell every two seconds how far it is.")
@click.option(
    "--max-age",
    type=Duration(),
    metavar="TIME",
    help="For monitoring: exit 0 when a run has ended well within TIME, such as 26h, else 23.",
)
@click.option("--prices", metavar="FILE", help="Count money at the prices in FILE. [default: the run's own, else OpenAI's list]")
@json_option
def status(
    output: str | None,
    *,
    job_file: str | None,
    verify: bool,
    watch: bool,
    max_age: float | None,
    prices: str | None,
    as_json: bool,
) -> int:
    """Tell how OUT stands: running or not, rows by status, what failed and why, tokens and cost of all its runs.

    With --job, OUT is that of the job's newest night, and a good end that of any of its nights.

    It ends with 0 when OUT is finished and well, 10 when some rows are not ok, 75 while a run is at it, 20 when the last run
    was interrupted, 21 when it died, 22 when it is stuck (batch-runner help exit-codes).

    With --verify, every line that is torn, unknown, repeated or doesn't add up is named by its number, and only that decides
    the exit status.

    \b
    Example:
      batch-runner status prompts.results.jsonl
      batch-runner status prompts.results.jsonl --json | jq .rows
      batch-runner status prompts.results.jsonl --watch
      batch-runner status --job jobs/nightly.toml --max-age 26h || alert
      batch-runner status prompts.results.jsonl --verify
    """
    from batch_runner.output.history import History
    from batch_runner.reporters.voice import show
    from batch_runner.results.standing import standing_document, standing_lines, standing_of

    asked = _asked(output, job_file)
    if watch:
        with _looking_away():
            _watch(asked.path, asked.name, as_json=as_json)
    with History(asked.path) as history:
        standing = standing_of(history, prices)
        if asked.last_good_end is not None:
            standing = replace(standing, last_good_end=asked.last_good_end)
        if not as_json:
            for line in (*standing_lines(standing, asked.name), *_age_lines(standing, max_age)):
                show(line)
        faults = _verified(history, at_work=standing.at_work, aloud=not as_json) if verify else []
    ends_with = _exit_status(standing, max_age) if not verify else 10 * bool(faults)
    if as_json:
        found: dict[str, Any] = {"verify": {"well": not faults, "faults": faults}} if verify else {}
        print_json(standing_document(standing) | {"exit_status": ends_with} | found)
    return ends_with


@dataclass(frozen=True, slots=True)
class _Asked:
    """What `status` is asked about."""

    path: Path
    name: str
    """As it is shown."""
    last_good_end: str | None = None
    """When any night of a job ended well last; `None` where only the output is asked about."""


def _asked(output: str | None, job_file: str | None) -> _Asked:
    if output is not None and job_file is None:
        return _Asked(Path(os.path.realpath(output)), output)
    if job_file is not None and output is None:
        return _newest_night(job_file)
    raise click.UsageError("it looks at one thing: name an output, or a job with --job FILE")


def _newest_night(job_file: str) -> _Asked:
    """The output of a job's newest night. Raises `CannotStart`."""
    from batch_runner.commands.terminal import shown
    from batch_runner.failures import CannotStart
    from batch_runner.nightly.diary import Diary
    from batch_runner.nightly.job_file import read_job
    from batch_runner.nightly.tonight import tonight
    from batch_runner.settings import read_settings

    job = read_job(job_file)
    night = tonight(job, time.time())
    nights = [*night.outputs.nights(), *night.outputs.packed()]
    path = max(nights)[1] if nights else night.output
    if not nights and not path.exists():
        raise CannotStart(f"{job_file}: the job {job.name} has no night yet, nothing stands at {shown(path)}")
    return _Asked(
        Path(os.path.realpath(path)), shown(path), Diary(night.diary).last_good_end(read_settings(job.settings).notify.fine)
    )


def _exit_status(standing: Standing, max_age: float | None) -> int:
    return standing.exit_status if max_age is None else standing.exit_status_for(max_age, time.time())


def _age_lines(standing: Standing, max_age: float | None) -> Iterator[str]:
    """Whether the last good end is fresh, where that was asked."""
    from batch_runner.reporters.wording import duration
    from batch_runner.results.states import seconds_since

    if max_age is None:
        return
    age = seconds_since(standing.last_good_end, time.time())
    if age is None:
        yield f"no run has ended well here: older than {duration(max_age)}"
    else:
        yield f"the last run that ended well did so {duration(age)} ago: {'fresh' if age <= max_age else 'too old'}"


@contextmanager
def _looking_away() -> Iterator[None]:
    """Ctrl-C ends the watching, and that is all it does: the run goes on."""
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(int(ExitStatus.INTERRUPTED)) from None


def _watch(path: Path, name: str, *, as_json: bool) -> None:
    """Tell how far the run is until it ends, from its heartbeat alone: reading a large output every two seconds would hurt."""
    import orjson
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from batch_runner.output.heartbeat import read_heartbeat
    from batch_runner.reporters.voice import show
    from batch_runner.results.standing import heartbeat_in_words
    from batch_runner.results.states import beats

    console = Console(soft_wrap=True, highlight=False)
    on_screen = console.is_terminal and not as_json
    with Live(console=console, auto_refresh=False, transient=True) if on_screen else nullcontext() as live:
        while beats(beat := read_heartbeat(path), time.time()):
            words = f"{name}: {beat['state']}: {heartbeat_in_words(beat)}"
            if live is not None:
                live.update(Text(words), refresh=True)
            else:
                show(orjson.dumps(beat).decode() if as_json else f"{beat['updated']} {words}")
            time.sleep(EVERY_SECONDS)


def _verified(history: History, *, at_work: bool, aloud: bool) -> list[dict[str, object]]:
    """What is wrong with the lines of an output; `aloud`, told as it is found."""
    from batch_runner.reporters.voice import show
    from batch_runner.reporters.wording import many, one_line, rows
    from batch_runner.results.verifying import Verification

    verification = Verification(history, at_work=at_work)
    faults = []
    for fault in verification.faults():
        faults.append(fault._asdict())
        if aloud:
            show(f"line {fault.line:,}: {fault.flaw}: {one_line(fault.told, 300)}")
    if aloud:
        end = "its totals are still to come, its lines are" if at_work else "lines and totals are"
        well = f"{end} well" if not faults else many(len(faults), "fault")
        show(f"verified {rows(verification.rows)}: {well}")
        if verification.replaced:
            show(f"besides, {many(verification.replaced, 'line')} replaced by later ones: compact removes what is replaced")
    return faults
