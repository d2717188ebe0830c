"""`async with admission.slot(request) as slot`: leave to send now, and the only way to get it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from batch_runner.admission.concurrency import Concurrency
from batch_runner.admission.cooldown import Cooldown
from batch_runner.admission.requests import Pace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from batch_runner.admission.exposure import Exposure
    from batch_runner.leaving import Waits
    from batch_runner.records import ChatRequest, Usage


class Slot(Protocol):
    """Leave to send one request. It is told how the attempt ended, and learns the limits from that alone."""

    def answered(self, usage: Usage | None) -> None:
        """The service answered, and used so much."""
        ...

    def refused(self, wait: float | None) -> None:
        """The service asked to slow down, for so many seconds where it said."""
        ...

    def lost(self) -> None:
        """No answer came, or one that says nothing about limits."""
        ...


class Admission(Protocol):
    """Whoever decides when a request may be sent: here one process, elsewhere perhaps several machines together."""

    @property
    def in_flight(self) -> int:
        """Slots in use now."""
        ...

    @property
    def pause_left(self) -> float:
        """Seconds that a shared pause still lasts."""
        ...

    def slot(self, request: ChatRequest) -> AbstractAsyncContextManager[Slot]:
        """Wait for leave to send; raises `WaitEndedError` when the run drains first."""
        ...


class LocalAdmission:
    """The limits of one process, taken in this order: a place in flight, the end of a pause, cover on disk, the pace.

    The pace comes last, so that no permit is taken and then left idle. Nothing is held while a row waits for its retry.
    """

    def __init__(
        self, *, concurrency: int, rpm: float | None, exposure: Exposure, waits: Waits, random: Callable[[], float]
    ) -> None:
        self._concurrency = Concurrency(concurrency)
        self._pace = Pace(rpm)
        self._cooldown = Cooldown(random)
        self._exposure = exposure
        self._waits = waits

    @property
    def in_flight(self) -> int:
        """Slots in use now."""
        return self._concurrency.in_flight

    @property
    def pause_left(self) -> float:
        """Seconds that a shared pause still lasts."""
        return self._cooldown.left

    @asynccontextmanager
    async def slot(self, request: ChatRequest) -> AsyncIterator[Slot]:
        """Wait for leave to send; raises `WaitEndedError` when the run drains first."""
        async with self._waits.until():
            await self._concurrency.take()
        try:
            async with self._waits.until():
                await self._cooldown.over()
                await self._pace.permit()
                await self._cooldown.over()  # it may have begun while the permit was waited for
                await self._exposure.take(request.worst)
            try:
                yield _LocalSlot(self._cooldown)
            finally:
                self._exposure.give_back(request.worst)
        finally:
            self._concurrency.give_back()


class _LocalSlot:
    """A slot whose ending feeds the shared pause."""

    __slots__ = ("_cooldown",)

    def __init__(self, cooldown: Cooldown) -> None:
        self._cooldown = cooldown

    def answered(self, _usage: Usage | None) -> None:
        self._cooldown.answered()

    def refused(self, wait: float | None) -> None:
        self._cooldown.refused(wait)

    def lost(self) -> None:
        """Nothing to learn yet."""
