"""`batch-runner check`: prompts looked at before a cent is spent."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batch_runner.commands.options import SettingsCommand, setting_options, settings_from
from batch_runner.commands.terminal import Face, color_option, json_option, print_json, width
from batch_runner.exits import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from batch_runner.check.inspection import Inspection, Read

SHOWN = 5


@click.command(cls=SettingsCommand)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-o", "--output", metavar="OUT", help="The output of the run: its rows count as done. Default as in `run`.")
@click.option(
    "--show", type=click.IntRange(min=1), default=SHOWN, help=f"How many rows to name of each thing found. [default: {SHOWN}]"
)
@color_option
@json_option
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors: the exit status tells.")
@setting_options
@click.pass_context
def check(ctx: click.Context, /, inputs: tuple[str, ...], output: str | None, show: int, **_settings: object) -> int:
    """Tell what `batch-runner run` with the same arguments would do: bad lines, repeats, what the model would refuse and how to
    mend it, tokens, cost, time. Nothing is sent or written; no key is needed.

    Exit status 0: nothing stands in the way; 10: some rows can't be sent or would be refused; 3: a run wouldn't begin.

    \b
    Example:
      batch-runner check prompts.jsonl
      batch-runner check 'data/*.jsonl' -o answers.jsonl -m o3-mini --rpm 500 --fix
      batch-runner check prompts.jsonl --json | jq .cost
    """
    from batch_runner.check.document import inspection_document
    from batch_runner.check.inspection import inspect
    from batch_runner.intent import Order

    face = Face(quiet=ctx.params["quiet"], as_json=ctx.params["as_json"], color=ctx.params["color"])
    order = Order(settings_from(ctx), inputs, Path(output) if output else None)
    with _progress(face) as onlooker:
        seen = inspect(order, named=show, onlooker=onlooker)
    if face.as_json:
        print_json(inspection_document(seen))
    elif not face.quiet:
        _tell(seen, face)
    return int(seen.exit_status)


def _tell(seen: Inspection, face: Face) -> None:
    from batch_runner.check.sections import last_line, sections
    from batch_runner.reporters.voice import show

    at_terminal = sys.stdout is not None and sys.stdout.isatty() and "NO_COLOR" not in os.environ
    bold = at_terminal if face.color == "auto" else face.color == "always"
    for heading, lines in sections(seen, width()):
        show(click.style(heading, bold=True) if bold else heading)
        for line in lines:
            show(line)
        show("")
    show(last_line(seen))
    if words := _next_words(sys.argv[1:], seen):
        show(f"next: {shlex.join(['batch-runner', *words])}")


def _next_words(words: Sequence[str], seen: Inspection) -> list[str]:
    """How to go on: with the run, or with what can be mended; nothing where somebody has to mend the input."""
    own = {"-q", "--quiet", "--json"}
    named = [place for place, word in enumerate(words) if word == "--show"]
    skipped = {*named, *(place + 1 for place in named)}
    kept = [
        word for place, word in enumerate(words) if place not in skipped and word not in own and not word.startswith("--show=")
    ]
    mendable = any(finding.refusal.mend for finding in seen.refused)
    if mendable and not seen.settings.request.fix:
        return [*kept, "--fix"]
    return ["run", *kept[1:]] if seen.exit_status is ExitStatus.OK else []


@contextmanager
def _progress(face: Face) -> Iterator[Callable[[Read], None] | None]:
    """A bar on a terminal, while the input is read."""
    if not face.live:
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("checking"), BarColumn(bar_width=30), TextColumn("{task.fields[lines]:,} rows"), TimeRemainingColumn())
    with Progress(*columns, console=face.console(), transient=True, refresh_per_second=4) as bar:
        task = bar.add_task("", total=None, lines=0)
        yield lambda read: bar.update(task, total=read.of_bytes, completed=read.bytes, lines=read.lines)
