"""The settings about those who are told of a run: the groups `notify` and `log`."""

from __future__ import annotations

from dataclasses import dataclass

import click

from batch_runner.settings.facts import setting
from batch_runner.settings.kinds import Address, Command, Duration, Statuses

STDERR = "-"
"""The log that isn't a file."""
COMMANDS = ("before", "on_success", "on_failure", "after")
LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """Who is told of a run. None of it can fail a run, but for a command that is to come before it."""

    ping: str | None = setting(
        None,
        "A healthchecks-style address that is told of start and end: URL/start, URL, URL/EXIT-STATUS; @FILE holds it.",
        kind=Address(),
        metavar="URL|@FILE",
        sticks=False,
        secret=True,
    )
    webhook: str | None = setting(
        None,
        "An address that the summary is posted to as JSON when the run ends; @FILE holds it.",
        kind=Address(),
        metavar="URL|@FILE",
        sticks=False,
        secret=True,
    )
    notify: tuple[str, ...] = setting(
        (),
        "A service (mail, chat, …) that is told how the run ended, as an Apprise URL; @FILE holds it. Can be given again.",
        kind=Address(any_scheme=True),
        metavar="URL|@FILE",
        sticks=False,
        many=True,
        secret=True,
    )
    metrics: str | None = setting(
        None, "A file that is replaced with Prometheus metrics when the run ends.", metavar="FILE", sticks=False
    )
    summary: str | None = setting(
        None, "A file that is replaced with a summary in Markdown when the run ends.", metavar="FILE", sticks=False
    )
    before: tuple[str, ...] = setting(
        (),
        "A command to run before anything is read; the run doesn't begin if it fails. No shell: words, or a list in a job file.",
        kind=Command(),
        metavar="COMMAND",
        environment=False,
        sticks=False,
    )
    on_success: tuple[str, ...] = setting(
        (),
        "A command to run after a run that ends with 0.",
        kind=Command(),
        metavar="COMMAND",
        environment=False,
        sticks=False,
    )
    on_failure: tuple[str, ...] = setting(
        (),
        "A command to run after a run that ends with anything else.",
        kind=Command(),
        metavar="COMMAND",
        environment=False,
        sticks=False,
    )
    after: tuple[str, ...] = setting(
        (), "A command to run after any run.", kind=Command(), metavar="COMMAND", environment=False, sticks=False
    )
    fine: tuple[int, ...] = setting(
        (),
        "Exit statuses that are a success beside 0 for all who are told: 5,7 for a backfill that ends by its budget or deadline.",
        kind=Statuses(),
        metavar="STATUS,…",
        sticks=False,
    )
    notify_timeout: float = setting(
        30.0,
        "The longest that telling an address or a service may take, tries again included.",
        kind=Duration(),
        metavar="TIME",
        sticks=False,
    )
    command_timeout: float = setting(
        600.0, "The longest that one of these commands may take.", kind=Duration(), metavar="TIME", sticks=False
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged: one event a line."""

    log: str | None = setting(
        None,
        "A file that events are appended to, one a line; - is standard error, in place of what a person is told there.",
        metavar="FILE|-",
        sticks=False,
    )
    log_format: str = setting("text", "How an event is written.", kind=click.Choice(LOG_FORMATS), sticks=False)
    log_level: str = setting(
        "info",
        "The least that is logged. debug: every row and every retry; info: progress; warning: rows that failed.",
        kind=click.Choice(LOG_LEVELS),
        sticks=False,
    )
    log_texts: bool = setting(False, "Log what rows ask and what is answered, too.", kind=bool, sticks=False)
