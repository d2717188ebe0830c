"""`run_file`: one call that runs a batch. Builds the objects a run consists of, and says how it ended."""

from __future__ import annotations

import asyncio
import random
import secrets
import threading
import time
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_runner import __version__
from batch_runner.admission import Ceiling, Exposure, LocalAdmission
from batch_runner.clock import compact_timestamp, timestamp
from batch_runner.endpoint import FAKE, FAKE_KEY, Endpoint
from batch_runner.exits import ExitStatus, gravest
from batch_runner.failures import BatchRunnerError, Bug, CannotStart, OutputLost
from batch_runner.health import Health
from batch_runner.leaving import Leaving
from batch_runner.loader import STDIN
from batch_runner.output.compact import compact, is_due
from batch_runner.output.index import read_index
from batch_runner.output.journal import Journal
from batch_runner.output.lines import Run, run_line
from batch_runner.preparation import Order, Prepared, prepare, recorded_settings
from batch_runner.progress import Outlook, RunReport, deserved
from batch_runner.reporters.heartbeat import Heartbeat
from batch_runner.reporters.several import Several
from batch_runner.runner import Runner
from batch_runner.settings import read_settings
from batch_runner.totals import Totals
from batch_runner.transport import HttpTransport
from batch_runner.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from batch_runner.progress import Reporter


async def run_file(
    inputs: str | Path | Iterable[str | Path],
    output: str | Path | None = None,
    *,
    stop: asyncio.Event | None = None,
    **settings: Any,
) -> RunReport:
    """Send every row of `inputs` that `output` has no answer for, and append what comes back.

    `inputs`: a path, a glob, or several of them. `output`: a JSONL file, by default `NAME.results.jsonl` beside a single
    input. `settings`: the flags of `batch-runner run` with `_` for `-`, values as on the command line or in their own type
    (`rpm="3k/min"`, `rpm=3000`). The environment is read for keys only.

    Setting `stop` drains the run: nothing new is sent, answers on their way are recorded, `exit_status` is 130.

    Raises a `BatchRunnerError` (`UsageMistake`, `CannotStart`, `OutputBusy`, `Bug`) for what the command ends with 2, 3, 75
    or 70 (3: before the first request); every other end is told in the report. Installs no signal handler, sets no event
    loop policy, asks nothing.
    """
    named = tuple(str(name) for name in ((inputs,) if isinstance(inputs, str | Path) else inputs))
    order = Order(read_settings(settings), named, None if output is None else Path(output))
    if STDIN in named:
        raise CannotStart("standard input is read by the command only: give a file")

    async def leave_when_told(leaving: Leaving) -> None:
        if stop is not None:
            await stop.wait()
            leaving.drain(ExitStatus.INTERRUPTED)

    with ExitStack() as held:
        prepared = await asyncio.to_thread(held.enter_context, prepare(order, clock=time.time))
        return await carry_out(prepared, reporter=Several(), watch=leave_when_told)


def run_file_sync(inputs: str | Path | Iterable[str | Path], output: str | Path | None = None, **settings: Any) -> RunReport:
    """`run_file` for code that isn't asynchronous; works inside a running event loop too, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(run_file(inputs, output, **settings))
    return _in_a_thread(lambda: asyncio.run(run_file(inputs, output, **settings)))


async def carry_out(prepared: Prepared, *, reporter: Reporter, watch: Callable[[Leaving], Any] | None = None) -> RunReport:
    """Run what was prepared. `watch` is a coroutine function that may ask the run to leave while it goes on.

    Raises `Bug` when a fault of ours ended the run.
    """
    if prepared.plan.nothing_to_do:
        return _nothing_to_do(prepared, reporter)
    async with AsyncExitStack() as open_things:
        endpoint = await _ready(prepared, open_things)
        leaving = Leaving(prepared.settings.ending.drain_timeout)
        reporter = Several(reporter, Heartbeat(prepared.output))
        if watch is not None:
            watching = asyncio.create_task(watch(leaving))
            open_things.callback(watching.cancel)
        report, broken = await _send_all(prepared, endpoint, leaving, reporter)
    report = _compacted(report)
    reporter.ended(report)
    if broken is not None and not isinstance(broken, BatchRunnerError):
        raise Bug(f"{type(broken).__name__}: {broken}") from broken
    return report


async def _ready(prepared: Prepared, open_things: AsyncExitStack) -> Endpoint:
    """The endpoint, started if it is the embedded one."""
    if prepared.real or prepared.plan.to_send == 0:
        return prepared.endpoint
    from batch_runner.fake_server import FakeGateway  # noqa: PLC0415 - brings a web server along

    gateway = await open_things.enter_async_context(FakeGateway())
    return Endpoint(gateway.url, FAKE, FAKE_KEY)


async def _send_all(
    prepared: Prepared, endpoint: Endpoint, leaving: Leaving, reporter: Reporter
) -> tuple[RunReport, Exception | None]:
    """Build the objects of a run in one place, run it, and say how it ended."""
    settings, plan = prepared.settings, prepared.plan
    job = replace(prepared.records.job_so_far(real=prepared.real), rows=plan.standing)
    line = _run_of(prepared)
    health = Health(asyncio.get_running_loop().time)
    with Journal(prepared.output) as journal:

        async def raise_to(ceiling: Ceiling) -> None:
            await journal.append(run_line(replace(line, ceiling=ceiling), job), synced=True)

        try:
            await raise_to(line.ceiling)
        except OutputLost as lost:
            reason = f"{prepared.output} can't be written: {lost}; nothing was sent"
            return RunReport(job, Totals(), ExitStatus.OUTPUT_LOST, reason, prepared.output), None
        admission = LocalAdmission(
            concurrency=settings.limits.concurrency,
            rpm=settings.limits.rpm,
            exposure=Exposure(line.ceiling, raise_to),
            waits=leaving.patient,
            random=random.random,
        )
        async with HttpTransport(endpoint, timeout=settings.request.timeout, sends=leaving.sends) as transport:
            worker = Worker(
                run_id=line.id,
                defaults=prepared.defaults,
                max_attempts=settings.retry.max_attempts,
                key=endpoint.key,
                admission=admission,
                transport=transport,
                health=health,
                journal=journal,
                totals=Totals(),
                reporter=reporter,
                leaving=leaving,
                clock=time.time,
                random=random.random,
            )
            reporter.started(_outlook(prepared, line.id))
            runner = Runner(
                plan,
                prepared.source,
                prepared.records,
                worker,
                job=job,
                concurrency=settings.limits.concurrency,
            )
            await runner.run()
    return _report(prepared, line.id, runner, health, leaving, journal), runner.broken


def _run_of(prepared: Prepared) -> Run:
    now = time.time()
    slots = min(prepared.settings.limits.concurrency, prepared.plan.to_send)
    return Run(
        id=f"{compact_timestamp(now)}-{secrets.token_hex(3)}",
        started_at=timestamp(now),
        endpoint=prepared.endpoint.host,
        program=f"batch-runner {__version__}",
        job=prepared.order.job,
        settings=recorded_settings(prepared.settings),
        inputs=prepared.order.inputs or (),
        ceiling=Ceiling().plus(prepared.plan.largest, slots),
    )


def _outlook(prepared: Prepared, run_id: str) -> Outlook:
    plan, settings = prepared.plan, prepared.settings
    return Outlook(
        run_id=run_id,
        output=prepared.output,
        endpoint=prepared.endpoint.host,
        model=settings.request.model,
        rows=plan.rows,
        to_send=plan.to_send,
        new=plan.new,
        again=plan.again,
        changed=plan.changed,
        rejected=plan.rejected,
        kept=plan.rows - plan.to_send - plan.rejected,
        concurrency=settings.limits.concurrency,
        rpm=settings.limits.rpm,
    )


def _nothing_to_do(prepared: Prepared, reporter: Reporter) -> RunReport:
    job = replace(prepared.records.job_so_far(real=prepared.real), rows=prepared.plan.standing)
    status = deserved(prepared.plan.standing, prepared.settings.ending.max_failed)
    only = prepared.settings.retry.only
    reason = f"nothing to send: no row is {' or '.join(only)}" if only else "nothing to send: every row has its record"
    report = RunReport(job, Totals(), status, reason, prepared.output)
    reporter.ended(report)
    return report


def _report(prepared: Prepared, run_id: str, runner: Runner, health: Health, leaving: Leaving, journal: Journal) -> RunReport:
    status, reason = _ending(prepared, runner, health, leaving, journal)
    return RunReport(runner.job_totals(), runner.totals, status, reason, prepared.output, run_id=run_id, examples=runner.examples)


def _ending(prepared: Prepared, runner: Runner, health: Health, leaving: Leaving, journal: Journal) -> tuple[ExitStatus, str]:
    """The exit status, and why the run ended before its rows did."""
    rows = deserved(runner.standing, prepared.settings.ending.max_failed)
    if isinstance(runner.broken, OutputLost):
        lost = f"; {journal.lines_lost} lines had no place" if journal.lines_lost else ""
        return ExitStatus.OUTPUT_LOST, f"{prepared.output} can't be written: {runner.broken}{lost}"
    if runner.broken is not None:
        return gravest(leaving.cause or ExitStatus.BUG, rows), str(runner.broken)
    if leaving.cause is None or not runner.unfinished_business:
        return rows, ""
    if leaving.cause is ExitStatus.STOPPED_BY_SERVICE and health.stop is not None:
        return leaving.cause, f"{health.stop.kind}: {health.stop.message}"
    return leaving.cause, "told to leave; the same command goes on"


def _compacted(report: RunReport) -> RunReport:
    """Leave one line per row after a normal end."""
    if report.exit_status not in {ExitStatus.OK, ExitStatus.ROWS_NOT_OK}:
        return report
    index = read_index(report.output)
    if is_due(index.size, index.lines, index.dead_lines - 1):  # the totals line just written is alive
        try:
            compact(report.output, index)
        except OSError as error:
            return replace(report, reason=f"replaced lines stay in the output, it can't be compacted: {error.strerror}")
    return report


def _in_a_thread(call: Callable[[], RunReport]) -> RunReport:
    """Run `call` in a thread of its own and hand on what it returns or raises."""
    outcome: list[RunReport | BaseException] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            outcome.append(error)

    thread = threading.Thread(target=run, name="run_file_sync")
    thread.start()
    thread.join()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]
