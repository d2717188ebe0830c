"""One row, top to bottom, waiting included."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from batch_runner import retry
from batch_runner.exits import ExitStatus
from batch_runner.failures import MAYBE_BILLED, SLOW_DOWN, TRANSIENT, Failure, FailureKind, Scope
from batch_runner.growth import DOUBLED, NO_USE, Growth, first_request
from batch_runner.hints import told_quota
from batch_runner.leaving import WaitEndedError
from batch_runner.output.lines import row_line
from batch_runner.records import Completion, Reply, Status, Unreached
from batch_runner.tally import Tally, rejected_result
from batch_runner.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from batch_runner.health import Stop
    from batch_runner.pricing import Prices
    from batch_runner.records import Bill, ChatRequest, Outcome, Past, PromptRow, Rejected, Result
    from batch_runner.state import State
    from batch_runner.stencil import Stencil
    from batch_runner.transport import Transport


class Retry(NamedTuple):
    """A row is to be sent again in `wait` seconds, because of `failure`."""

    failure: Failure
    wait: float


@dataclass(frozen=True, slots=True)
class Patience:
    """How much is done for one row."""

    attempts: int
    seconds: float
    """After its first attempt."""
    growth: Growth = DOUBLED
    """When its answer is cut off."""


@dataclass(frozen=True, slots=True)
class Worker:
    """What a row meets on its way. One object serves all rows of a run at once: it keeps nothing of a row."""

    state: State
    transport: Transport
    stencil: Stencil
    prices: Prices
    patience: Patience
    key: str | None
    random: Callable[[], float]

    async def complete(self, row: PromptRow, past: Past, aside: Callable[[], AbstractContextManager[None]]) -> Result | None:
        """Send `row` until it is answered, given up, or the run leaves; its last word is in the journal when this returns.

        It stands `aside` while it waits for its next attempt: somebody else may use the time. `None`: the run left before
        anything was sent. A truncated answer is in the journal before it is asked for once more.
        """
        request = first_request(row, past, self.stencil, self.patience.growth)
        tally = Tally(row, request, past, self.state.run_id, self.prices)
        failure: Failure | None = None
        answer: Result | None = None
        try:
            while True:
                end = await self._attempt(row, request, tally, failure)
                if isinstance(end, Retry):
                    failure = end.failure
                    await self._wait(end, aside)
                elif (cap := self._larger_cap(request, end)) == NO_USE:
                    return end
                else:
                    request, answer, failure = self.stencil.request(row, cap), end, None
                    tally.grown(request, end)
        except WaitEndedError:
            self.state.leaving.kept_short += answer is not None
            if failure is None:
                return answer
            return await self._record(tally.failure(failure, Status.UNFINISHED, self.state.now()))

    async def reject(self, row: Rejected, past: Past) -> Result:
        """Write down that `row` can't be sent."""
        return await self._record(rejected_result(row, past, run_id=self.state.run_id, finished_at=self.state.now()))

    async def _wait(self, end: Retry, aside: Callable[[], AbstractContextManager[None]]) -> None:
        with aside():
            await self.state.leaving.patient.sleep(end.wait)
            if end.failure.scope is not Scope.EVERYONE:
                await self.state.admission.permit_retry()

    def _larger_cap(self, request: ChatRequest, end: Result) -> int:
        """The cap to ask for at once, where the last attempt's answer was cut off."""
        if not self.patience.growth.at_once or end.attempts[-1].outcome != Status.TRUNCATED:
            return NO_USE
        return self.patience.growth.larger(request.model, request.max_completion_tokens, end.usage)

    async def _attempt(self, row: PromptRow, request: ChatRequest, tally: Tally, before: Failure | None) -> Result | Retry:
        """Send once, `before` being how the attempt before ended; the row's last word, or when to send again.

        The slot is held until what was bought is written: so a `kill -9` never hides more than what was in flight.
        """
        async with self.state.admission.slot(request, after=before if tally.made == 1 else None) as slot:
            await self._room_on_disk()
            sent_at = self.state.now()
            outcome = await self.transport.send(request)
            if isinstance(outcome, Unreached) and outcome.interrupted:
                raise WaitEndedError  # it never left: nothing came of it, and nothing has to be told
            verdict = judge(outcome, now=self.state.clock(), own_model="model" in row.asks, key=self.key)
            slot.ended(verdict)
            if isinstance(outcome, Reply) and (quota := told_quota(outcome.headers)) is not None:
                slot.told(quota)
            bill = tally.count(outcome, verdict, sent_at, outage=self.state.admission.outage_seconds > 0)
            self._book(request, outcome, verdict, bill)
            if isinstance(verdict, Completion):
                return await self._record(tally.answer(verdict, outcome, self.state.now()))
            tally.began(_monotonic() - outcome.seconds)
            wait = self._wait_after(verdict, tally)
            self.state.reporter.attempt_failed(row.id, verdict, wait, tally.made)
            if wait is None:
                return await self._record(tally.failure(verdict, self._last_word(verdict), self.state.now()))
            if bill:
                await self._record(tally.failure(verdict, Status.UNFINISHED, self.state.now()))
            return Retry(verdict, wait)

    async def _record(self, result: Result) -> Result:
        await self.state.journal.append(row_line(result))
        return result

    async def _room_on_disk(self) -> None:
        """Buy no answer that the output can't take. Raises `WaitEndedError` when it is lost, or the run drains first."""
        if self.state.journal.lost is not None:
            raise WaitEndedError
        if self.state.journal.stall is not None:
            with self.state.leaving.patient.until():
                await self.state.journal.room()

    def _book(self, request: ChatRequest, outcome: Outcome, verdict: Completion | Failure, bill: Bill) -> None:
        totals, health = self.state.totals, self.state.health
        totals.attempts += 1
        totals.bill(request.model, bill)
        if isinstance(verdict, Completion):
            health.answered()
            usage_known = verdict.usage is not None
            totals.answered(request.model, verdict.model_answered, outcome.seconds, usage_known=usage_known)
        elif verdict.kind is not FailureKind.INTERRUPTED:
            totals.slow_downs += verdict.kind in SLOW_DOWN
            self._note(health.failed(verdict))

    def _note(self, stop: Stop | None) -> None:
        """End the run where its health says so, and say why at once: answers on their way may take minutes."""
        if stop is not None and ExitStatus.STOPPED_BY_SERVICE not in self.state.leaving.causes:
            self.state.reporter.stopping(f"{stop.kind}: {stop.message}")
            self.state.leaving.drain(ExitStatus.STOPPED_BY_SERVICE)

    def _wait_after(self, failure: Failure, tally: Tally) -> float | None:
        """Seconds until the next attempt; `None` to make none."""
        if self.state.leaving.draining:
            return None
        wait = retry.delay(
            failure,
            made=tally.made,
            tried=tally.tried,
            owed=tally.owed,
            max_attempts=self.patience.attempts,
            random=self.random,
        )
        if wait is None or _monotonic() - tally.first_sent + wait > self.patience.seconds:
            return None
        return wait

    def _last_word(self, failure: Failure) -> Status:
        """What a row that gets no more attempts has come to: while the run leaves, only what is about the row is final."""
        if failure.kind is FailureKind.POLICY:
            return Status.REFUSED
        about_row = failure.scope is Scope.ROW and failure.kind not in TRANSIENT | MAYBE_BILLED
        return Status.FAILED if about_row or not self.state.leaving.draining else Status.UNFINISHED


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
