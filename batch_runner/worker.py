"""One row, top to bottom, waiting included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch_runner import retry
from batch_runner.chat import build_request
from batch_runner.clock import timestamp
from batch_runner.exits import ExitStatus
from batch_runner.failures import MAYBE_BILLED, TRANSIENT, Failure, FailureKind, Scope
from batch_runner.leaving import WaitEndedError
from batch_runner.output.lines import row_line
from batch_runner.records import Completion, Status
from batch_runner.tally import Tally, rejected_result
from batch_runner.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch_runner.admission import Admission, Slot
    from batch_runner.chat import Defaults
    from batch_runner.clock import Clock
    from batch_runner.health import Health
    from batch_runner.leaving import Leaving
    from batch_runner.output.journal import Journal
    from batch_runner.progress import Reporter
    from batch_runner.records import Bill, ChatRequest, Outcome, Past, PromptRow, Rejected, Result
    from batch_runner.totals import Totals
    from batch_runner.transport import Transport


@dataclass(frozen=True, slots=True)
class Worker:
    """What a row meets on its way. One object serves all rows of a run at once: it keeps nothing of a row."""

    run_id: str
    defaults: Defaults
    max_attempts: int
    key: str | None
    admission: Admission
    transport: Transport
    health: Health
    journal: Journal
    totals: Totals
    reporter: Reporter
    leaving: Leaving
    clock: Clock
    random: Callable[[], float]

    async def complete(self, row: PromptRow, past: Past) -> Result | None:
        """Send `row` until it is answered, given up, or the run leaves; its last word is in the journal when this returns.

        `None`: the run left before anything was sent.
        """
        request = build_request(row, self.defaults)
        tally = Tally(row, request, past, self.run_id)
        try:
            while True:
                result, wait = await self._attempt(row, request, tally)
                if wait is None:
                    return result
                await self.leaving.patient.sleep(wait)
        except WaitEndedError:
            return await self._record(tally.failure(Status.UNFINISHED, self._now())) if tally.made else None

    async def reject(self, row: Rejected, past: Past) -> Result:
        """Write down that `row` can't be sent."""
        return await self._record(rejected_result(row, past, run_id=self.run_id, finished_at=self._now()))

    async def _attempt(self, row: PromptRow, request: ChatRequest, tally: Tally) -> tuple[Result | None, float | None]:
        """Send once; the result so far, where there is one, and the seconds until the next attempt, `None` for none.

        The slot is held until what was bought is written: so a `kill -9` never hides more than what was in flight.
        """
        async with self.admission.slot(request) as slot:
            sent_at = self._now()
            outcome = await self.transport.send(request)
            verdict = judge(outcome, own_model="model" in row.asks, key=self.key)
            _tell(slot, verdict)
            bill = tally.count(outcome, verdict, sent_at)
            self._book(request, outcome, verdict, bill)
            if isinstance(verdict, Completion):
                return await self._record(tally.answer(self._now())), None
            wait = self._wait_after(verdict, tally)
            self.reporter.attempt_failed(row.id, verdict, wait)
            if wait is None:
                return await self._record(tally.failure(self._last_word(verdict), self._now())), None
            if bill:
                return await self._record(tally.failure(Status.UNFINISHED, self._now())), wait
            return None, wait

    async def _record(self, result: Result) -> Result:
        await self.journal.append(row_line(result))
        return result

    def _book(self, request: ChatRequest, outcome: Outcome, verdict: Completion | Failure, bill: Bill) -> None:
        self.totals.attempts += 1
        self.totals.bill(request.model, bill)
        if isinstance(verdict, Completion):
            self.health.answered()
            usage_known = verdict.usage is not None
            self.totals.answered(request.model, verdict.model_answered, outcome.seconds, usage_known=usage_known)
        elif verdict.kind is not FailureKind.INTERRUPTED and self.health.failed(verdict):
            self.leaving.drain(ExitStatus.STOPPED_BY_SERVICE)

    def _wait_after(self, failure: Failure, tally: Tally) -> float | None:
        """Seconds until the next attempt; `None` to make none."""
        if self.leaving.draining:
            return None
        return retry.delay(
            failure,
            made=tally.made,
            tried=tally.tried,
            owed=tally.owed,
            max_attempts=self.max_attempts,
            random=self.random,
        )

    def _last_word(self, failure: Failure) -> Status:
        """What a row that gets no more attempts has come to: while the run leaves, only what is about the row is final."""
        if failure.kind is FailureKind.POLICY:
            return Status.REFUSED
        about_row = failure.scope is Scope.ROW and failure.kind not in TRANSIENT | MAYBE_BILLED
        return Status.FAILED if about_row or not self.leaving.draining else Status.UNFINISHED

    def _now(self) -> str:
        return timestamp(self.clock())


def _tell(slot: Slot, verdict: Completion | Failure) -> None:
    if isinstance(verdict, Completion):
        slot.answered(verdict.usage)
    elif verdict.scope is Scope.EVERYONE or (verdict.kind is FailureKind.OVERLOADED and verdict.wait is not None):
        slot.refused(verdict.wait)
    else:
        slot.lost()
