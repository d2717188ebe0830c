"""`batch-runner job`: runs that a file describes."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

import click

from batch_runner.commands.options import SettingsCommand, setting_options, settings_from
from batch_runner.commands.rehearsing import dry_run_option, pilot_option
from batch_runner.commands.terminal import face_from, face_options, json_option
from batch_runner.settings.kinds import Count, TimeOfDay


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
@click.option("--fail-on-drift", is_flag=True, help="End with 11 instead of 0 when the night departs from those before it.")
@click.option("--wait", is_flag=True, help="Wait while another run of the job is at work, instead of ending with 75.")
@click.option(
    "--night",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="Run the night of this date. Default: an unfinished one, else the one it is now.",
)
@face_options
@dry_run_option
@pilot_option
@setting_options
@click.pass_context
def run(
    ctx: click.Context,
    /,
    file: Any,
    *,
    wait: bool,
    night: datetime | None,
    dry_run: bool,
    pilot: int | None,
    fail_on_drift: bool,
    **_settings: object,
) -> int:
    """Run the job in FILE, a TOML file: inputs, output, and the settings of `batch-runner run`. Flags given here win.

    A second start while one is at work ends with 75. One that was stopped or killed goes on when it is started again.

    \b
    Example:
      batch-runner job run jobs/demo.toml
      batch-runner job run jobs/demo.toml --dry-run
      batch-runner job run jobs/demo.toml --concurrency 4
    """
    from batch_runner.commands.nightly import rehearse_job, run_job

    day = night.date() if night else None
    if dry_run:
        return rehearse_job(file, settings_from(ctx), face_from(ctx), day=day)
    return run_job(file, settings_from(ctx), face_from(ctx), day=day, wait=wait, fail_on_drift=fail_on_drift, pilot=pilot)


@job.command()
@click.argument("file", metavar="FILE")
@json_option
def check(file: str, *, as_json: bool) -> int:
    """Look at the job in FILE: every mistake with its line, or what it comes to now. Nothing is sent.

    Ends with 2 when the file is wrong, and with 3 when inputs, a key or whom to tell, as it names them, aren't there (yet).

    \b
    Example:
      batch-runner job check jobs/demo.toml
    """
    from batch_runner.commands.nightly import check_job
    from batch_runner.nightly.job_file import read_job

    return check_job(read_job(file), as_json=as_json)


@job.command()
@click.argument("file", metavar="FILE")
@click.option("--for", "scheduler", type=click.Choice(["cron", "systemd"]), required=True, help="Whom the text is for.")
@click.option("--at", type=TimeOfDay(), metavar="HH:MM", help="When it starts. Default: `start_at` in FILE.")
def schedule(file: str, scheduler: str, at: time | None) -> int:
    """Print the text that has cron or systemd run the job in FILE each night, ready to be pasted.

    \b
    Example:
      batch-runner job schedule jobs/nightly.toml --for cron
      batch-runner job schedule jobs/nightly.toml --for systemd --at 22:00 | sh
    """
    from batch_runner.commands.nightly import schedule_job
    from batch_runner.nightly.job_file import read_job

    return schedule_job(read_job(file), scheduler, at)


@job.command()
@click.argument("file", metavar="FILE")
@click.option("--last", type=Count(), default=30, metavar="N", help="The last N nights. [default: 30]")
@click.option("--fail-on-drift", is_flag=True, help="End with 11 when the last night departs from those before it.")
@json_option
def history(file: str, *, last: int, fail_on_drift: bool, as_json: bool) -> int:
    """Tell the nights of the job in FILE, one line each; one that departs from those before it is marked with !.

    \b
    Example:
      batch-runner job history jobs/nightly.toml
      batch-runner job history jobs/nightly.toml --json | jq '.nights[-1].ok_share'
    """
    from batch_runner.commands.looking_back import tell_history
    from batch_runner.nightly.job_file import read_job

    return tell_history(read_job(file), last=last, as_json=as_json, fail_on_drift=fail_on_drift)


@job.command()
@click.argument("file", metavar="FILE")
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
def tidy(file: str, *, dry_run: bool) -> int:
    """Put away the outputs of old nights as `keep` and `keep_packed` in FILE say; a run does so at its end.

    Never touched: the newest night, an output that a run holds, one with rows that have no last word.

    \b
    Example:
      batch-runner job tidy jobs/nightly.toml --dry-run
      batch-runner job tidy jobs/nightly.toml
    """
    from batch_runner.commands.nightly import tidy_job
    from batch_runner.nightly.job_file import read_job

    return tidy_job(read_job(file), dry=dry_run)
