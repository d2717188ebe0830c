"""One row, top to bottom, waiting included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch_runner import retry
from batch_runner.chat import build_request
from batch_runner.clock import timestamp
from batch_runner.exits import ExitStatus
from batch_runner.failures import TRANSIENT, Failure, FailureKind, Scope
from batch_runner.leaving import WaitEndedError
from batch_runner.output.lines import row_line
from batch_runner.records import Completion, Status
from batch_runner.tally import Tally
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
    from batch_runner.records import ChatRequest, Outcome, Past, PromptRow, Result
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
        """Send `row` until it is answered, given up, or the run leaves. `None`: the run left before anything was sent."""
        request = build_request(row, self.defaults)
        tally = Tally(row, request, past, self.run_id)
        try:
            while True:
                verdict, owes = await self._attempt(request, tally, own_model="model" in row.asks)
                if isinstance(verdict, Completion):
                    return tally.answer(self._now())
                wait = self._wait_after(verdict, tally)
                self.reporter.attempt_failed(row.id, verdict, wait)
                if wait is None:
                    return tally.failure(self._last_word(verdict), self._now())
                if owes:  # were we killed while waiting, nobody would know what this attempt may have cost
                    await self.journal.append(row_line(tally.failure(Status.UNFINISHED, self._now())))
                await self.leaving.patient.sleep(wait)
        except WaitEndedError:
            return tally.failure(Status.UNFINISHED, self._now()) if tally.made else None

    async def _attempt(self, request: ChatRequest, tally: Tally, *, own_model: bool) -> tuple[Completion | Failure, bool]:
        """Send once; what came of it, and whether it may have cost something."""
        async with self.admission.slot(request) as slot:
            sent_at = self._now()
            outcome = await self.transport.send(request)
            verdict = judge(outcome, own_model=own_model, key=self.key)
            _tell(slot, verdict)
        bill = tally.count(outcome, verdict, sent_at)
        self._book(request, outcome, verdict)
        self.totals.bill(request.model, bill)
        return verdict, bool(bill)

    def _book(self, request: ChatRequest, outcome: Outcome, verdict: Completion | Failure) -> None:
        self.totals.attempts += 1
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
        about_row = failure.scope is Scope.ROW and failure.kind not in TRANSIENT
        return Status.FAILED if about_row or not self.leaving.draining else Status.UNFINISHED

    def _now(self) -> str:
        return timestamp(self.clock())


def _tell(slot: Slot, verdict: Completion | Failure) -> None:
    if isinstance(verdict, Completion):
        slot.answered(verdict.usage)
    elif verdict.scope is Scope.EVERYONE:
        slot.refused(verdict.wait)
    else:
        slot.lost()
