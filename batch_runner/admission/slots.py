"""`async with admission.slot(request) as slot`: leave to send now, and the only way to get it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from batch_runner.admission.concurrency import Concurrency
from batch_runner.admission.cooldown import Cooldown, first_guess
from batch_runner.admission.outage import DOUBT, SILENCE, Outage
from batch_runner.admission.requests import Pace
from batch_runner.admission.tokens import TokenPace
from batch_runner.failures import TRANSIENT, FailureKind, Scope
from batch_runner.records import Completion

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from batch_runner.admission.exposure import Exposure
    from batch_runner.admission.tokens import Charge
    from batch_runner.failures import Failure
    from batch_runner.leaving import Waits
    from batch_runner.records import ChatRequest

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

    def slot(self, request: ChatRequest) -> AbstractAsyncContextManager[Slot]:
        """Wait for leave to send; raises `WaitEndedError` when the run drains first."""
        ...


class LocalAdmission:
    """The limits of one process.

    One request at a time stands at the door, and everyone else behind it in the order they came. It waits for a place in
    flight, for tokens, for the pace, for the end of a pause or an outage, and for cover on disk. Pauses come after the pace:
    else all that had waited for it would leave at the same moment. Nothing is held while a row waits for its retry.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        rpm: float | None,
        tpm: float | None,
        exposure: Exposure,
        waits: Waits,
        random: Callable[[], float],
    ) -> None:
        self._door = asyncio.Lock()
        self._concurrency = Concurrency(concurrency)
        self._tokens = TokenPace(tpm)
        self._pace = Pace(rpm, beside_tokens=tpm is not None)
        self._cooldown = Cooldown(random, first_guess(rpm))
        self._outage = Outage(random)
        self._exposure = exposure
        self._waits = waits

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

    @asynccontextmanager
    async def slot(self, request: ChatRequest) -> AsyncIterator[Slot]:
        """Wait for leave to send; raises `WaitEndedError` when the run drains first."""
        taken = False
        try:
            async with self._waits.until(), self._door:
                await self._concurrency.room()
                await self._tokens.room()
                await self._pace.permit()
                await self._cooldown.over()
                await self._outage.over()
                await self._exposure.take(request.worst)
                self._concurrency.take()
                taken = True
            yield _LocalSlot(self, request, self._tokens.charge(request.expected))
        finally:
            if taken:
                self._exposure.give_back(request.worst)
                self._concurrency.give_back()

    def _ended(self, request: ChatRequest, charge: Charge | None, verdict: Completion | Failure) -> None:
        if isinstance(verdict, Completion):
            self._cooldown.answered()
            self._concurrency.grow()
            self._alive()
            self._tokens.answered(charge, verdict.usage)
        elif verdict.scope is Scope.EVERYONE:
            self._alive()
            self._slow_down(charge, verdict)
        elif verdict.kind in TRANSIENT:
            self._outage.lost(request.row_id, _weight(verdict))
            self._tokens.lost(charge)
            if verdict.kind is FailureKind.OVERLOADED and verdict.wait is not None:
                self._cooldown.refused(verdict.wait)
        elif verdict.kind is FailureKind.INTERRUPTED:
            self._tokens.lost(charge)
        else:
            self._alive()
            self._tokens.failed(charge)

    def _slow_down(self, charge: Charge | None, failure: Failure) -> None:
        """A refusal that may be about tokens is the ledger's matter: it guesses better how long to wait."""
        about_tokens = charge is not None and failure.limit in {"", "tokens"}
        if about_tokens:
            self._tokens.refused(charge)
        else:
            self._tokens.failed(charge)
        if failure.wait is not None or not about_tokens:
            self._cooldown.refused(failure.wait)

    def _alive(self) -> None:
        if self._outage.alive():
            self._concurrency.start_small()


def _weight(failure: Failure) -> int:
    doubtful = failure.http_status == INTERNAL_ERROR or failure.kind is FailureKind.UNREADABLE_REPLY
    return DOUBT if doubtful else SILENCE


class _LocalSlot:
    """A slot of a `LocalAdmission`."""

    __slots__ = ("_admission", "_charge", "_request")

    def __init__(self, admission: LocalAdmission, request: ChatRequest, charge: Charge | None) -> None:
        self._admission = admission
        self._request = request
        self._charge = charge

    def ended(self, verdict: Completion | Failure) -> None:
        self._admission._ended(self._request, self._charge, verdict)  # noqa: SLF001 - one thing in two classes
