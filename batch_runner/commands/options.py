"""The settings table as click options, in sections of the help text."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from batch_runner.endpoint import OWN_KEY_VARIABLE
from batch_runner.failures import UsageMistake
from batch_runner.nearest import nearest
from batch_runner.settings import KEY_SETTINGS, Setting, Settings, read_settings, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

F = TypeVar("F", bound="Callable[..., Any]")

PREFIX = "BATCH_RUNNER_"
SOURCES = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP, ParameterSource.ENVIRONMENT, ParameterSource.COMMANDLINE)
"""Where a value can come from, the weakest first."""

SECTIONS = {
    "request": "What is asked",
    "limits": "How fast",
    "money": "What it costs",
    "retry": "Trying again",
    "rows": "Which rows",
    "ending": "How it ends",
    "disk": "When the disk fails",
    "notify": "Who is told",
    "log": "What is logged",
}

WORDS = "batch_runner.words"
"""Where a context keeps the words of its command."""


class SettingsCommand(click.Command):
    """A command whose help lists settings under the headings of their groups."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words: an argument that is read before the options may need one of them."""
        ctx.meta[WORDS] = tuple(args)
        return super().parse_args(ctx, args)

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


class SettingOption(click.Option):
    """An option whose complaints name the variable that a wrong value came from."""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Where the value stands: the flag, or the variable."""
        if ctx is not None and ctx.get_parameter_source(self.name or "") is ParameterSource.ENVIRONMENT:
            return f"{self.envvar} (in the environment)"
        return super().get_error_hint(ctx)


def setting_options(command: F) -> F:
    """Add an option for each setting."""
    return some_setting_options(*(entry.name for entry in table()))(command)


def some_setting_options(*names: str, **defaults: Any) -> Callable[[F], F]:
    """Add an option for each setting named, with a default of the command's own where one is given."""

    def add(command: F) -> F:
        for entry in reversed(list(table())):
            if entry.name in names:
                command = _option(replace(entry, default=defaults.get(entry.name, entry.default)))(command)
        return command

    return add


def settings_from(ctx: click.Context) -> Settings:
    """The settings that a command was given: flag, environment, `default_map` (a job file, a run line), default."""
    values = {entry.name: ctx.params[entry.name] for entry in table() if entry.name in ctx.params}
    _check_variables(values.get("api_key_env"))
    return read_settings(values | _keys_that_fit(ctx, values))


def without_secrets(words: Sequence[str]) -> list[str]:
    """The words of a command without the flags whose values are secret, so that it can be shown."""
    flags = {entry.flag for entry in table() if entry.facts.secret}
    kept: list[str] = []
    passed_over = False
    for word in words:
        if passed_over:
            passed_over = False
        elif word in flags:
            passed_over = True
        elif word.partition("=")[0] not in flags:
            kept.append(word)
    return kept


def without_pilot(words: Sequence[str]) -> list[str]:
    """A command line that goes on after a pilot."""
    dropped = {place + step for place, word in enumerate(words) if word == "--pilot" for step in (0, 1)}
    return [word for place, word in enumerate(words) if place not in dropped and not word.startswith("--pilot=")]


def _check_variables(key_variable: str | None) -> None:
    """Raise `UsageMistake` for a variable that is nearly one of ours: a misspelt cap on cost must not be no cap."""
    known = {entry.variable for entry in table() if entry.variable} | {OWN_KEY_VARIABLE, key_variable}
    endings = [name.removeprefix(PREFIX) for name in known if name]
    for name in os.environ:
        if name.startswith(PREFIX) and name not in known and (near := nearest(name.removeprefix(PREFIX), endings, 1)):
            raise UsageMistake(f"the variable {name} means nothing here; did you mean {PREFIX}{near[0]}?")


def _keys_that_fit(ctx: click.Context, values: dict[str, Any]) -> dict[str, None]:
    """Endpoint and key go together: what names the key is dropped when a stronger source names another endpoint, or another
    key. So `retry --endpoint elsewhere` doesn't take the remembered key there.
    """
    ranks = {name: _rank(ctx, name) for name in ("endpoint", *KEY_SETTINGS)}
    named = [name for name in KEY_SETTINGS if values.get(name) is not None]
    strongest = max((ranks[name] for name in named), default=0)
    return {
        name: None
        for name in named
        if ranks[name] < strongest or (ranks[name] < ranks["endpoint"] and _endpoint_at(ctx, ranks[name]) != values["endpoint"])
    }


def _rank(ctx: click.Context, name: str) -> int:
    source = ctx.get_parameter_source(name)
    return SOURCES.index(source) if source in SOURCES else 0


def _endpoint_at(ctx: click.Context, rank: int) -> Any:
    """The endpoint that the source of this rank names."""
    if SOURCES[rank] is ParameterSource.ENVIRONMENT:
        return os.environ.get("BATCH_RUNNER_ENDPOINT", ctx.params["endpoint"])  # set for this shell, whatever the endpoint
    return (ctx.default_map or {}).get("endpoint", "apicore")


def _option(entry: Setting) -> Callable[[F], F]:
    facts = entry.facts
    names = [*([facts.short] if facts.short else []), entry.flag, *facts.aliases, entry.name]
    if facts.kind is bool:
        if facts.environment:
            names[-2] = f"{entry.flag}/--no-{entry.flag[2:]}"
        return click.option(
            *names, cls=SettingOption, is_flag=True, default=entry.default, help=facts.help, envvar=entry.variable
        )
    return click.option(
        *names,
        cls=SettingOption,
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
