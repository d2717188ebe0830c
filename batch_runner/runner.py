"""Runs a plan: the pool, the drain, the totals."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from batch_runner.clock import timestamp
from batch_runner.exits import ExitStatus
from batch_runner.failures import CannotStart, OutputLost
from batch_runner.output.lines import totals_line
from batch_runner.progress import Snapshot
from batch_runner.records import NO_PAST, PromptRow, Rejected, Result, Status
from batch_runner.totals import UNATTEMPTED, Totals

if TYPE_CHECKING:
    from batch_runner.loader import RowSource
    from batch_runner.output.records import Records
    from batch_runner.plan import Plan
    from batch_runner.worker import Worker

FEWEST_OPEN_ROWS = 256
OPEN_ROWS_PER_SLOT = 4
MOST_OPEN_BYTES = 64 * 1024 * 1024
TICK_SECONDS = 0.25


class Runner:
    """One execution of a plan. Rows go from `feed` through a worker into the journal; nothing else holds them."""

    def __init__(self, plan: Plan, source: RowSource, records: Records, worker: Worker, *, job: Totals, concurrency: int) -> None:
        self._plan = plan
        self._records = records
        self._worker = worker
        self._job = job
        self._feed = plan.items(source)
        self._open_rows = min(max(OPEN_ROWS_PER_SLOT * concurrency, FEWEST_OPEN_ROWS), plan.to_send + plan.rejected)
        self._open_bytes = 0
        self._room = asyncio.Event()
        self._recorded = 0
        self._began = asyncio.get_running_loop().time()
        self.standing = Counter(plan.standing)
        self.examples: dict[str, str] = {}
        self.broken: Exception | None = None
        """What ended the feed or a worker: unusable input, an output lost, or a bug."""

    async def run(self) -> None:
        """Send what the plan says, then write the totals. Whatever ends the run early, answers in flight are recorded first."""
        ticker = asyncio.create_task(self._tick())
        try:
            async with asyncio.TaskGroup() as pool:
                for _ in range(self._open_rows):
                    pool.create_task(self._work())
        finally:
            ticker.cancel()
        self._close_totals()
        if not isinstance(self.broken, OutputLost):
            await self._record_totals()
        self._worker.reporter.update(self._snapshot())

    @property
    def totals(self) -> Totals:
        """Of this run."""
        return self._worker.totals

    @property
    def unfinished_business(self) -> bool:
        """True when rows that the plan would send have no last word yet."""
        return self._recorded < self._plan.to_send + self._plan.rejected or bool(self.totals.rows[Status.UNFINISHED])

    def job_totals(self) -> Totals:
        """Of all runs of this output, this one included; rows as they stand."""
        merged = self._job.merge(self.totals)
        merged.rows = +self.standing
        return merged

    async def _work(self) -> None:
        """Take rows one after the other until there are none, or the run leaves."""
        while (item := await self._next()) is not None:
            row, recorded = item
            self._open_bytes += len(row.line)
            try:
                await self._handle(row, recorded=recorded)
            except OutputLost as lost:
                self._break_off(lost, ExitStatus.OUTPUT_LOST)
            except Exception as bug:  # noqa: BLE001 - a bug must not cost the answers that others are waiting for
                self._break_off(bug, ExitStatus.BUG)
            finally:
                self._open_bytes -= len(row.line)
                self._room.set()

    async def _next(self) -> tuple[PromptRow | Rejected, bool] | None:
        """The next row, once there is room for it; `None` when there is none, or the run leaves."""
        while self._open_bytes > MOST_OPEN_BYTES:
            self._room.clear()
            await self._room.wait()
        if self._worker.leaving.draining:
            return None
        try:
            return next(self._feed, None)
        except CannotStart as unusable:
            self._break_off(unusable, ExitStatus.CANNOT_START)
            return None

    async def _handle(self, row: PromptRow | Rejected, *, recorded: bool) -> None:
        past = self._records.past(row.id) if recorded else NO_PAST
        if isinstance(row, PromptRow):
            result = await self._worker.complete(row, past)
        else:
            result = await self._worker.reject(row, past)
        if result is not None:
            self._count(result, past.status)

    def _count(self, result: Result, before: Status | None) -> None:
        self._recorded += 1
        self.totals.rows[result.status] += 1
        self.standing[before or UNATTEMPTED] -= 1
        self.standing[result.status] += 1
        if result.failure is not None:
            self.totals.failures[result.failure] += 1
            self.examples.setdefault(result.failure, f"{result.source}: {result.message}")

    def _break_off(self, error: Exception, cause: ExitStatus) -> None:
        self.broken = self.broken or error
        if cause is ExitStatus.OUTPUT_LOST:
            self._worker.leaving.hang_up(cause)  # no answer could be kept
        else:
            self._worker.leaving.drain(cause)

    async def _tick(self) -> None:
        while True:
            if not self._worker.journal.in_place:
                self._break_off(OutputLost("it was moved or removed while the run went on"), ExitStatus.OUTPUT_LOST)
            self._worker.reporter.update(self._snapshot())
            await asyncio.sleep(TICK_SECONDS)

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            seconds=asyncio.get_running_loop().time() - self._began,
            recorded=self._recorded,
            to_record=self._plan.to_send + self._plan.rejected,
            standing=Counter(self.standing),
            totals=self.totals,
            in_flight=self._worker.admission.in_flight,
            pause_left=self._worker.admission.pause_left,
            trouble=self._worker.health.trouble,
            draining=self._worker.leaving.draining,
        )

    def _close_totals(self) -> None:
        self.totals.wall_ms = round(1000 * (asyncio.get_running_loop().time() - self._began))

    async def _record_totals(self) -> None:
        line = totals_line(self._worker.run_id, timestamp(self._worker.clock()), self.job_totals(), self.totals)
        try:
            await self._worker.journal.append(line, synced=True)
        except OutputLost as lost:
            self._break_off(lost, ExitStatus.OUTPUT_LOST)
