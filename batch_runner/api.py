"""`run_file`: one call that runs a batch."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_runner.execution import carry_out
from batch_runner.exits import ExitStatus
from batch_runner.failures import BatchRunnerError, CannotStart
from batch_runner.intent import Order
from batch_runner.loader import STDIN
from batch_runner.notices.announcer import announcing
from batch_runner.preflight import look_after, look_before, warnings
from batch_runner.preparation import prepare
from batch_runner.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from batch_runner.leaving import Leaving
    from batch_runner.progress import RunReport


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
    (`rpm="3k/min"`, `rpm=3000`). The environment is read for keys only. With `preflight=True`, which isn't the default here,
    the key's account is looked at before and after: see `notes` and `quotas` of the report.

    Setting `stop` drains the run: nothing new is sent, answers on their way are recorded, `exit_status` is 130.

    Raises a `BatchRunnerError` (`UsageMistake`, `CannotStart`, `OutputBusy`, `Bug`) for what the command ends with 2, 3, 75
    or 70 (3: before the first request); every other end is told in the report. Installs no signal handler, sets no event
    loop policy, asks nothing. Whoever couldn't be told of the run (`ping`, `webhook` and so on) is named in a warning of the
    logger `batch_runner`.
    """
    named = tuple(str(name) for name in ((inputs,) if isinstance(inputs, str | Path) else inputs))
    order = Order(read_settings({"preflight": False} | settings), named, None if output is None else Path(output))
    if STDIN in named:
        raise CannotStart("standard input is read by the command only: give a file")

    async def leave_when_told(leaving: Leaving) -> None:
        if stop is not None:
            await stop.wait()
            leaving.drain(ExitStatus.INTERRUPTED)

    with announcing(order, logging.getLogger("batch_runner").warning) as announcer:
        try:
            await announcer.before()
            with ExitStack() as held:
                prepared = await asyncio.to_thread(held.enter_context, prepare(order, clock=time.time))
                await announcer.started()
                account = await look_before(prepared)
                notes = tuple(await asyncio.to_thread(list, warnings(account, prepared)))
                report = await carry_out(prepared, reporter=announcer.reporter, watch=leave_when_told)
                report = replace(report, notes=notes, quotas=await look_after(prepared, account, report))
        except BatchRunnerError as error:
            await announcer.refused(error)
            raise
        await announcer.ended(report)
    return report


def run_file_sync(inputs: str | Path | Iterable[str | Path], output: str | Path | None = None, **settings: Any) -> RunReport:
    """`run_file` for code that isn't asynchronous; works inside a running event loop too, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(run_file(inputs, output, **settings))
    return _in_a_thread(lambda: asyncio.run(run_file(inputs, output, **settings)))


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
