"""`async with admission.slot(request) as slot`: leave to send now, and the only way to get it."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Self

from batch_runner.admission.finder import Ceilings, Finder, Learned, Refusal
from batch_runner.admission.finder.values import MOST_IN_FLIGHT
from batch_runner.admission.governor import Governor
from batch_runner.admission.line import Line
from batch_runner.admission.outage import DOUBT, MOST_GAP, SILENCE, Outage
from batch_runner.admission.reopening import Reopening
from batch_runner.admission.retries import Retries
from batch_runner.admission.token_pace import TokenPace
from batch_runner.failures import MAYBE_BILLED, MOST_MAYBE_BILLED, NOT_THE_ROWS, TRANSIENT, FailureKind, Scope
from batch_runner.leaving import WaitEndedError
from batch_runner.records import Completion

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from batch_runner.admission.exposure import Exposure
    from batch_runner.admission.finder import Sent
    from batch_runner.admission.money import Budget, Reservation
    from batch_runner.admission.tokens import Charge
    from batch_runner.failures import Failure
    from batch_runner.hints import Quota
    from batch_runner.leaving import Waits
    from batch_runner.records import ChatRequest, Tokens

LOOKS_AT_LEAST = 8
"""How often a service that doesn't answer is looked for while a run waits as long as it is to."""

OF_LATE = 0.05
"""What one answer weighs in the mean of their tokens."""

INTERNAL_ERROR = 500
"""What may as well be about the row: gateways answer it for rows that can never succeed."""


class LocalAdmission:
    """The limits of one process.

    Requests stand in one line. The first is let in when nothing holds it any more: the caps on cost, the finder (a place in
    flight, its turn, a pause), an outage, tokens, the ceiling on disk. All are asked in one moment and taken in the same one, so
    nothing is held while a request waits, and nothing can change in between.
    """

    def __init__(
        self,
        *,
        concurrency: int | None,
        rpm: float | None,
        tpm: float | None,
        budget: Budget,
        exposure: Exposure,
        waits: Waits,
        max_attempts: int,
        random: Callable[[], float],
        max_wait: float = math.inf,
        most_in_flight: int = MOST_IN_FLIGHT,
        tell: Callable[[str], None] | None = None,
        learned: Learned | None = None,
    ) -> None:
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        of_tokens = learned if learned is not None and learned.kind == "tokens" else None
        self._finder = Finder(_ceilings(concurrency, most_in_flight, rpm, tpm), self._began, tell, None if of_tokens else learned)
        self._mean_tokens = 0.0
        self._governor = None if rpm is None else Governor(rpm)
        self._tokens = TokenPace(tpm)
        if of_tokens is not None and of_tokens.rate is not None:
            self._tokens.begin_at(60.0 * of_tokens.rate, of_tokens.age)
        self._tell = tell or (lambda _decision: None)
        self._outage = Outage(random, min(MOST_GAP, max_wait / LOOKS_AT_LEAST))
        self._reopening = Reopening()
        self._retries = Retries()
        self._budget = budget
        self._exposure = exposure
        self._waits = waits
        self._max_attempts = max_attempts
        self._line: Line[_LocalSlot] = Line(waits, self._held, self._let_in)
        self._covering: asyncio.Task[None] | None = None
        self._answered = False

    @property
    def in_flight(self) -> int:
        """Slots in use now."""
        return self._finder.in_flight

    @property
    def most_in_flight(self) -> int:
        """Slots that may be in use at once, as far as is known now."""
        return self._finder.most_in_flight

    @property
    def waiting(self) -> int:
        """Requests that stand in line."""
        return len(self._line)

    @property
    def pause_left(self) -> float:
        """Seconds until anything may be sent, where the service asked for a pause or doesn't answer; else 0."""
        return max(self._finder.pause_left(self._clock()), self._outage.left)

    @property
    def outage_seconds(self) -> float:
        """How long the service hasn't answered anyone; 0 while it does."""
        return self._outage.seconds

    @property
    def held_by(self) -> str:
        """The flag of the cap on cost that makes the next request wait for those in flight; else empty."""
        return self._budget.held_by

    @property
    def learned(self) -> Learned | None:
        """What is known of the service's limits by now, if anything."""
        return self._tokens.learned(self.most_in_flight) or self._finder.learned(self._clock())

    def slot(self, request: ChatRequest, *, after: Failure | None = None) -> _LocalSlot:
        """Wait for leave to send; raises `WaitEndedError` when the run drains first.

        `after`: how the row's first attempt ended, if this is its second. That goes before rows never sent when it was told to
        slow down, for it came first, and while nobody has an answer: a service that fails every first attempt isn't in an outage.
        """
        ahead = after is not None and (after.scope is Scope.EVERYONE or not self._answered)
        return _LocalSlot(self, request, ahead=ahead)

    async def permit_retry(self) -> None:
        """Wait until the run can afford one retry more; raises `WaitEndedError` when it drains first."""
        with self._waits.until():
            await self._retries.permit()

    # --- the door

    async def enter(self, slot: _LocalSlot) -> None:
        """Let a slot in when nothing holds it."""
        if not self._line.passed(slot):
            await self._line.stand(slot, _LocalSlot.give_back, ahead=slot.ahead)
        if self._governor is None or self._governor.passed():
            return
        try:
            with self._waits.until():
                await self._governor.permit()
        except (WaitEndedError, asyncio.CancelledError):
            slot.give_back()
            raise

    def _held(self, slot: _LocalSlot) -> float:
        """Seconds for which something holds a slot; `inf`: until something ends."""
        request = slot.request
        self._maybe_look_beyond()
        if self._budget.holds_back(request):
            return math.inf
        if (seconds := self._finder.wait(self._clock())) > 0:
            return seconds
        if not self._reopening.room:
            return math.inf
        if (seconds := max(self._outage.left, self._tokens.left)) > 0:
            return seconds
        if not self._exposure.covers(request.worst):
            self._cover(request.worst)
            return math.inf
        return 0.0

    def _let_in(self, slot: _LocalSlot) -> None:
        request = slot.request
        slot.sent = self._finder.sent(self._clock())
        slot.place = self._reopening.take()
        slot.charge = self._tokens.charge(request.expected)
        slot.reservation = self._budget.reserve(request)
        self._exposure.take(request.worst)
        self._outage.sent()

    def _cover(self, worst: Tokens) -> None:
        if self._covering is None:
            self._covering = asyncio.create_task(self._raise_ceiling(worst))

    async def _raise_ceiling(self, worst: Tokens) -> None:
        try:
            with self._waits.until():
                await self._exposure.make_room(worst)
        except WaitEndedError:
            return
        except Exception as error:  # noqa: BLE001 - it is the request's that waits for it
            self._line.fail(error)
        finally:
            self._covering = None
        self._line.move()

    def settle(self, slot: _LocalSlot, verdict: Completion | Failure | None) -> None:
        """What a slot was charged and given is settled with what was used, once."""
        self._tokens.ended(slot.charge, verdict)
        slot.charge = None
        if slot.reservation is not None:
            self._budget.settle(slot.reservation, verdict)
            slot.reservation = None

    def give_back(self, slot: _LocalSlot) -> None:
        """A slot is free again; where nobody said how its attempt ended, it may have been sent all the same."""
        self.settle(slot, None)
        self._exposure.give_back(slot.request.worst)
        self._reopening.give_back(slot.place)
        self._finder.left(self._clock())
        self._line.move()

    # --- what is learned

    def ended(self, slot: _LocalSlot, verdict: Completion | Failure) -> None:
        """An attempt ended so."""
        if not isinstance(verdict, Completion) and verdict.tpm is not None:
            self._name_tokens(verdict.tpm)
        self.settle(slot, verdict)
        if isinstance(verdict, Completion):
            self._answered = True
            self._finder.answered(slot.sent, self._clock(), _tokens_of(verdict))
            self._count_tokens(verdict)
            self._retries.answered()
            self._alive()
        elif verdict.kind in TRANSIENT:
            self._lost(slot.request, verdict)
        elif verdict.kind is not FailureKind.INTERRUPTED:
            if verdict.scope is Scope.EVERYONE:
                self._slow_down(slot, verdict)
            self._alive()
        self._line.move()

    def _count_tokens(self, completion: Completion) -> None:
        if completion.usage is not None and (tokens := completion.usage.total_tokens):
            self._mean_tokens += (tokens - self._mean_tokens) * (OF_LATE if self._mean_tokens else 1.0)

    def _name_tokens(self, per_minute: float) -> None:
        if self._tokens.named(per_minute, self._mean_tokens):
            self._tell(f"the service says that it takes {per_minute:,.0f} tokens/min: they are counted now")

    def _maybe_look_beyond(self) -> None:
        if self._tokens.looks_beyond():
            self._tell("a limit on tokens was named a while ago: seeing whether it takes more by now")

    def told(self, quota: Quota) -> None:
        """A reply's headers tell of a limit; of several the tightest counts."""
        rates = [] if quota.requests is None else [quota.requests / 60.0]
        if quota.tokens is not None and self._mean_tokens:
            rates.append(quota.tokens / 60.0 / self._mean_tokens)
        if rates:
            self._finder.hint(min(rates), quota.left)

    def _lost(self, request: ChatRequest, failure: Failure) -> None:
        self._finder.lost()
        self._outage.lost(request.row_id, _weight(failure), self._share_of_attempts(failure), self.in_flight)
        if failure.kind is FailureKind.OVERLOADED and failure.wait is not None:
            self._finder.pause(self._clock(), failure.wait)

    def _slow_down(self, slot: _LocalSlot, failure: Failure) -> None:
        """Where tokens are counted, a refusal is the ledger's matter as long as it has an answer to it."""
        now = self._clock()
        if self._tokens.explains(failure):
            self._finder.refused_elsewhere(slot.sent, now, failure.wait)
        else:
            self._finder.refused(slot.sent, now, _refusal_of(failure))

    def _share_of_attempts(self, failure: Failure) -> float:
        """How much of its row's attempts a failure has used up."""
        if failure.kind in NOT_THE_ROWS:
            return 0.0
        most = min(self._max_attempts, MOST_MAYBE_BILLED) if failure.kind in MAYBE_BILLED else self._max_attempts
        return 1.0 / most

    def _alive(self) -> None:
        """The service answers: that may end an outage, and opens a window that one had closed."""
        if self._outage.alive():
            self._reopening.begin()
        else:
            self._reopening.grow()


def _weight(failure: Failure) -> int:
    doubtful = failure.http_status == INTERNAL_ERROR or failure.kind is FailureKind.UNREADABLE_REPLY
    return DOUBT if doubtful else SILENCE


def _ceilings(concurrency: int | None, most: int, rpm: float | None, tpm: float | None) -> Ceilings:
    return Ceilings(
        in_flight=most if concurrency is None else concurrency,
        told=concurrency is not None,
        rate=None if rpm is None else rpm / 60.0,
        beside_tokens=tpm is not None,
    )


def _refusal_of(failure: Failure) -> Refusal:
    limit = "concurrency" if failure.kind is FailureKind.CONCURRENCY_LIMITED else failure.limit
    return Refusal(failure.wait, None if failure.rpm is None else failure.rpm / 60.0, limit)


def _tokens_of(completion: Completion) -> int | None:
    return None if completion.usage is None else completion.usage.completion_tokens


class _LocalSlot:
    """A slot of a `LocalAdmission`: what was given for one request."""

    __slots__ = ("_admission", "ahead", "charge", "place", "request", "reservation", "sent")

    def __init__(self, admission: LocalAdmission, request: ChatRequest, *, ahead: bool) -> None:
        self._admission = admission
        self.request = request
        self.ahead = ahead
        self.sent: Sent
        self.place: int
        self.charge: Charge | None = None
        self.reservation: Reservation | None = None

    async def __aenter__(self) -> Self:
        await self._admission.enter(self)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.give_back()

    def ended(self, verdict: Completion | Failure) -> None:
        """The attempt ended so."""
        self._admission.ended(self, verdict)

    def told(self, quota: Quota) -> None:
        """The reply's headers tell of a limit."""
        self._admission.told(quota)

    def give_back(self) -> None:
        """The slot is free again."""
        self._admission.give_back(self)
