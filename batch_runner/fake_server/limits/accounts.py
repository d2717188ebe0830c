"""How much of a limit was used while somebody wanted to use it.

*Demand* lasts from the first request to the last one, but for stretches of more than `IDLE` seconds in which nothing was
open and nothing came. What is used counts if it was used before the last request, because the last one's own share belongs
to a time that was not watched: requests sent exactly at the limit's pace give exactly 1. A burst of a full bucket gives
more, and honestly so.
"""

from dataclasses import dataclass, field

from batch_runner.fake_server.limits.allowance import Allowance
from batch_runner.fake_server.peaks import SlidingPeak

IDLE = 60.0
"""Seconds of silence after which a client is thought to want nothing."""
SECOND = 1.0
MINUTE = 60.0


@dataclass(slots=True)
class Demand:
    """The stretch in which requests come."""

    started: float | None = None
    last: float = 0.0
    quiet_since: float = 0.0

    def arrive(self, now: float, *, others_open: bool) -> bool:
        """A request comes; whether it goes on with the stretch there was, rather than begin a new one."""
        silence = 0.0 if others_open else now - self.quiet_since
        goes_on = self.started is not None and silence <= IDLE
        if not goes_on:
            self.started = now
        self.last = self.quiet_since = now
        return goes_on

    def leave(self, now: float) -> None:
        """A request is done."""
        self.quiet_since = max(self.quiet_since, now)


@dataclass(slots=True)
class LimitAccount:
    """What was wanted, granted and used of one limit."""

    name: str
    allowance: Allowance
    refused: int = 0
    granted: float = 0.0
    used: float = 0.0
    offered_second: SlidingPeak = field(default_factory=lambda: SlidingPeak(SECOND))
    offered_minute: SlidingPeak = field(default_factory=lambda: SlidingPeak(MINUTE))
    worst_second: float = 0.0
    worst_minute: float = 0.0
    _pending: float = 0.0
    _watched_to: float = 0.0

    def forget(self) -> None:
        """Starts a new account."""
        self.refused, self.granted, self.used, self._pending = 0, 0.0, 0.0, 0.0
        self.offered_second, self.offered_minute = SlidingPeak(SECOND), SlidingPeak(MINUTE)
        self.worst_second = self.worst_minute = 0.0

    def arrive(self, now: float, *, goes_on: bool) -> None:
        """A request comes: everything until now was under demand, if the stretch goes on."""
        if goes_on:
            self.granted += self.allowance.between(self._watched_to, now)
            self.used += self._pending
        self._pending, self._watched_to = 0.0, now

    def offer(self, now: float, amount: float) -> None:
        """Somebody wants this much, and may or may not get it."""
        self.offered_second.add(now, amount)
        self.offered_minute.add(now, amount)
        rate = self.allowance.rate(now)
        if rate > 0:
            self.worst_second = max(self.worst_second, self.offered_second.sum / (rate * SECOND))
            self.worst_minute = max(self.worst_minute, self.offered_minute.sum / (rate * MINUTE))

    def use(self, amount: float) -> None:
        """So much of the limit was used up, or, below zero, given back."""
        self._pending += amount

    def as_json(self) -> dict[str, object]:
        """The account as `/stats` shows it."""
        return {
            "name": self.name,
            "refused": self.refused,
            "granted": round(self.granted, 6),
            "used": round(self.used, 6),
            "used_share": self.used / self.granted if self.granted > 0 else None,
            "worst_second": self.worst_second,
            "worst_minute": self.worst_minute,
        }


@dataclass(slots=True)
class PlacesAccount(LimitAccount):
    """The account of a concurrency limit: what is used is places times seconds."""

    taken: int = 0
    _since: float = 0.0

    def arrive(self, now: float, *, goes_on: bool) -> None:
        """Until now the places taken were taken."""
        self._settle(now)
        LimitAccount.arrive(self, now, goes_on=goes_on)

    def offer(self, now: float, amount: float) -> None:
        """One more wants a place."""
        places = self.allowance.granted(now)
        if places > 0:
            self.worst_second = self.worst_minute = max(self.worst_second, (self.taken + amount) / places)

    def change(self, now: float, by: int) -> None:
        """A place is taken, or free again."""
        self._settle(now)
        self.taken += by

    def _settle(self, now: float) -> None:
        self.use(self.taken * (now - self._since))
        self._since = now
