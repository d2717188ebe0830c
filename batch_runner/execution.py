"""What was prepared -> how it ended. Builds the objects a run consists of, in one place, and runs them."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from batch_runner import __version__
from batch_runner.admission import Budget, Cap, Ceiling, Exposure, LocalAdmission
from batch_runner.admission.memory import Memory, Place, cache_folder
from batch_runner.alongside import alongside
from batch_runner.clock import compact_timestamp, timestamp
from batch_runner.deadline import leave_in_time
from batch_runner.endpoint import FAKE, FAKE_KEY, Endpoint, keyless_in_words
from batch_runner.exits import ExitStatus, gravest
from batch_runner.failures import BatchRunnerError, Bug, FailureKind, OutputLost
from batch_runner.growth import Growth, first_request
from batch_runner.health import Health
from batch_runner.intent import again_in_words
from batch_runner.leaving import AtStake, Leaving
from batch_runner.output.compact import compact, is_due
from batch_runner.output.journal import Journal
from batch_runner.output.lines import Run, run_line, totals_line
from batch_runner.output.rescue import Rescue
from batch_runner.preparation import Prepared, recorded_settings
from batch_runner.progress import RunReport
from batch_runner.records import NO_PAST, PromptRow
from batch_runner.reporters.heartbeat import Heartbeat
from batch_runner.reporters.several import Several
from batch_runner.reporters.wording import full_length_in_words, lines
from batch_runner.runner import Runner
from batch_runner.spending import CapReached
from batch_runner.state import State
from batch_runner.stencil import Stencil
from batch_runner.totals import Totals, as_rows_deserve
from batch_runner.transport import HttpTransport, most_connections
from batch_runner.worker import Patience, Worker

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.admission.finder import Learned
    from batch_runner.output.history import History
    from batch_runner.progress import Reporter
    from batch_runner.records import ChatRequest
    from batch_runner.settings import Settings

FIRST_SLOTS = 16
"""What may be in flight when a run begins that was told no number; the ceiling in the output is raised as it grows."""

Watch = Callable[[Leaving], Coroutine[Any, Any, None]]
"""Something that may ask a run to leave while it goes on."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What is left of a run whose last row is through."""

    state: State
    job: Totals
    """Of all runs of this output, this one included; rows as they stand."""
    unfinished_business: bool
    examples: dict[str, str]
    broken: Exception | None
    cap: CapReached | None = None


async def carry_out(prepared: Prepared, *, reporter: Reporter, watch: Watch | None = None, tidily: bool = True) -> RunReport:
    """Run what was prepared. Raises `Bug` when a fault of ours ended the run.

    `tidily`: replaced lines may be removed at its end; not while more is to be run over the same history.
    """
    reporter = Several(reporter, _heartbeat(prepared))
    if prepared.plan.nothing_to_do:
        return _nothing_to_do(prepared, reporter)
    if prepared.caps and (cap := await asyncio.to_thread(_cap_reached, prepared)):
        return _nothing_sent(prepared, reporter, ExitStatus.SPEND_CAP, str(cap), cap)
    async with AsyncExitStack() as open_things:
        endpoint = await _ready(prepared, open_things)
        leaving = Leaving(prepared.settings.ending.drain_timeout)
        if watch is not None:
            await open_things.enter_async_context(alongside(watch(leaving)))
        if prepared.deadline is not None:
            in_time = leave_in_time(leaving, prepared.deadline, time.time, time.monotonic, reporter.stopping)
            await open_things.enter_async_context(alongside(in_time))
        ending = await _send_all(prepared, endpoint, leaving, reporter)
        report = _report(prepared, ending)
        if tidily:
            report = await _whatever_comes(asyncio.to_thread(_compacted, report, prepared.history))
    reporter.ended(report)
    if ending.broken is not None and not isinstance(ending.broken, BatchRunnerError):
        raise Bug(f"{type(ending.broken).__name__}: {ending.broken}") from ending.broken
    return report


def _heartbeat(prepared: Prepared) -> Heartbeat:
    timeout = prepared.settings.request.timeout
    return Heartbeat(prepared.output, prepared.prices, job=prepared.order.job, timeout=timeout)


async def _ready(prepared: Prepared, open_things: AsyncExitStack) -> Endpoint:
    """The endpoint, started if it is the embedded one."""
    if prepared.real or prepared.plan.to_send == 0:
        return prepared.endpoint
    return await embedded(open_things)


async def embedded(open_things: AsyncExitStack) -> Endpoint:
    """The embedded endpoint, started; it ends with `open_things`."""
    from batch_runner.fake_server import FakeGateway  # noqa: PLC0415 - brings a web server along

    gateway = await open_things.enter_async_context(FakeGateway())
    return Endpoint(gateway.url, FAKE, FAKE_KEY)


async def _send_all(prepared: Prepared, endpoint: Endpoint, leaving: Leaving, reporter: Reporter) -> Ending:
    settings, plan = prepared.settings, prepared.plan
    before = replace(prepared.history.job_so_far(real=prepared.real), rows=plan.standing)
    run = _run_of(prepared)
    memory, place = _memory_of(prepared), Place(endpoint.chat_url, prepared.defaults.model)
    learned = await asyncio.to_thread(memory.recall, place, time.time()) if memory is not None else None
    reached: CapReached | None = None
    refuge = Rescue(prepared.output, run.id, prepared.refuges)
    with Journal(prepared.output, prepared.history.index.size, refuge=refuge, patience=settings.disk.wait_for_space) as journal:

        async def raise_to(ceiling: Ceiling) -> None:
            await journal.append(run_line(replace(run, ceiling=ceiling), before), synced=True)

        def stop_at_cap(cap: Cap, request: ChatRequest) -> None:
            nonlocal reached
            reached = CapReached.by(cap, request)
            leaving.reason = str(reached)
            reporter.stopping(leaving.reason)
            leaving.drain(ExitStatus.SPEND_CAP)

        exposure = Exposure(run.ceiling, raise_to)
        state = State(
            run_id=run.id,
            admission=_admission(settings, Budget(prepared.caps, stop_at_cap), exposure, leaving, reporter, learned),
            health=Health(asyncio.get_running_loop().time, max_wait=settings.limits.max_wait),
            journal=journal,
            totals=Totals(),
            reporter=reporter,
            leaving=leaving,
            clock=time.time,
        )
        leaving.patient.also(journal.wait_no_longer)
        leaving.at_stake = lambda: _at_stake(exposure, journal)
        try:
            await raise_to(run.ceiling)
        except OutputLost as lost:
            return Ending(state, before, unfinished_business=True, examples={}, broken=lost)
        runner = await _rows_sent(prepared, endpoint, state)
        if memory is not None and state.admission.learned is not None:
            await asyncio.to_thread(memory.remember, place, state.admission.learned, time.time())
        job = replace(before.merge(state.totals), rows=+runner.standing)
        broken = runner.broken or await _record_totals(state, job)
    return Ending(state, job, runner.unfinished_business, runner.examples, broken, reached)


def _admission(
    settings: Settings, budget: Budget, exposure: Exposure, leaving: Leaving, reporter: Reporter, learned: Learned | None
) -> LocalAdmission:
    limits = settings.limits
    return LocalAdmission(
        concurrency=limits.concurrency,
        rpm=limits.rpm,
        tpm=limits.tpm,
        budget=budget,
        exposure=exposure,
        waits=leaving.patient,
        max_attempts=settings.retry.max_attempts,
        max_wait=limits.max_wait,
        most_in_flight=most_connections(),
        tell=reporter.decided if limits.explain_limits else None,
        learned=learned,
        random=random.random,
    )


async def _rows_sent(prepared: Prepared, endpoint: Endpoint, state: State) -> Runner:
    """Send what the plan says; the runner, when its last row is through."""
    settings, timeout = prepared.settings, prepared.settings.request.timeout
    patience = Patience(settings.retry.max_attempts, settings.limits.max_row_wait, Growth.of(settings))
    async with HttpTransport(endpoint, timeout=timeout, sends=state.leaving.sends, trust=prepared.trust) as transport:
        stencil = Stencil(prepared.defaults)
        worker = Worker(state, transport, stencil, prepared.prices, patience, endpoint.key, random.random)
        runner = Runner(prepared.plan, prepared.source, prepared.history, worker, state)
        state.reporter.started(state.run_id, prepared.plan.to_record)
        await runner.run()
    return runner


def _memory_of(prepared: Prepared) -> Memory | None:
    """Where limits are remembered; nowhere for the embedded endpoint, or where the user doesn't want it."""
    if prepared.settings.limits.no_learn or not prepared.real:
        return None
    return Memory(cache_folder(os.environ))


def _at_stake(exposure: Exposure, journal: Journal) -> AtStake:
    now = exposure.now
    return AtStake(now.attempts, now.prompt_tokens, now.completion_tokens, journal.unwritten)


async def _record_totals(state: State, job: Totals) -> OutputLost | None:
    """Close the run with its totals line; what stood in the way, if anything did."""
    try:
        await state.journal.append(totals_line(state.run_id, state.now(), job, state.totals), synced=True)
    except OutputLost as lost:
        return lost
    return None


def _run_of(prepared: Prepared) -> Run:
    now = time.time()
    slots = min(prepared.settings.limits.concurrency or FIRST_SLOTS, prepared.plan.to_send)
    return Run(
        id=f"{compact_timestamp(now)}-{secrets.token_hex(3)}",
        started_at=timestamp(now),
        endpoint=prepared.endpoint.host,
        program=f"batch-runner {__version__}",
        job=prepared.order.job,
        settings=recorded_settings(prepared.settings),
        inputs=prepared.order.inputs or (),
        ceiling=Ceiling().plus(prepared.plan.weighing.largest, slots),
    )


def _nothing_to_do(prepared: Prepared, reporter: Reporter) -> RunReport:
    status = as_rows_deserve(prepared.plan.standing, prepared.settings.ending.max_failed)
    return _nothing_sent(prepared, reporter, status, f"nothing to send: {_why_nothing(prepared)}")


def _why_nothing(prepared: Prepared) -> str:
    if prepared.plan.full_length:
        return full_length_in_words(prepared.plan.full_length)
    wanted = again_in_words(prepared.settings, retrying=prepared.order.inputs is None)
    return f"no row is {' or '.join(wanted)}" if wanted else "every row has its record"


def _cap_reached(prepared: Prepared) -> CapReached | None:
    """The cap that not even the first row fits under: a run would only add its own lines to the output, each time it is started.
    `None` where it fits, or where lines are to be recorded that can't be sent.
    """
    if prepared.plan.rejected:
        return None
    row, recorded = next(prepared.plan.items(prepared.source))
    assert isinstance(row, PromptRow)
    past = prepared.history.past(row.id) if recorded else NO_PAST
    request = first_request(row, past, Stencil(prepared.defaults), Growth.of(prepared.settings))
    full = next((cap for cap in prepared.caps if not cap.holds(request)), None)
    return None if full is None else CapReached.by(full, request)


def _nothing_sent(
    prepared: Prepared, reporter: Reporter, status: ExitStatus, reason: str, cap: CapReached | None = None
) -> RunReport:
    job = replace(prepared.history.job_so_far(real=prepared.real), rows=prepared.plan.standing)
    report = RunReport(job, Totals(), status, reason, prepared.output, prices=prepared.prices, cap=cap)
    reporter.ended(report)
    return report


def _report(prepared: Prepared, ending: Ending) -> RunReport:
    status, reason = _verdict(prepared, ending)
    state = ending.state
    return RunReport(
        ending.job,
        state.totals,
        status,
        reason,
        prepared.output,
        run_id=state.run_id,
        learned=state.admission.learned,
        examples=ending.examples,
        prices=prepared.prices,
        cap=ending.cap,
    )


def _verdict(prepared: Prepared, ending: Ending) -> tuple[ExitStatus, str]:
    """The exit status, and why the run ended before its rows did."""
    state, rows = ending.state, as_rows_deserve(ending.job.rows, prepared.settings.ending.max_failed)
    journal = state.journal
    if isinstance(ending.broken, OutputLost) or journal.lost is not None:
        why = ending.broken if journal.lost is None else journal.lost.strerror or journal.lost
        return ExitStatus.OUTPUT_LOST, f"{prepared.output} can't be written: {why}{_whereabouts(journal, prepared.output)}"
    if ending.broken is not None:
        return gravest(*state.leaving.causes, rows), str(ending.broken)
    if not state.leaving.causes or not ending.unfinished_business:
        return rows, ""
    reason = "told to leave; the same command goes on"
    if state.leaving.reason:
        reason = state.leaving.reason
    if (stop := state.health.stop) is not None:
        keyless = keyless_in_words(prepared.endpoint, prepared.settings) if stop.kind is FailureKind.INVALID_KEY else ""
        reason = f"{stop.kind}: {'; '.join(filter(None, (keyless, stop.message)))}"
    return gravest(*state.leaving.causes), reason


def _whereabouts(journal: Journal, output: Path) -> str:
    """Where the lines are that the output couldn't take, and what to do about it."""
    told = ""
    files = " and ".join(map(str, journal.rescues))
    if files and journal.removed:
        told = f"; all it held is in {files}: move that back to {output} first"
    elif files:
        told = f"; what it could not take is in {files}: the same command takes it in"
    if journal.lines_lost:
        told += f"; no place was found for {lines(journal.lines_lost)}"
    if journal.lines_doubtful:
        told += f"; {lines(journal.lines_doubtful)} may not have reached the disk, and no other place was found for them"
    return told


async def _whatever_comes(work: Coroutine[Any, Any, RunReport]) -> RunReport:
    """Wait for `work` to its end even when cancelled: the lock on the output must not go before the hand on it does."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _compacted(report: RunReport, history: History) -> RunReport:
    """Leave one line per row after a normal end."""
    if report.exit_status not in {ExitStatus.OK, ExitStatus.ROWS_NOT_OK}:
        return report
    index = history.read_on()
    if is_due(index.size, index.lines, index.dead_lines - 1):  # the totals line just written is alive
        try:
            compact(report.output, index)
        except OSError as error:
            return replace(report, reason=f"replaced lines stay in the output, it can't be compacted: {error.strerror}")
    return report
