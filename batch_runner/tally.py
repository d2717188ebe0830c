"""What one row has come to so far: attempts and tokens, those of earlier runs included, and the result they add up to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batch_runner.failures import MAYBE_BILLED, NOT_THE_ROWS, TRANSIENT, Failure, FailureKind
from batch_runner.identity import line_fingerprint
from batch_runner.records import (
    NO_BILL,
    UNTOLD_USAGE,
    Attempt,
    Bill,
    ChatRequest,
    Completion,
    Outcome,
    Past,
    PromptRow,
    Rejected,
    Reply,
    Result,
    Status,
    Usage,
)

if TYPE_CHECKING:
    from batch_runner.pricing import Prices

MOST_INPUT_BYTES = 1024 * 1024
"""A longer input line isn't kept in the output; its `source` leads back to it."""

NO_BILLS: Mapping[str, Bill] = {}

LOST_IN_AN_OUTAGE = 0.5
"""Of an attempt that may have been billed: a row that asks whether an outage is over isn't given up for it at once."""


class Tally:
    """Counts one row's attempts as they end. Lives as long as the row is open, and belongs to its worker alone."""

    def __init__(self, row: PromptRow, request: ChatRequest, past: Past, run_id: str, prices: Prices) -> None:
        self._row = row
        self._prices = prices
        self._request = request
        self._run_id = run_id
        self._attempts = list(past.attempts)
        self._bills = dict(past.bills)
        self._answer = past.answer
        self.made = 0
        """Attempts of this run."""
        self.tried = 0
        """Those of them that were the row's own: being told to slow down isn't, nor is reaching nobody, nor an outage."""
        self.first_sent = 0.0
        """When the first of them was sent, on a clock that nobody sets."""
        self.owed = 0.0
        """Those of them whose answer never came; one lost in an outage counts half, as it's less the row's fault."""

    def grown(self, request: ChatRequest, answer: Result) -> None:
        """The row is asked again with a larger cap, after `answer` was cut off; it has its attempts anew."""
        self._request, self._answer = request, answer
        self.tried, self.owed = 0, 0.0

    def began(self, at: float) -> None:
        """The attempt that has just been counted was sent at a moment, on a clock that nobody sets."""
        if self.made == 1:
            self.first_sent = at

    def count(self, outcome: Outcome, verdict: Completion | Failure, at: str, *, outage: bool = False) -> Bill:
        """Count an attempt that was sent `at` and ended so, in an `outage` or not; returns what it has cost."""
        bill = self._cost(verdict)
        if bill:
            before = self._bills.get(self._request.model)
            self._bills[self._request.model] = bill if before is None else before + bill
        kind = verdict.status if isinstance(verdict, Completion) else verdict.kind
        self._attempts = _stretched(self._attempts, Attempt(at, outcome.seconds, kind))
        self.made += 1
        self.tried += not (kind in NOT_THE_ROWS or (outage and kind in TRANSIENT))
        if kind in MAYBE_BILLED:
            self.owed += LOST_IN_AN_OUTAGE if outage else 1.0
        return bill

    def answer(self, completion: Completion, reply: Outcome, finished_at: str) -> Result:
        """The result of a row whose last attempt brought `completion` in `reply`."""
        if self._answer is not None and self._answer.answer and not completion.answer:
            kept = self._kept(self._answer, finished_at)
            cut_off_again = completion.status is Status.TRUNCATED is kept.status
            return replace(kept, max_completion_tokens=self._request.max_completion_tokens) if cut_off_again else kept
        usage, prompt_tokens = completion.usage, None if completion.usage is None else completion.usage.prompt_tokens
        return self._result(
            completion.status,
            finished_at,
            cost_usd=None if usage is None else self._usd(self._request.model, self._bill, prompt_tokens),
            answer=completion.answer,
            finish_reason=completion.finish_reason,
            message=completion.message,
            http_status=completion.http_status,
            model_answered=completion.model_answered,
            request_id=completion.request_id,
            usage=usage or UNTOLD_USAGE,
            latency_s=reply.seconds,
            body=reply.body.strip().decode(errors="replace") if isinstance(reply, Reply) else "",
        )

    def _kept(self, answer: Result, finished_at: str) -> Result:
        """The answer that the row has already, with what was spent on a better one."""
        bill = self._bills.get(answer.model, Bill())
        return replace(
            answer,
            bill=bill,
            cost_usd=self._usd(answer.model, bill, answer.usage.prompt_tokens),
            other_bills=_others(self._bills, answer.model),
            attempts=tuple(self._attempts),
            finished_at=finished_at,
            run_id=self._run_id,
        )

    def failure(self, failure: Failure, status: Status, finished_at: str) -> Result:
        """The result of a row that is given up, or left, after its last attempt ended in `failure`.

        A row that has an answer keeps it: asking again for a better one must not cost the one that was paid for.
        """
        if self._answer is not None:
            return self._kept(self._answer, finished_at)
        return self._result(
            status,
            finished_at,
            cost_usd=self._usd(self._request.model, self._bill, None),
            failure=failure.kind,
            message=failure.message,
            http_status=failure.http_status,
            request_id=failure.request_id,
            body=failure.body,
        )

    def _usd(self, model: str, bill: Bill, prompt_tokens: int | None) -> float | None:
        """What was spent under `model`, at the prices known now."""
        return self._prices.usd(model, bill.spent, prompt_tokens)

    def _cost(self, verdict: Completion | Failure) -> Bill:
        if verdict.usage is not None:
            return Bill(spent=verdict.usage)
        if isinstance(verdict, Completion) or verdict.kind in MAYBE_BILLED:
            return Bill(maybe_billed=Usage.at_worst(self._request.worst))
        return Bill()

    @property
    def _bill(self) -> Bill:
        """What the row has cost under the model that is asked now."""
        return self._bills.get(self._request.model, NO_BILL)

    def _result(self, status: Status, finished_at: str, **told: Any) -> Result:
        """A result with what is known of any row, and what else is `told`."""
        model = self._request.model
        return Result(
            id=self._row.id,
            status=status,
            fingerprint=self._request.fingerprint,
            source=self._row.source,
            finished_at=finished_at,
            run_id=self._run_id,
            model=model,
            max_completion_tokens=self._request.max_completion_tokens,
            bill=self._bill,
            other_bills=_others(self._bills, model) if len(self._bills) > 1 or model not in self._bills else NO_BILLS,
            attempts=tuple(self._attempts),
            extra=self._row.extra,
            input="" if status is Status.OK else kept_input(self._row.line),
            **told,
        )


def rejected_result(row: Rejected, past: Past, *, run_id: str, finished_at: str) -> Result:
    """The result of a line that can't be sent."""
    return Result(
        id=row.id,
        status=Status.INVALID,
        fingerprint=line_fingerprint(row.line, row.reason),
        source=row.source,
        finished_at=finished_at,
        run_id=run_id,
        other_bills=past.bills,
        failure=FailureKind.INVALID_LINE,
        message=row.reason,
        attempts=past.attempts,
        input=kept_input(row.line),
    )


def kept_input(line: bytes) -> str:
    """An input line as it is kept in the output: empty when it is too long or not UTF-8."""
    if len(line) > MOST_INPUT_BYTES:
        return ""
    try:
        return line.decode()
    except UnicodeDecodeError:
        return ""


def _stretched(attempts: list[Attempt], attempt: Attempt) -> list[Attempt]:
    """With one more attempt: a stretch of like outcomes is one entry, or a long outage would fill the line."""
    if attempts and attempts[-1].outcome == attempt.outcome:
        last = attempts[-1]
        return [*attempts[:-1], replace(last, seconds=last.seconds + attempt.seconds, count=last.count + 1)]
    return [*attempts, attempt]


def _others(bills: Mapping[str, Bill], model: str) -> dict[str, Bill]:
    return {other: bill for other, bill in bills.items() if other != model}
