"""What `run`, `retry` and `job run` share: prepare, tell what will be done, run under signals, sum up."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from batch_runner.commands.announcing import Refusals, announce
from batch_runner.commands.options import without_secrets
from batch_runner.commands.preflight import look_after, look_before, warnings
from batch_runner.commands.signals import CAUSES, heard, leaving_tidily, unless_told_to_leave
from batch_runner.commands.terminal import Face, print_json
from batch_runner.endpoint import is_loopback
from batch_runner.execution import carry_out
from batch_runner.exits import ExitStatus
from batch_runner.loader import STDIN
from batch_runner.models import family_of
from batch_runner.notices.announcer import announcing
from batch_runner.output.kept_inputs import stdin_copy_path
from batch_runner.preparation import Prepared, prepare
from batch_runner.reporters.lines import Lines
from batch_runner.reporters.several import Several
from batch_runner.reporters.summary import summary_document, summary_lines
from batch_runner.reporters.systemd import Systemd
from batch_runner.reporters.voice import tell
from batch_runner.reporters.wording import choosers, duration, full_length_in_words, one_line, requests, rows
from batch_runner.settings.notices import STDERR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batch_runner.account import Quota
    from batch_runner.findings import Findings
    from batch_runner.intent import Order
    from batch_runner.leaving import AtStake, Leaving
    from batch_runner.nightly.book import Book
    from batch_runner.notices.announcer import Announcer
    from batch_runner.progress import Reporter, RunReport

MOST_FORETOLD = 5

SHOW_CURSOR = "\x1b[?25h"
"""The live line hides it."""

FRESH = "--fresh"
"""The flag that the command to go on with must not repeat."""


def run_order(order: Order, face: Face, book: Book | None = None) -> int:
    """Run `order` as a command does, and tell those who are to be told; returns the exit status. `book` keeps a job's history."""
    events_only = order.settings.log.log == STDERR
    manager = Systemd()
    manager.ready()
    with announcing(order, _silence if events_only else tell) as announcer:
        with Refusals(announcer, book):
            report, quotas = _run(order, replace(face, quiet=True) if events_only else face, announcer, manager, book)
        announce(announcer.ended(report, _command(report), quotas))
    return int(report.exit_status)


def _run(
    order: Order, face: Face, announcer: Announcer, manager: Systemd, book: Book | None
) -> tuple[RunReport, tuple[Quota, Quota] | None]:
    """How it ended, and the key's quota before and after, where that was told."""
    with leaving_tidily():
        if order.settings.notify.before:
            asyncio.run(unless_told_to_leave(announcer.before()))
        with prepare(order, clock=time.time, confirm=face.confirm()) as prepared:
            for line in _notes(prepared):
                face.say(line)
            reporter = Several(_reporter(face), announcer.reporter, manager)
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(unless_told_to_leave(announcer.started()))
                account = runner.run(unless_told_to_leave(look_before(prepared, face)))
                for line in warnings(account, prepared):
                    face.say(line)
                report = runner.run(_under_signals(prepared, reporter, face, manager))
                quotas = runner.run(look_after(prepared, account, report))
        if book is not None:
            report = book.judged(report)
        _sum_up(report, order, face, quotas)
    return report, quotas


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where there is one: on CPython."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _under_signals(prepared: Prepared, reporter: Reporter, face: Face, manager: Systemd) -> RunReport:
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
                signal.signal(number, signal.SIG_IGN)  # all is written: nothing but the summary is left to end

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


def _reporter(face: Face) -> Reporter:
    if face.live:
        from batch_runner.reporters.live import Live

        return Live(face.console(), verbose=face.verbose)
    return Several() if face.quiet else Lines(verbose=face.verbose)


def _notes(prepared: Prepared) -> Iterator[str]:
    """What is good to know before the first request."""
    yield from _found(prepared)
    if not prepared.plan.nothing_to_do:
        yield _plan_told(prepared)
        yield from _warnings(prepared)


def _found(prepared: Prepared) -> Iterator[str]:
    plan = prepared.plan
    unreadable = prepared.history.index.unreadable_lines
    if unreadable:
        yield f"{shown(prepared.output)} has lines that can't be read ({unreadable:,}): their rows count as new"
    for path in prepared.taken_in:
        yield f"took in what the last run had to put into {shown(path)}"
    for name in prepared.left_out:
        yield f"passed over {name}: it is an output of batch-runner"
    if plan.left_out:
        yield f"{rows(plan.left_out)} of the input left out by {choosers(prepared.settings)}"
    if plan.full_length and not plan.nothing_to_do:
        yield f"not sent again: {full_length_in_words(plan.full_length)}"


def _plan_told(prepared: Prepared) -> str:
    plan = prepared.plan
    parts = [
        (plan.new, "new"),
        (plan.again, "again"),
        (plan.changed, "changed"),
        (plan.rejected, "invalid"),
        (plan.kept, "done"),
    ]
    told = ", ".join(f"{count:,} {word}" for count, word in parts if count)
    return f"{rows(plan.rows)}: {told} → {prepared.endpoint.host}, {shown(prepared.output)}"


def _warnings(prepared: Prepared) -> Iterator[str]:
    weighing, url = prepared.plan.weighing, prepared.endpoint.url
    if url.startswith("http://") and not is_loopback(prepared.endpoint.host):
        yield f"{url} isn't encrypted: key, prompts and answers can be read on the way"
    if weighing.uncapped:
        most = weighing.largest.completion
        yield f"{rows(weighing.uncapped)} without --max-completion-tokens: an answer may use up to {most:,} tokens"
    if weighing.as_written and (prepared.defaults.system or prepared.defaults.params):
        yield f"{rows(weighing.as_written)} in OpenAI Batch form: sent as written, without the run's own parameters"
    if weighing.ending_in_answer:
        ending = rows(weighing.ending_in_answer)
        yield f"{ending} with an answer of the assistant's at the end, sent so: --drop-answer cuts it off"
    if weighing.cut:
        yield f"{rows(weighing.cut)} without the answer that the conversation ends with; it travels in `extra`"
    if prepared.defaults.system and "system" in family_of(prepared.defaults.model).roles:
        yield f"{prepared.defaults.model} takes no system messages: --system stands at the head of each first user turn"
    for mend, count in weighing.findings.mended.items():
        yield f"--fix: {mend} in {rows(count)}"
    yield from _refusals_foretold(weighing.findings)


def _refusals_foretold(findings: Findings) -> Iterator[str]:
    """What the models are known to refuse, before it is paid for in time."""
    for finding in findings.refused[:MOST_FORETOLD]:
        ask = f"{rows(finding.named.rows)} ask{'s' if finding.named.rows == 1 else ''} {one_line(finding.model, 40)}"
        mends = ", --fix mends it" if finding.refusal.mend else ""
        yield f"{ask} for what it refuses ({finding.refusal.what}): batch-runner check tells more{mends}"
    if len(findings.refused) > MOST_FORETOLD:
        yield f"and {len(findings.refused) - MOST_FORETOLD} more that is refused"


def _silence(_line: str) -> None:
    """Standard error is a log: what went wrong stands there as an event."""


def _command(report: RunReport) -> list[str]:
    """The command that goes on: as it was called, without what is meant once or secret."""
    copy = shown(stdin_copy_path(report.output))  # where standard input can be read once more
    words = [copy if word == STDIN else word for word in without_secrets(sys.argv[1:]) if word != FRESH]
    return ["batch-runner", *words]


def _sum_up(report: RunReport, order: Order, face: Face, quotas: tuple[Quota, Quota] | None) -> None:
    command = _command(report)
    if face.as_json:
        print_json(summary_document(report, command, report.output, quotas))
    if face.quiet:
        if report.reason and report.exit_status is not ExitStatus.OK and order.settings.log.log != STDERR:
            tell(report.reason)
        return
    name = str(order.output) if order.output is not None else shown(report.output)
    for line in summary_lines(report, command, name, quotas):
        tell(line)


def shown(path: Path) -> str:
    """A path as a user would type it here; in `/`, where schedulers start things, in full."""
    here = Path(os.path.realpath("."))
    try:
        return str(path if here == Path("/") else path.relative_to(here))
    except ValueError:
        return str(path)
