"""`batch-runner job`: runs that a file describes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from batch_runner.commands.options import SettingsCommand, setting_options, settings_from
from batch_runner.commands.terminal import face_from, face_options


@click.group(no_args_is_help=False, invoke_without_command=True)
@click.pass_context
def job(ctx: click.Context) -> None:
    """Run what a job file describes.

    \b
    Example:
      batch-runner job check jobs/demo.toml
      batch-runner job run jobs/demo.toml
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _read_job(ctx: click.Context, _param: click.Parameter, name: str) -> Any:
    """Read the job file and make its settings the defaults of the other options: this one is read before them."""
    from batch_runner.nightly.job_file import read_job

    if ctx.resilient_parsing:
        return name
    described = read_job(name)
    ctx.default_map = described.settings
    return described


@job.command(cls=SettingsCommand)
@click.argument("file", metavar="FILE", is_eager=True, callback=_read_job)
@face_options
@setting_options
@click.pass_context
def run(ctx: click.Context, /, file: Any, **_settings: object) -> int:
    """Run the job in FILE, a TOML file: inputs, output, and the settings of `batch-runner run`. Flags given here win.

    \b
    Example:
      batch-runner job run jobs/demo.toml
      batch-runner job run jobs/demo.toml --concurrency 4
    """
    from batch_runner.commands.running import run_order
    from batch_runner.intent import Order

    order = Order(settings_from(ctx), file.inputs, Path(file.output) if file.output else None, job=file.name)
    return run_order(order, face_from(ctx))


@job.command()
@click.argument("file", metavar="FILE")
def check(file: str) -> int:
    """Look at the job in FILE: every mistake with its line, or what it comes to. Nothing is sent.

    \b
    Example:
      batch-runner job check jobs/demo.toml
    """
    from batch_runner.nightly.job_file import read_job

    described = read_job(file)
    click.echo(f"{file}: the job {described.name} is fine")
    return 0
