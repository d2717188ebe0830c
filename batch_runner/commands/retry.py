"""`batch-runner retry`: the rows that failed, again."""

from __future__ import annotations

import os
from pathlib import Path

import click

from batch_runner.commands.options import WORDS, SettingsCommand, setting_options, settings_from
from batch_runner.commands.rehearsing import DRY_RUN, dry_run_option, pilot_option
from batch_runner.commands.rehearsing import dry_run as rehearse
from batch_runner.commands.terminal import face_from, face_options


def _take_over_settings(ctx: click.Context, _param: click.Parameter, output: str) -> str:
    """Make the settings of the run that made `output` the defaults of the other options: this one is read before them.

    The output is held from here to the end of the command, so that it is read once; only read for a dry run.
    """
    from batch_runner.failures import CannotStart
    from batch_runner.output.history import History, hold

    if ctx.resilient_parsing:
        return output
    path = Path(os.path.realpath(output))
    if not path.is_file():
        raise CannotStart(f"{output}: there is no such output")
    unlocked = "--no-lock" in ctx.meta[WORDS]  # not taken over from the earlier run: it is a word about now
    held = History(path) if DRY_RUN in ctx.meta[WORDS] else hold(path, by_kernel=not unlocked)
    history = ctx.obj = ctx.find_root().with_resource(held)
    if history.index.last_run is None:
        raise CannotStart(f"{output}: there is nothing in it")
    ctx.default_map = dict(history.index.last_run.settings)
    return output


@click.command(cls=SettingsCommand)
@click.argument("output", metavar="OUT", is_eager=True, callback=_take_over_settings)
@face_options
@dry_run_option
@pilot_option
@setting_options
@click.pass_context
def retry(ctx: click.Context, /, output: str, *, dry_run: bool, pilot: int | None, **_settings: object) -> int:
    """Send the rows of OUT again that failed or have no last word, with the settings of the run that made OUT.

    \b
    Example:
      batch-runner retry prompts.results.jsonl
      batch-runner retry prompts.results.jsonl --only truncated --max-completion-tokens 8192
      batch-runner retry prompts.results.jsonl --only timeout,server_error --timeout 20m
    """
    from batch_runner.intent import Order

    order = Order(settings_from(ctx), output=Path(output), history=ctx.obj)
    if dry_run:
        return rehearse(order, face_from(ctx))

    from batch_runner.commands.running import run_order

    return run_order(order, face_from(ctx), pilot=pilot)
