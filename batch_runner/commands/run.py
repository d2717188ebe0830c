"""`batch-runner run`: the main job."""

from __future__ import annotations

from pathlib import Path

import click

from batch_runner.commands.options import SettingsCommand, setting_options, settings_from
from batch_runner.commands.rehearsing import dry_run as rehearse
from batch_runner.commands.rehearsing import dry_run_option, pilot_option
from batch_runner.commands.terminal import face_from, face_options


@click.command(cls=SettingsCommand)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-o", "--output", metavar="OUT", help="Where answers go. Default, for one input: NAME.results.jsonl beside it.")
@face_options
@dry_run_option
@pilot_option
@setting_options
@click.pass_context
def run(
    ctx: click.Context, /, inputs: tuple[str, ...], output: str | None, *, dry_run: bool, pilot: int | None, **_settings: object
) -> int:
    """Send each row of INPUT (JSONL, text, CSV, TSV, Parquet, globs, - for standard input) and append the answers to OUT.

    The same line again resumes.

    \b
    Example:
      batch-runner run prompts.jsonl --endpoint fake
      batch-runner run prompts.jsonl --dry-run
      batch-runner run prompts.jsonl -m o1-mini --max-completion-tokens 4096 -c 32 --rpm 500
      batch-runner run reviews.csv --template 'Classify: {text}' --where 'lang == "zh"'
      zcat rows.jsonl.gz | batch-runner run - -o answers.jsonl
    """
    from batch_runner.intent import Order

    order = Order(settings_from(ctx), inputs, Path(output) if output else None)
    if dry_run:
        return rehearse(order, face_from(ctx))

    from batch_runner.commands.running import run_order

    return run_order(order, face_from(ctx), pilot=pilot)
