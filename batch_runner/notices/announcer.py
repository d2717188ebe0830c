"""Tells all whom the settings name how a run goes. Whoever can't be told is named in one line, and the run goes on."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from batch_runner.clock import timestamp
from batch_runner.exits import ExitStatus
from batch_runner.failures import BatchRunnerError, CannotStart
from batch_runner.intent import output_of
from batch_runner.notices import commands, metrics, ping, services
from batch_runner.notices.courier import Undelivered, address_of, deliver, shown
from batch_runner.notices.markdown import write_summary
from batch_runner.notices.news import News
from batch_runner.reporters.several import Several
from batch_runner.reporters.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from batch_runner.clock import Clock
    from batch_runner.intent import Order
    from batch_runner.notices.log import EventLog
    from batch_runner.progress import Reporter, RunReport

START_SECONDS = 5.0
"""The longest that telling of a beginning may keep rows from being sent."""

JSON, TEXT = "application/json", "text/plain; charset=utf-8"


class Announcer:
    """Tells of one run: before it, at its start, at its end or why it didn't begin. Made by `announcing`."""

    def __init__(self, order: Order, say: Callable[[str], None], clock: Clock, log: EventLog | None) -> None:
        self._whom = order.settings.notify
        self._output = _output(order)
        self._name = name_of(order)
        self._say = say
        self._clock = clock
        self._log = log
        self._rid = str(uuid.uuid4())

    @property
    def reporter(self) -> Reporter:
        """What is to be told of the run while it goes on: the log, if there is one."""
        return Several() if self._log is None else self._log

    async def before(self) -> None:
        """Run the command that is to come before. Raises `CannotStart` when it fails: what it prepares is missing."""
        words = self._whom.before
        if not words:
            return
        try:
            await commands.run_command(words, commands.facts_before(self._name), seconds=self._whom.command_timeout)
        except Undelivered as why:
            raise CannotStart(f"--before {words[0]}: {why}; nothing was sent") from None

    async def started(self) -> None:
        """Tell that the run begins."""
        if self._whom.ping is not None:
            seconds = min(START_SECONDS, self._whom.notify_timeout)
            await self._told("--ping", self._whom.ping, lambda url: self._pinged(ping.start_url(url, self._rid), b"", seconds, 1))

    async def ended(self, report: RunReport, command: Sequence[str] = ()) -> None:
        """Tell how the run ended; `command` is how it was called, without secrets."""
        await self._tell(News.of(report, self._name, timestamp(self._clock()), command, fine=self._whom.fine))

    async def refused(self, error: BaseException) -> None:
        """Tell that no run began, or that it broke; not where another one is at it, which tells its own end."""
        status, reason = _why(error)
        if self._log is not None:
            self._log.refused(status, reason)
        if status is not ExitStatus.BUSY:
            await self._tell(News.refused(status, reason, self._name, self._output, timestamp(self._clock())))

    async def _tell(self, news: News) -> None:
        """Tell everybody. Not even a fault of ours in here may make a good night a bad one."""
        try:
            await self._tell_all(news)
        except Exception as bug:  # noqa: BLE001 - the run is over, and what it was doesn't change
            self._failed(f"a fault in batch-runner kept others from being told ({type(bug).__name__}: {one_line(str(bug))})")

    async def _tell_all(self, news: News) -> None:
        whom = self._whom
        self._written("--metrics", whom.metrics, lambda path: metrics.write_metrics(path, news))
        self._written("--summary", whom.summary, lambda path: write_summary(path, news))
        await asyncio.gather(*self._addressed(news))
        facts = commands.facts_after(news)
        end = ("--on-success", whom.on_success) if news.well else ("--on-failure", whom.on_failure)
        for flag, words in (end, ("--after", whom.after)):
            if words:
                await self._ran(flag, words, facts)

    def _addressed(self, news: News) -> Iterator[Awaitable[None]]:
        """Everybody with an address, told side by side."""
        import orjson  # noqa: PLC0415 - only where something is posted

        whom, seconds = self._whom, self._whom.notify_timeout
        status = 0 if news.well else int(news.exit_status)
        if whom.ping is not None:
            body = ping.body_of(news)
            yield self._told("--ping", whom.ping, lambda url: self._pinged(ping.end_url(url, status, self._rid), body, seconds))
        if whom.webhook is not None:
            document = orjson.dumps(news.document)
            yield self._told("--webhook", whom.webhook, lambda url: deliver(url, document, JSON, seconds=seconds))
        for address in whom.notify:
            yield self._told("--notify", address, lambda url: services.tell_service(url, news, seconds=seconds))

    @staticmethod
    async def _pinged(url: str, body: bytes, seconds: float, attempts: int = 3) -> None:
        await deliver(url, body, TEXT, seconds=seconds, attempts=attempts)

    async def _told(self, flag: str, address: str, tell: Callable[[str], Awaitable[None]]) -> None:
        """Tell one address, or say why that didn't work, without what is secret in it."""
        name = address
        try:
            url = address_of(address)
            name = shown(url)
            await tell(url)
        except Undelivered as why:
            self._failed(f"{flag} {name}: {why}")
        except ValueError:  # `http://[::1`; the error would tell the address
            self._failed(f"{flag}: that address can't be used")

    def _written(self, flag: str, name: str | None, write: Callable[[Path], None]) -> None:
        """Write one file, or say why that didn't work."""
        if name is None:
            return
        try:
            write(Path(name).expanduser())
        except Exception as why:  # noqa: BLE001 - whatever it is (`~nobody`, a NUL in the name): others are still to be told
            self._failed(f"{flag} {name}: {why}")

    async def _ran(self, flag: str, words: Sequence[str], facts: Mapping[str, str]) -> None:
        """Run one command, or say why that didn't work."""
        try:
            await commands.run_command(words, facts, seconds=self._whom.command_timeout)
        except Undelivered as why:
            self._failed(f"{flag} {words[0]}: {why}")

    def _failed(self, line: str) -> None:
        self._say(line)
        if self._log is not None:
            self._log.notice_failed(line)


@contextmanager
def announcing(order: Order, say: Callable[[str], None], clock: Clock = time.time) -> Iterator[Announcer]:
    """Whoever tells of the run that `order` asks for; `say` is told of those who couldn't be."""
    log = _log(order, say)
    try:
        yield Announcer(order, say, clock, log)
    finally:
        if log is not None:
            log.close()


def _log(order: Order, say: Callable[[str], None]) -> EventLog | None:
    """The log, where one is wanted and can be opened: a night isn't lost for it."""
    if order.settings.log.log is None:
        return None
    from batch_runner.notices.log import EventLog  # noqa: PLC0415 - structlog takes 0.1 s

    try:
        return EventLog(order.settings.log, name_of(order), say)
    except Undelivered as why:
        say(f"--log {order.settings.log.log}: {why}; the run goes on without it")
        return None


def name_of(order: Order) -> str:
    """What a run is called: as its job, else as its output."""
    output = _output(order)
    return order.job or ("" if output is None else output.name)


def _output(order: Order) -> Path | None:
    with suppress(BatchRunnerError):
        return output_of(order)
    return None


def _why(error: BaseException) -> tuple[ExitStatus, str]:
    """The exit status that comes of an error, and its words."""
    if isinstance(error, BatchRunnerError):
        return error.exit_status, str(error)
    if isinstance(error, SystemExit) and error.code in set(ExitStatus):
        return ExitStatus(int(error.code or 0)), "told to leave; nothing was sent"
    return ExitStatus.BUG, f"a fault in batch-runner ({type(error).__name__})"
