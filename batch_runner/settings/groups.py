"""The settings table. Each field is one setting; everything else (flags, environment, job keys, docs) is read off it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import time
from typing import TYPE_CHECKING, Any

import click

from batch_runner.settings.facts import Facts, setting
from batch_runner.settings.kinds import Count, Dollars, Duration, Factor, KeyValue, Rate, Share, States, TimeOfDay, VariableName
from batch_runner.settings.notices import LogSettings, NotifySettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
"""What reasoning models take, each a part of it (`ReasoningEffort` in OpenAI's API specification)."""


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """What is asked, of whom."""

    endpoint: str = setting(
        "apicore",
        "Where to send: apicore, openai, fake (built in, free, needs no key) or the URL of an OpenAI-compatible endpoint.",
        metavar="NAME|URL",
    )
    api_key_env: str | None = setting(None, "The variable that holds the key.", kind=VariableName(), metavar="NAME")
    api_key_file: str | None = setting(None, "A file that holds the key.", metavar="FILE")
    api_key_command: str | None = setting(
        None,
        "A command that prints the key: 'pass show apicore'. Run without a shell, once.",
        metavar="COMMAND",
        sticks=False,  # an output may come from somebody else: `retry` must not run what stands in it
    )
    model: str = setting("o1-mini", "The model of rows that name none.", short="-m")
    max_completion_tokens: int | None = setting(
        None,
        "The most tokens an answer may use, reasoning included. Not sent unless given.",
        kind=Count(),
        aliases=("--max-tokens",),
        metavar="N",
    )
    reasoning_effort: str | None = setting(None, "How hard a reasoning model thinks.", kind=click.Choice(EFFORTS))
    temperature: float | None = setting(None, "Sampling temperature. o1 and its successors take only 1.", kind=float, metavar="T")
    system: str | None = setting(
        None, "Instructions put before every row that has none of its own; @FILE reads them.", metavar="TEXT|@FILE"
    )
    template: str | None = setting(
        None,
        "The prompt, with a row's fields in braces: 'Classify: {text}'; @FILE reads it.",
        metavar="TEXT|@FILE",
    )
    prompt_field: str | None = setting(None, "The field of a row that holds its prompt or its messages.", metavar="NAME")
    id_field: str | None = setting(None, "The field of a row that holds its id.", metavar="NAME")
    drop_answer: bool = setting(
        False,
        "Cut the assistant's turns off the end of `messages`, as training data has them; they travel in `extra`.",
        kind=bool,
    )
    images_from: str | None = setting(
        None, "Send images that rows name by their path, if they lie below this folder.", metavar="FOLDER"
    )
    param: tuple[tuple[str, Any], ...] = setting(
        (),
        "Any other request parameter: JSON or a bare word. Can be given again.",
        kind=KeyValue(),
        metavar="KEY=VALUE",
        many=True,
    )
    fix: bool = setting(
        False,
        "Mend what the model is known to refuse: max_tokens, and instructions sent to o1-mini and o1-preview.",
        kind=bool,
    )
    timeout: float = setting(600.0, "The longest one attempt may take.", kind=Duration(), metavar="TIME")
    ca_bundle: str | None = setting(
        None, "A file of certificates (PEM) to trust instead of the system's; SSL_CERT_FILE does the same.", metavar="FILE"
    )
    preflight: bool = setting(
        True,
        "Look at the models and the quota of the key before rows are sent, and at its quota once more after.",
        kind=bool,
    )


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """How much at once, how fast."""

    concurrency: int | None = setting(
        None, "The most requests in flight. Found out, from 8 on, unless given.", kind=Count(), short="-c", metavar="N"
    )
    rpm: float | None = setting(None, "The most requests per minute. Found out unless given.", kind=Rate(), metavar="RATE")
    tpm: float | None = setting(
        None, "The most tokens per minute, prompt and completion, however the service counts them.", kind=Rate(), metavar="RATE"
    )
    no_learn: bool = setting(
        False,
        "Neither begin with what earlier runs found out about the service's limits, nor remember what this one does.",
        kind=bool,
    )
    explain_limits: bool = setting(False, "Tell each decision about limits in a line.", kind=bool)
    max_wait: float = setting(
        3600.0,
        "The longest a run waits for a service that asks for a pause or doesn't answer; then it stops, and can go on later.",
        kind=Duration(),
        metavar="TIME",
    )
    max_row_wait: float = setting(
        6 * 3600.0,
        "The longest a row is tried again after its first attempt; then it counts as failed.",
        kind=Duration(),
        metavar="TIME",
    )


@dataclass(frozen=True, slots=True)
class MoneySettings:
    """What it costs."""

    prices: str | None = setting(
        None, "A TOML file of what your endpoint asks. Without one, money is told at OpenAI's list prices.", metavar="FILE"
    )
    max_cost: float | None = setting(
        None,
        "The most that all runs of the output may cost, lost answers at their worst; then the run stops, and can go on later.",
        kind=Dollars(),
        metavar="USD",
    )
    max_total_tokens: int | None = setting(
        None, "The most tokens that all runs of the output may use, in the same way.", kind=Count(), metavar="N"
    )


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """How often a row is tried, and which rows are tried again."""

    max_attempts: int = setting(
        5, "The most attempts a row gets in one run. Being told to slow down costs none.", kind=Count(), metavar="N"
    )
    on_truncated: str = setting(
        "keep",
        "What becomes of an answer that its cap cut off: it is kept, or the row is asked again with a larger cap.",
        kind=click.Choice(("keep", "grow")),
    )
    grow_factor: float = setting(
        2.0,
        "By how much the cap of a truncated row grows, up to the most that the model writes.",
        kind=Factor(),
        metavar="X",
    )
    retry_failed: bool = setting(False, "Send the rows again that failed in earlier runs.", kind=bool)
    only: tuple[str, ...] = setting(
        (),
        "Send only rows in these states: truncated, refused, failed, unfinished, a failure kind, or all of them.",
        kind=States(),
        metavar="STATE,…",
        environment=False,
        sticks=False,
    )


@dataclass(frozen=True, slots=True)
class RowSettings:
    """Which rows a run is about."""

    limit: int | None = setting(
        None,
        "Only the first N rows of the input (after --where and --sample), done or not.",
        kind=Count(),
        short="-n",
        metavar="N",
        environment=False,
        sticks=False,
    )
    where: str | None = setting(
        None,
        'Only rows for which this holds: lang == "zh" and len(text) > 80.',
        metavar="CONDITION",
        environment=False,
        sticks=False,
    )
    sample: int | None = setting(
        None,
        "Only N rows at random, always the same for the same --seed.",
        kind=Count(),
        metavar="N",
        environment=False,
        sticks=False,
    )
    seed: int = setting(0, "Which random rows --sample and --pilot pick.", kind=int, metavar="S", environment=False, sticks=False)
    repeat: int = setting(1, "Send each row K times, as ID#1 to ID#K.", kind=Count(), metavar="K")
    strict: bool = setting(False, "Send nothing while a line of the input can't be sent.", kind=bool)
    rerun_changed: bool = setting(
        False,
        "Buy rows again whose request has changed since they were answered.",
        kind=bool,
        environment=False,
        sticks=False,
    )
    accept_other_endpoint: bool = setting(
        False,
        "Go on with an output that another endpoint made; its answers are kept.",
        kind=bool,
        environment=False,
        sticks=False,
    )
    fresh: bool = setting(
        False,
        "Start anew: what the output holds is moved to OUT.<UTC time>.bak.",
        kind=bool,
        environment=False,
        sticks=False,
    )


@dataclass(frozen=True, slots=True)
class EndingSettings:
    """How a run ends."""

    max_failed: str = setting(
        "0", "How many rows may be not ok for exit status 0: a number or a share.", kind=Share(), metavar="N|N%"
    )
    drain_timeout: float = setting(300.0, "How long Ctrl-C waits for the requests in flight.", kind=Duration(), metavar="TIME")
    stop_at: time | None = setting(
        None,
        "The time of the day at which the run is over, done or not; it drains before. The same line goes on later.",
        kind=TimeOfDay(),
        metavar="HH:MM",
        sticks=False,
    )
    max_duration: float | None = setting(
        None,
        "The longest the run may take, its drain included. The same line goes on later.",
        kind=Duration(),
        metavar="TIME",
        sticks=False,
    )


@dataclass(frozen=True, slots=True)
class DiskSettings:
    """What is done when the disk fails."""

    wait_for_space: float = setting(
        3600.0, "How long a full disk is waited for before the run ends.", kind=Duration(), metavar="TIME"
    )
    rescue_dir: str | None = setting(
        None,
        "Where answers go that OUT can't take. Default: beside OUT; failing that your home, then the temporary folder.",
        metavar="FOLDER",
    )
    lock: bool = setting(
        True, "Keep other runs off OUT. --no-lock is for file systems without locks: then only OUT.status.json does.", kind=bool
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a run can be told, in groups; one table of a job file each."""

    request: RequestSettings = RequestSettings()
    limits: LimitSettings = LimitSettings()
    money: MoneySettings = MoneySettings()
    retry: RetrySettings = RetrySettings()
    rows: RowSettings = RowSettings()
    ending: EndingSettings = EndingSettings()
    disk: DiskSettings = DiskSettings()
    notify: NotifySettings = NotifySettings()
    log: LogSettings = LogSettings()

    def flat(self) -> dict[str, Any]:
        """Every setting by its name."""
        return {entry.name: getattr(getattr(self, entry.group), entry.name) for entry in table()}


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the table."""

    name: str
    group: str
    default: Any
    facts: Facts

    @property
    def flag(self) -> str:
        """The long flag, `--max-attempts`."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str | None:
        """The environment variable, or `None` for what an inherited environment must not set."""
        return f"BATCH_RUNNER_{self.name.upper()}" if self.facts.environment else None


def table() -> Iterator[Setting]:
    """All settings in the order of the groups."""
    for group in fields(Settings):
        for entry in fields(group.default):  # type: ignore[arg-type]  # a group's default is a dataclass
            yield Setting(entry.name, group.name, entry.default, entry.metadata["facts"])


def build(values: Mapping[str, Any], convert: Callable[[Setting, Any], Any]) -> Settings:
    """Settings from values by name, each passed through `convert`; names must exist. What is missing has its default."""
    by_group: dict[str, dict[str, Any]] = {group.name: {} for group in fields(Settings)}
    for entry in table():
        if entry.name in values:
            by_group[entry.group][entry.name] = convert(entry, values[entry.name])
    groups: dict[str, Any] = {group.name: type(group.default) for group in fields(Settings)}
    return Settings(**{name: group(**by_group[name]) for name, group in groups.items()})
