"""Caps on what an output may cost over its life, in money or tokens: what is in flight counts at its worst.

A request is sent only if all that was spent, all that may have been billed, the worst of everything in flight and its own worst
fit together. So no cap is passed, in whatever order answers come, as long as none costs more than its worst.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from batch_runner.failures import MAYBE_BILLED
from batch_runner.records import Completion, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from batch_runner.failures import Failure
    from batch_runner.records import ChatRequest


@dataclass(slots=True)
class Cap:
    """One cap, and how much of it is gone."""

    flag: str
    """How the user calls it, `--max-cost 5`."""
    limit: Decimal
    measure: Callable[[str, Usage], Decimal]
    """What one request's usage of a model comes to: US dollars, or tokens."""
    used: Decimal
    """Spent, or maybe billed, in all runs of the output."""
    reserved: Decimal = Decimal(0)
    """The worst of what is in flight."""
    in_dollars: bool = False
    """True for money, false for tokens."""

    def worst(self, request: ChatRequest) -> Decimal:
        """What a request can come to."""
        return self.measure(request.model, Usage.at_worst(request.worst))

    def holds(self, request: ChatRequest) -> bool:
        """Whether a request fits beside everything else."""
        return self.used + self.reserved + self.worst(request) <= self.limit


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a request in flight was given of each cap."""

    request: ChatRequest
    amounts: tuple[Decimal, ...]


class Budget:
    """All caps of a run. `reached` is called, once, with the cap that not even a request alone fits under any more."""

    def __init__(self, caps: Sequence[Cap], reached: Callable[[Cap, ChatRequest], None]) -> None:
        self._caps = tuple(caps)
        self._reached = reached
        self._in_flight = 0
        self._over = False
        self.held_by = ""
        """The flag that keeps the next request waiting now."""

    def holds_back(self, request: ChatRequest) -> bool:
        """Whether a request has to wait for those in flight; for ever where there is none that could make room."""
        if not self._caps:
            return False
        cap = next((cap for cap in self._caps if not cap.holds(request)), None)
        self.held_by = cap.flag if cap is not None else ""
        if cap is not None and not self._in_flight and not self._over:
            self._over = True
            self._reached(cap, request)
        return cap is not None

    def reserve(self, request: ChatRequest) -> Reservation:
        """Set a request's worst aside; it is sent now."""
        self._in_flight += 1
        if not self._caps:
            return Reservation(request, ())
        amounts = tuple(cap.worst(request) for cap in self._caps)
        for cap, amount in zip(self._caps, amounts, strict=True):
            cap.reserved += amount
        return Reservation(request, amounts)

    def settle(self, reservation: Reservation, verdict: Completion | Failure | None) -> None:
        """The request ended so, and came to what it used; where nobody knows how it ended, to its worst."""
        for cap, amount in zip(self._caps, reservation.amounts, strict=True):
            cap.reserved -= amount
            cap.used += _came_to(cap, reservation.request, amount, verdict)
        self._in_flight -= 1


def _came_to(cap: Cap, request: ChatRequest, worst: Decimal, verdict: Completion | Failure | None) -> Decimal:
    if verdict is None:
        return worst
    if verdict.usage is not None:
        return cap.measure(request.model, verdict.usage)
    return worst if isinstance(verdict, Completion) or verdict.kind in MAYBE_BILLED else Decimal(0)
