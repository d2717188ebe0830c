"""Runs a plan: the pool and its drain."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from batch_runner.alongside import alongside
from batch_runner.exits import ExitStatus
from batch_runner.failures import CannotStart, OutputLost
from batch_runner.images import size_of
from batch_runner.progress import Snapshot
from batch_runner.records import NO_PAST, PromptRow, Rejected, Result, Status
from batch_runner.totals import UNATTEMPTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_runner.loader import RowSource
    from batch_runner.output.history import History
    from batch_runner.plan import Plan
    from batch_runner.records import Past
    from batch_runner.state import State
    from batch_runner.worker import Worker

FEWEST_OPEN_ROWS = 256
OPEN_ROWS_PER_SLOT = 4
MOST_OPEN_BYTES = 64 * 1024 * 1024
TICK_SECONDS = 0.25


class Runner:
    """One execution of a plan. Rows go from `feed` through a worker into the journal; nothing else holds them."""

    def __init__(self, plan: Plan, source: RowSource, history: History, worker: Worker, state: State) -> None:
        self._plan = plan
        self._history = history
        self._worker = worker
        self._state = state
        self._feed = plan.items(source)
        self._open_rows = self._asleep = 0
        self._fed = False
        self._open_bytes = 0
        self._room = asyncio.Event()
        self._recorded = 0
        self._began = asyncio.get_running_loop().time()
        self.standing = Counter(plan.standing)
        """The rows of the input by status, as they stand now."""
        self.examples: dict[str, str] = {}
        self.broken: Exception | None = None
        """What ended the feed or a worker: unusable input, an output lost, or a bug."""

    async def run(self) -> None:
        """Send what the plan says. Whatever ends the run early, answers in flight are recorded first."""
        async with alongside(self._tick()), asyncio.TaskGroup() as self._pool:
            self._widen()
        self._look_after_output()
        self._state.totals.wall_ms = round(1000 * self._seconds())
        self._state.reporter.update(self._snapshot())

    @property
    def unfinished_business(self) -> bool:
        """True when rows that the plan would send have no last word yet."""
        unfinished = self._state.totals.rows[Status.UNFINISHED] + self._state.leaving.kept_short
        return self._recorded < self._plan.to_record or unfinished > 0

    @property
    def _most_open(self) -> int:
        """A row is open for each request in flight, and others while some of them wait for a retry."""
        most = max(OPEN_ROWS_PER_SLOT * self._state.admission.most_in_flight, FEWEST_OPEN_ROWS)
        return min(most, self._plan.to_record)

    def _widen(self) -> None:
        """Open more rows, twice as many at most, where none waits for leave to send and more may be in flight."""
        admission = self._state.admission
        if self._fed or admission.waiting:
            return
        free = max(admission.most_in_flight - (self._open_rows - self._asleep), FEWEST_OPEN_ROWS - self._open_rows)
        for _ in range(min(free, max(FEWEST_OPEN_ROWS, self._open_rows))):
            self._one_more()

    def _one_more(self) -> None:
        """Open one more row, within the window."""
        if self._open_rows < self._most_open:
            self._open_rows += 1
            self._pool.create_task(self._work())

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """A row waits for its next attempt: another one may use the time."""
        self._asleep += 1
        self._one_more()
        try:
            yield
        finally:
            self._asleep -= 1

    async def _work(self) -> None:
        """Take rows one after the other until there are none, or the run leaves."""
        while (item := await self._next()) is not None:
            row, recorded = item
            size = size_of(row)
            self._open_bytes += size
            try:
                await self._handle(row, recorded=recorded)
            except Exception as error:  # noqa: BLE001 - a bug must not cost the answers that others are waiting for
                self._break_off(error)
            finally:
                self._open_bytes -= size
                self._room.set()

    async def _next(self) -> tuple[PromptRow | Rejected, bool] | None:
        """The next row, once there is room for it; `None` when there is none, or the run leaves."""
        while self._open_bytes > MOST_OPEN_BYTES:
            self._room.clear()
            await self._room.wait()
        item = None
        if not self._state.leaving.draining and self._state.journal.lost is None:
            try:
                item = next(self._feed, None)
            except Exception as error:  # noqa: BLE001 - as above: input that changed, or a bug, ends the feeding only
                self._break_off(error)
        self._fed = self._fed or item is None
        return item

    async def _handle(self, row: PromptRow | Rejected, *, recorded: bool) -> None:
        past = await asyncio.to_thread(self._history.past, row.id) if recorded else NO_PAST
        if isinstance(row, PromptRow):
            result = await self._worker.complete(row, past, self._aside)
        else:
            result = await self._worker.reject(row, past)
        if result is not None:
            self._count(result, past)
            self._state.reporter.recorded(row, result)

    def _count(self, result: Result, past: Past) -> None:
        self._recorded += 1
        self._state.totals.row(result, past)
        self.standing[past.status or UNATTEMPTED] -= 1
        self.standing[result.status] += 1
        if result.failure is not None:
            self._state.totals.failures[result.failure] += 1
            self.examples.setdefault(result.failure, f"{result.source}: {result.message}")

    def _break_off(self, error: Exception) -> None:
        """End the run because of `error`; answers on their way are waited for, unless they could not be kept."""
        self.broken = self.broken or error
        if isinstance(error, OutputLost):
            self._state.leaving.hang_up(ExitStatus.OUTPUT_LOST)
        else:
            self._state.leaving.drain(ExitStatus.CANNOT_START if isinstance(error, CannotStart) else ExitStatus.BUG)

    async def _tick(self) -> None:
        while True:
            self._widen()
            self._look_after_output()
            self._state.reporter.update(self._snapshot())
            await asyncio.sleep(TICK_SECONDS)

    def _look_after_output(self) -> None:
        """A file that was moved, or a rescue file, still takes the answers on their way; nothing new is bought for it."""
        journal = self._state.journal
        if self.broken is not None or (journal.lost is None and journal.in_place):
            return
        self.broken = OutputLost(
            str(journal.lost.strerror or journal.lost)
            if journal.lost is not None
            else "it was moved or removed while the run went on; put it back first, or its rows are bought again"
        )
        self._state.leaving.drain(ExitStatus.OUTPUT_LOST)

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            seconds=self._seconds(),
            recorded=self._recorded,
            to_record=self._plan.to_record,
            standing=Counter(self.standing),
            totals=self._state.totals,
            in_flight=self._state.admission.in_flight,
            pause_left=self._state.admission.pause_left,
            outage_seconds=self._state.admission.outage_seconds,
            held_by=self._state.admission.held_by,
            trouble=self._state.health.trouble,
            draining=self._state.leaving.draining,
            stall=self._state.journal.stall,
            learned=self._state.admission.learned,
        )

    def _seconds(self) -> float:
        return asyncio.get_running_loop().time() - self._began
