"""Leave to send: what a worker needs of whoever gives it, here one process, elsewhere perhaps several machines together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from batch_runner.admission.finder import Learned
    from batch_runner.failures import Failure
    from batch_runner.hints import Quota
    from batch_runner.records import ChatRequest, Completion


class Slot(Protocol):
    """Leave to send one request."""

    def ended(self, verdict: Completion | Failure) -> None:
        """The attempt ended so. Limits, pauses and outages are learned from that alone."""
        ...

    def told(self, quota: Quota) -> None:
        """The reply's headers tell of a limit; it may be somebody else's."""
        ...


class Admission(Protocol):
    """Whoever decides when a request may be sent: here one process, elsewhere perhaps several machines together."""

    @property
    def in_flight(self) -> int:
        """Slots in use now."""
        ...

    @property
    def most_in_flight(self) -> int:
        """Slots that may be in use at once, as far as is known now."""
        ...

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot."""
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

    @property
    def learned(self) -> Learned | None:
        """What is known of the service's limits by now, if anything."""
        ...

    def slot(self, request: ChatRequest, *, after: Failure | None = None) -> AbstractAsyncContextManager[Slot]:
        """Wait for leave to send; raises `WaitEndedError` when the run drains first.

        `after`: how the row's first attempt ended, if this is its second.
        """
        ...

    async def permit_retry(self) -> None:
        """Wait until the run can afford one retry more; raises `WaitEndedError` when it drains first."""
        ...
