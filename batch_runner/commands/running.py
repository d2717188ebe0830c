"""What `run`, `retry` and `job run` share: prepare, tell what will be done, run under signals, sum up."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from batch_runner.commands.announcing import Obstacles, announce
from batch_runner.commands.notes import notes
from batch_runner.commands.options import without_pilot, without_secrets
from batch_runner.commands.signals import CAUSES, heard, leave_between, leaving_tidily, unless_told_to_leave
from batch_runner.commands.terminal import Face, folded, print_json, shown
from batch_runner.execution import carry_out
from batch_runner.exits import ExitStatus
from batch_runner.inquiry import Account
from batch_runner.loader import STDIN
from batch_runner.notices.announcer import announcing
from batch_runner.output.kept_inputs import stdin_copy_path
from batch_runner.preflight import look_after, look_before, warnings
from batch_runner.preparation import Prepared, prepare
from batch_runner.reporters.lines import Lines
from batch_runner.reporters.several import Several
from batch_runner.reporters.summary import summary_document, summary_lines
from batch_runner.reporters.systemd import Systemd
from batch_runner.reporters.voice import tell
from batch_runner.reporters.wording import duration, requests
from batch_runner.settings.notices import STDERR

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch_runner.commands.piloting import Send
    from batch_runner.intent import Order
    from batch_runner.leaving import AtStake, Leaving
    from batch_runner.nightly.book import Book
    from batch_runner.notices.announcer import Announcer
    from batch_runner.pricing import Prices
    from batch_runner.progress import Reporter, RunReport

SHOW_CURSOR = "\x1b[?25h"
"""The live line hides it."""

FRESH = "--fresh"
"""The flag that the command to go on with must not repeat."""

OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""While rows are sent."""


def run_order(order: Order, face: Face, book: Book | None = None, pilot: int | None = None) -> int:
    """Run `order` as a command does, and tell those who are to be told; returns the exit status. `book` keeps a job's history;
    so many rows go first as a `pilot`.
    """
    if pilot is not None:
        from batch_runner.commands.piloting import check_pilot

        check_pilot(order, face)
    events_only = order.settings.log.log == STDERR
    manager = Systemd()
    manager.ready()
    with announcing(order, _silence if events_only else tell) as announcer:
        with Obstacles(announcer, book):
            report = _run(order, replace(face, quiet=True) if events_only else face, announcer, manager, book, pilot)
        announce(announcer.ended(report, _command(report)))
    return int(report.exit_status)


def _run(order: Order, face: Face, announcer: Announcer, manager: Systemd, book: Book | None, pilot: int | None) -> RunReport:
    """How it ended."""
    with leaving_tidily():
        if order.settings.notify.before:
            asyncio.run(unless_told_to_leave(announcer.before()))
        with prepare(order, clock=time.time, confirm=face.confirm()) as prepared:
            for line in notes(prepared):
                face.say(line)
            _let_the_collector_rest()
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(unless_told_to_leave(announcer.started()))
                unheard = face.quiet and not face.as_json
                account = Account() if unheard else runner.run(unless_told_to_leave(look_before(prepared)))
                for line in warnings(account, prepared):
                    face.say(line)

                def send(part: Prepared, /, *more: Reporter, last: bool) -> RunReport:
                    reporter = Several(_reporter(part.prices, face), announcer.reporter, manager, *more)
                    return runner.run(_under_signals(part, reporter, face, manager, last=last))

                report = _sent(prepared, pilot, face, send)
                report = replace(report, quotas=runner.run(look_after(prepared, account, report)))
        if book is not None:
            report = book.judged(report)
        _sum_up(report, order, face)
    return report


def _sent(prepared: Prepared, pilot: int | None, face: Face, send: Send) -> RunReport:
    """How it ended, all at once or after a pilot."""
    if pilot is None:
        return send(prepared, last=True)
    from batch_runner.commands.piloting import send_in_two

    return send_in_two(prepared, pilot, face, send)


def _let_the_collector_rest() -> None:
    """What is there now stays to the end, and rows leave no cycles behind: looking for some costs a run a tenth of its CPU."""
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where there is one: on CPython."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _under_signals(prepared: Prepared, reporter: Reporter, face: Face, manager: Systemd, *, last: bool) -> RunReport:
    async def watch(leaving: Leaving) -> None:
        exits = _Exits(leaving, face)
        loop = asyncio.get_running_loop()
        numbers = heard()
        for number in numbers:
            loop.add_signal_handler(number, exits.asked, number)
        try:
            await manager.beat(leaving)
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)
                # all is written: when it was the last, nothing but the summary is left to end
                signal.signal(number, signal.SIG_IGN if last else leave_between)

    return await carry_out(prepared, reporter=reporter, watch=watch, tidily=last)


class _Exits:
    """What a first, a second and a third signal do."""

    def __init__(self, leaving: Leaving, face: Face) -> None:
        self._leaving = leaving
        self._face = face
        self._times = 0

    def asked(self, number: signal.Signals) -> None:
        """Drain, then hang up, then go at once: what was acknowledged is written whatever happens."""
        self._times += 1
        cause = CAUSES[number]
        at_stake = self._leaving.at_stake()
        if self._times == 1:
            self._say(what_is_waited_for(at_stake, self._leaving.drain_timeout))
            self._leaving.drain(cause)
        elif self._times == 2:  # noqa: PLR2004 - the second
            self._say(what_is_given_up(at_stake))
            self._leaving.hang_up(cause)
        else:
            self._say(what_is_lost(at_stake) + (SHOW_CURSOR if self._face.live else ""))
            os._exit(int(cause))

    def _say(self, text: str) -> None:
        tell(("\n" if self._face.live else "") + text)


def what_is_waited_for(at_stake: AtStake, patience: float) -> str:
    """The answer to a first Ctrl-C: what is waited for, how long, and what a kill would cost."""
    if not at_stake.requests:
        return "leaving: nothing new is sent, and no answer is on its way. Again: leave now"
    return (
        f"leaving: nothing new is sent; up to {duration(patience)} for the answers on their way to "
        f"{requests(at_stake.requests)}{_unwritten(at_stake)}; a kill now would lose up to {_tokens(at_stake)}, "
        "paid for. Again: leave now"
    )


def what_is_given_up(at_stake: AtStake) -> str:
    """The answer to a second one."""
    if not at_stake.requests:
        return "leaving now"
    return f"leaving now: {requests(at_stake.requests)} given up, up to {_tokens(at_stake)} counted as maybe billed"


def what_is_lost(at_stake: AtStake) -> str:
    """The answer to a third one."""
    return f"gone{_unwritten(at_stake)}"


def _unwritten(at_stake: AtStake) -> str:
    """Answers that a dead or a full disk keeps in memory."""
    return f" ({at_stake.unwritten} of them received and not written yet)" if at_stake.unwritten else ""


def _tokens(at_stake: AtStake) -> str:
    return f"{at_stake.prompt_tokens:,} prompt and {at_stake.completion_tokens:,} completion tokens"


def _reporter(prices: Prices, face: Face) -> Reporter:
    if face.live:
        from batch_runner.reporters.live import Live

        return Live(face.console(), prices, verbose=face.verbose)
    return Several() if face.quiet else Lines(prices, verbose=face.verbose)


def _silence(_line: str) -> None:
    """Standard error is a log: what went wrong stands there as an event."""


def _command(report: RunReport) -> list[str]:
    """The command that goes on: as it was called, without what is meant once or secret."""
    copy = shown(stdin_copy_path(report.output))  # where standard input can be read once more
    words = [copy if word == STDIN else word for word in without_secrets(sys.argv[1:]) if word != FRESH]
    return ["batch-runner", *without_pilot(words)]


def _sum_up(report: RunReport, order: Order, face: Face) -> None:
    command = _command(report)
    if face.as_json:
        print_json(summary_document(report, command, report.output))
    if face.quiet:
        if report.reason and report.exit_status is not ExitStatus.OK and order.settings.log.log != STDERR:
            tell(report.reason)
        return
    name = str(order.output) if order.output is not None else shown(report.output)
    for line in summary_lines(report, command, name):
        tell(folded(line))
