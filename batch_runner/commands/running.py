"""What `run`, `retry` and `job run` share: prepare, tell what will be done, run under signals, sum up."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from batch_runner.chat import WITHOUT_SYSTEM
from batch_runner.commands.terminal import Face, print_json
from batch_runner.execution import carry_out
from batch_runner.exits import ExitStatus
from batch_runner.loader import STDIN
from batch_runner.output.kept_inputs import stdin_copy_path
from batch_runner.preparation import Order, Prepared, prepare
from batch_runner.reporters.lines import Lines
from batch_runner.reporters.several import Several
from batch_runner.reporters.summary import summary_document, summary_lines
from batch_runner.reporters.voice import tell
from batch_runner.reporters.wording import duration, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batch_runner.leaving import Leaving
    from batch_runner.progress import Reporter, RunReport
    from batch_runner.settings import Settings

SHOW_CURSOR = "\x1b[?25h"
"""The live line hides it."""

FRESH = "--fresh"
"""The flag that the command to go on with must not repeat."""

CAUSES = {
    signal.SIGINT: ExitStatus.INTERRUPTED,
    signal.SIGTERM: ExitStatus.TERMINATED,
    signal.SIGHUP: ExitStatus.TERMINATED,  # the terminal was closed
}


def run_order(order: Order, face: Face) -> int:
    """Run `order` as a command does; returns the exit status."""
    with prepare(order, clock=time.time, confirm=face.confirm()) as prepared:
        for line in _notes(prepared):
            face.say(line)
        reporter = _reporter(face)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            report = runner.run(_under_signals(prepared, reporter, face))
    _sum_up(report, order, face)
    return int(report.exit_status)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where the extra `fast` is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _under_signals(prepared: Prepared, reporter: Reporter, face: Face) -> RunReport:
    async def watch(leaving: Leaving) -> None:
        exits = _Exits(leaving, face)
        loop = asyncio.get_running_loop()
        heard = [number for number in CAUSES if signal.getsignal(number) is not signal.SIG_IGN]  # nohup means it
        for number in heard:
            loop.add_signal_handler(number, exits.asked, number)
        try:
            await asyncio.Event().wait()
        finally:
            for number in heard:
                loop.remove_signal_handler(number)

    return await carry_out(prepared, reporter=reporter, watch=watch)


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
        if self._times == 1:
            patience = duration(self._leaving.drain_timeout)
            self._say(
                f"leaving: nothing new is sent; up to {patience} for the answers on their way, which are paid for. "
                "Again: leave now",
            )
            self._leaving.drain(cause)
        elif self._times == 2:  # noqa: PLR2004 - the second
            self._say("leaving now: answers on their way are given up, and counted as maybe billed")
            self._leaving.hang_up(cause)
        else:
            self._say("gone" + (SHOW_CURSOR if self._face.live else ""))
            os._exit(int(cause))

    def _say(self, text: str) -> None:
        tell(("\n" if self._face.live else "") + text)


def _reporter(face: Face) -> Reporter:
    if face.live:
        from batch_runner.reporters.live import Live

        return Live(face.console(), verbose=face.verbose)
    return Several() if face.quiet else Lines(verbose=face.verbose)


def _notes(prepared: Prepared) -> Iterator[str]:
    """What is good to know before the first request."""
    plan, settings = prepared.plan, prepared.settings
    unreadable = prepared.history.index.unreadable_lines
    if unreadable:
        yield f"{shown(prepared.output)} has lines that can't be read ({unreadable:,}): their rows count as new"
    for name in prepared.left_out:
        yield f"passed over {name}: it is an output of batch-runner"
    if plan.left_out:
        yield f"{rows(plan.left_out)} of the input left out by {_choosers(settings)}"
    if plan.nothing_to_do:
        return
    parts = [
        (plan.new, "new"),
        (plan.again, "again"),
        (plan.changed, "changed"),
        (plan.rejected, "invalid"),
        (plan.kept, "done"),
    ]
    told = ", ".join(f"{count:,} {word}" for count, word in parts if count)
    yield f"{rows(plan.rows)}: {told} → {prepared.endpoint.host}, {shown(prepared.output)}"
    yield from _about_requests(prepared)


def _about_requests(prepared: Prepared) -> Iterator[str]:
    """What is unlike what somebody may expect of the requests."""
    plan, settings = prepared.plan, prepared.settings
    if plan.uncapped:
        most = plan.largest.completion
        yield f"{rows(plan.uncapped)} without --max-completion-tokens: an answer may use up to {most:,} tokens"
    if plan.as_written and (prepared.defaults.system or prepared.defaults.params):
        yield f"{rows(plan.as_written)} in OpenAI Batch form: sent as written, without the run's own parameters"
    if plan.ending_in_answer:
        yield f"{rows(plan.ending_in_answer)} with an answer of the assistant's at the end, sent so: --drop-answer cuts it off"
    if plan.cut:
        yield f"{rows(plan.cut)} without the answer that the conversation ends with; it travels in `extra`"
    if prepared.defaults.system and WITHOUT_SYSTEM.match(prepared.defaults.model):
        yield f"{prepared.defaults.model} takes no system messages: --system stands at the head of each first user turn"
    if settings.request.temperature not in (None, 1) and settings.request.model.startswith("o"):
        yield f"{settings.request.model} takes no temperature but 1: the service will probably refuse"


def _choosers(settings: Settings) -> str:
    chosen = [flag for flag, value in (("--where", settings.rows.where), ("--sample", settings.rows.sample)) if value]
    return " and ".join(chosen)


def _sum_up(report: RunReport, order: Order, face: Face) -> None:
    copy = shown(stdin_copy_path(report.output))  # where standard input can be read once more
    words = [copy if word == STDIN else word for word in sys.argv[1:] if word != FRESH]
    command = ["batch-runner", *words]
    if face.as_json:
        print_json(summary_document(report, command, report.output))
    if face.quiet:
        if report.reason and report.exit_status is not ExitStatus.OK:
            tell(report.reason)
        return
    name = str(order.output) if order.output is not None else shown(report.output)
    for line in summary_lines(report, command, name):
        tell(line)


def shown(path: Path) -> str:
    """A path as a user would type it here."""
    try:
        return str(path.relative_to(Path(os.path.realpath("."))))
    except ValueError:
        return str(path)
