"""The settings table as click options, in sections of the help text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from batch_runner.settings import Setting, Settings, read_settings, table

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

SECTIONS = {
    "request": "What is asked",
    "limits": "How fast",
    "retry": "Trying again",
    "rows": "Which rows",
    "ending": "How it ends",
}


class SettingsCommand(click.Command):
    """A command whose help lists settings under the headings of their groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, settings by group, the command's own last."""
        groups = {entry.name: SECTIONS[entry.group] for entry in table()}
        sections: dict[str, list[tuple[str, str]]] = {heading: [] for heading in (*SECTIONS.values(), "Options")}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                sections[groups.get(param.name or "", "Options")].append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


def setting_options(command: F) -> F:
    """Add an option for each setting."""
    for entry in reversed(list(table())):
        command = _option(entry)(command)
    return command


def settings_from(ctx: click.Context) -> Settings:
    """The settings that a command was given: flag, environment, `default_map` (a job file, a run line), default."""
    return read_settings({entry.name: ctx.params[entry.name] for entry in table()})


def _option(entry: Setting) -> Callable[[F], F]:
    facts = entry.facts
    names = [*([facts.short] if facts.short else []), entry.flag, *facts.aliases, entry.name]
    if facts.kind is bool:
        if facts.environment:
            names[-2] = f"{entry.flag}/--no-{entry.flag[2:]}"
        return click.option(*names, is_flag=True, default=entry.default, help=facts.help, envvar=entry.variable)
    return click.option(
        *names,
        type=facts.kind,
        default=entry.default or None,
        multiple=facts.many,
        help=facts.help + _default_told(entry),
        metavar=facts.metavar or None,
        envvar=entry.variable,
    )


def _default_told(entry: Setting) -> str:
    if entry.default in (None, ()):
        return ""
    return f" [default: {entry.default:g}s]" if isinstance(entry.default, float) else f" [default: {entry.default}]"
