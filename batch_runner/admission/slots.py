"""`async with admission.slot(request) as slot`: leave to send now, and the only way to get it."""

from __future__ import annotations

import asyncio
import math
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from batch_runner.admission.concurrency import Concurrency
from batch_runner.admission.cooldown import Cooldown, first_guess
from batch_runner.admission.outage import DOUBT, MOST_GAP, SILENCE, Outage
from batch_runner.admission.requests import Pace
from batch_runner.admission.retries import Retries
from batch_runner.admission.tokens import TokenPace, may_be_about_tokens
from batch_runner.failures import MAYBE_BILLED, MOST_MAYBE_BILLED, NOT_THE_ROWS, TRANSIENT, FailureKind, Scope
from batch_runner.records import Completion

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from batch_runner.admission.exposure import Exposure
    from batch_runner.admission.money import Budget, Reservation
    from batch_runner.failures import Failure
    from batch_runner.leaving import Waits
    from batch_runner.records import ChatRequest

LOOKS_AT_LEAST = 8
"""How often a service that doesn't answer is looked for while a run waits as long as it is to."""

INTERNAL_ERROR = 500
"""What may as well be about the row: gateways answer it for rows that can never succeed."""


class Slot(Protocol):
    """Leave to send one request."""

    def ended(self, verdict: Completion | Failure) -> None:
        """The attempt ended so. Limits, pauses and outages are learned from that alone."""
        ...


class Admission(Protocol):
    """Whoever decides when a request may be sent: here one process, elsewhere perhaps several machines together."""

    @property
    def in_flight(self) -> int:
        """Slots in use now."""
        ...

    @property
    def pause_left(self) -> float:
        """Seconds until anything may be sent, where the service asked for a pause or doesn't answer; else 0."""
        ...

    @property
    def outage_seconds(self) -> float:
        """How long the service hasn't answered anyone; 0 while it does."""
        ...

    @property
    def held_by(self) -> str:
        """The flag of the cap on cost that makes the next request wait for those in flight; else empty."""
        ...

    def slot(self, request: ChatRequest) -> AbstractAsyncContextManager[Slot]:
        """Wait for leave to send; raises `WaitEndedError` when the run drains first."""
        ...

    async def permit_retry(self) -> None:
        """Wait until the run can afford one retry more; raises `WaitEndedError` when it drains first."""
        ...


class LocalAdmission:
    """The limits of one process.

    One request at a time stands at the door, and everyone else behind it in the order they came. It waits for room under the
    caps on cost, for a place in flight, for tokens, for cover on disk, for the pace, and for the end of an outage or a pause. A
    pause comes last: whatever it had to wait for after one, another could begin meanwhile. Nothing is held while a row waits for
    its retry.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        rpm: float | None,
        tpm: float | None,
        budget: Budget,
        exposure: Exposure,
        waits: Waits,
        max_attempts: int,
        random: Callable[[], float],
        max_wait: float = math.inf,
    ) -> None:
        self._door = asyncio.Lock()
        self._concurrency = Concurrency(concurrency)
        self._tokens = TokenPace(tpm)
        self._pace = Pace(rpm, beside_tokens=tpm is not None)
        self._cooldown = Cooldown(random, first_guess(rpm))
        self._outage = Outage(random, min(MOST_GAP, max_wait / LOOKS_AT_LEAST))
        self._retries = Retries()
        self._budget = budget
        self._exposure = exposure
        self._waits = waits
        self._max_attempts = max_attempts

    @property
    def in_flight(self) -> int:
        """Slots in use now."""
        return self._concurrency.in_flight

    @property
    def pause_left(self) -> float:
        """Seconds until anything may be sent, where the service asked for a pause or doesn't answer; else 0."""
        return max(self._cooldown.left, self._outage.left)

    @property
    def outage_seconds(self) -> float:
        """How long the service hasn't answered anyone; 0 while it does."""
        return self._outage.seconds

    @property
    def held_by(self) -> str:
        """The flag of the cap on cost that makes the next request wait for those in flight; else empty."""
        return self._budget.held_by

    @asynccontextmanager
    async def slot(self, request: ChatRequest) -> AsyncIterator[Slot]:
        """Wait for leave to send; raises `WaitEndedError` when the run drains first."""
        async with AsyncExitStack() as held:
            async with self._waits.until(), self._door:
                await self._budget.room(request)
                await self._concurrency.room()
                await self._tokens.room()
                await self._exposure.take(request.worst)
                held.callback(self._exposure.give_back, request.worst)
                await self._pace.permit()
                await self._outage.over()
                await self._cooldown.over()
                await self._budget.room(request)  # once more: what came in meanwhile may have cost more than its worst
                held.callback(self._concurrency.give_back, self._concurrency.take())
            slot = _LocalSlot(self, self._tokens, self._budget, request)
            held.callback(slot.left)
            yield slot

    async def permit_retry(self) -> None:
        """Wait until the run can afford one retry more; raises `WaitEndedError` when it drains first."""
        async with self._waits.until():
            await self._retries.permit()

    def ended(self, request: ChatRequest, verdict: Completion | Failure) -> None:
        """An attempt ended so."""
        if isinstance(verdict, Completion):
            self._cooldown.answered()
            self._retries.answered()
            self._concurrency.grow()
            self._alive()
        elif verdict.kind in TRANSIENT:
            self._outage.lost(request.row_id, _weight(verdict), self._share_of_attempts(verdict), self.in_flight)
            if verdict.kind is FailureKind.OVERLOADED and verdict.wait is not None:
                self._cooldown.refused(verdict.wait)
        elif verdict.kind is not FailureKind.INTERRUPTED:
            if verdict.scope is Scope.EVERYONE:
                self._slow_down(verdict)
            else:
                self._concurrency.grow()
            self._alive()

    def _slow_down(self, failure: Failure) -> None:
        """Where tokens are counted, a refusal without a wait is the ledger's matter: it guesses better how long to pause."""
        if failure.rpm is not None:
            self._pace.at_most(failure.rpm)
        if failure.wait is not None or self._tokens.ledger is None or not may_be_about_tokens(failure):
            self._cooldown.refused(failure.wait)

    def _share_of_attempts(self, failure: Failure) -> float:
        """How much of its row's attempts a failure has used up."""
        if failure.kind in NOT_THE_ROWS:
            return 0.0
        most = min(self._max_attempts, MOST_MAYBE_BILLED) if failure.kind in MAYBE_BILLED else self._max_attempts
        return 1.0 / most

    def _alive(self) -> None:
        if self._outage.alive():
            self._concurrency.start_small()


def _weight(failure: Failure) -> int:
    doubtful = failure.http_status == INTERNAL_ERROR or failure.kind is FailureKind.UNREADABLE_REPLY
    return DOUBT if doubtful else SILENCE


class _LocalSlot:
    """A slot of a `LocalAdmission`."""

    __slots__ = ("_admission", "_budget", "_charge", "_request", "_reservation", "_tokens")

    def __init__(self, admission: LocalAdmission, tokens: TokenPace, budget: Budget, request: ChatRequest) -> None:
        self._admission = admission
        self._tokens = tokens
        self._request = request
        self._charge = tokens.charge(request.expected)
        self._budget = budget
        self._reservation: Reservation | None = budget.reserve(request)

    def ended(self, verdict: Completion | Failure) -> None:
        """The attempt ended so."""
        self._settle(verdict)
        self._admission.ended(self._request, verdict)

    def left(self) -> None:
        """The slot is given back; where nobody said how the attempt ended, it may have been sent all the same."""
        self._settle(None)

    def _settle(self, verdict: Completion | Failure | None) -> None:
        self._tokens.ended(self._charge, verdict)
        self._charge = None
        if self._reservation is not None:
            self._budget.settle(self._reservation, verdict)
            self._reservation = None
