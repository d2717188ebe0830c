"""The group of all commands. Each is imported when it is called, so that `--help` and `--version` stay quick."""

from __future__ import annotations

import importlib
import platform
from pathlib import Path
from typing import Any

import click

from batch_runner import __version__

COMMANDS = {
    "run": ("batch_runner.commands.run", "run", "Send each row of INPUT and append the answers to OUT."),
    "retry": ("batch_runner.commands.retry", "retry", "Send the rows of OUT again that failed."),
    "check": ("batch_runner.commands.check", "check", "Tell what a run of INPUT would do, refuse, cost and take."),
    "status": ("batch_runner.commands.status", "status", "Tell how OUT stands."),
    "compact": ("batch_runner.commands.compact", "compact", "Rewrite OUT with one line for each row."),
    "prune": ("batch_runner.commands.prune", "prune", "Set aside the records in OUT whose rows left the input."),
    "merge": ("batch_runner.commands.merge", "merge", "Join outputs: shards, or what a full disk split."),
    "job": ("batch_runner.commands.job", "job", "Run what a job file describes."),
    "models": ("batch_runner.commands.models", "models", "List the models that a key may call."),
    "quota": ("batch_runner.commands.quota", "quota", "Tell what is left on a key."),
    "fake-server": (
        "batch_runner.fake_server.cli",
        "fake_server",
        "Serve the embedded o1 endpoint on a port of its own.",
    ),
    "help": ("batch_runner.commands.topics", "help_topic", "Explain a command, exit-codes, environment, input or output."),
}
"""Name, module, object, and the line in the list of commands, which would else have to be imported for it."""


class LazyGroup(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """The commands in the order people meet them."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Import one command."""
        if name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[name]
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names; raises `UsageError` with the likely meaning of another word."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            ctx.fail(f"there is no command {args[0]!r}{_meant_by(args[0])}")
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])


def _meant_by(word: str) -> str:
    if Path(word).is_file():
        return f"; to send its rows: batch-runner run {word}"
    from batch_runner.nearest import did_you_mean  # brings difflib along: for a mistake only

    return did_you_mean(word, COMMANDS)


def _version(ctx: click.Context, _param: click.Parameter, asked: Any) -> None:
    if asked and not ctx.resilient_parsing:
        click.echo(f"batch-runner {__version__} (Python {platform.python_version()}, {platform.system()} {platform.machine()})")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Send thousands of JSONL prompts to a chat endpoint: rate limited, retried, resumable, every token counted.

    \b
    Example:
      batch-runner run prompts.jsonl --endpoint fake     try it, free and offline
      batch-runner check prompts.jsonl                   what it would do, cost and take
      batch-runner run prompts.jsonl                     the real thing; the same line again resumes
      batch-runner retry prompts.results.jsonl           the rows that failed
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
