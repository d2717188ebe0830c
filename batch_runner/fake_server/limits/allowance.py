"""An allowance: what a limit grants at any time, its changes and its other tenant taken into account.

It is a function of time that is constant between breaks; both the limiters and the books read it, so that the used share is
measured against the very thing that was enforced.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from batch_runner.fake_server.dice import Dice
from batch_runner.fake_server.limits.values import Change, ConcurrencyLimit, RateLimit, Tenant

Piece = tuple[float, float, float]
"""From, to, and the units granted per second in between."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """Units granted per `window` seconds."""

    amount: float
    window: float
    changes: tuple[Change, ...] = ()
    tenant: Tenant | None = None
    dice: Dice = Dice()

    def limit(self, now: float) -> float:
        """What the service says its limit is, per window, whoever else uses it."""
        amount = self.amount
        for change in self.changes:
            if change.at <= now:
                amount = change.amount
        return amount

    def granted(self, now: float) -> float:
        """What is left of it for us, per window."""
        return self.limit(now) * (1.0 - self._taken(now))

    def rate(self, now: float) -> float:
        """Units a second."""
        return self.granted(now) / self.window

    def between(self, start: float, end: float) -> float:
        """Units granted from one time to another."""
        if not self.changes and self.tenant is None:
            return max(0.0, end - start) * self.amount / self.window
        return sum((to - at) * rate for at, to, rate in self.pieces(start, end))

    def pieces(self, start: float, end: float) -> Iterator[Piece]:
        """The stretches of constant rate from one time to another."""
        while start < end:
            to = min(end, self._next_break(start))
            yield start, to, self.rate(start)
            start = to

    def _taken(self, now: float) -> float:
        if self.tenant is None:
            return 0.0
        luck = self.dice.luck("tenant", math.floor(now / self.tenant.every))
        return self.tenant.low + (self.tenant.high - self.tenant.low) * luck

    def _next_break(self, now: float) -> float:
        breaks = [change.at for change in self.changes if change.at > now]
        if self.tenant:
            breaks.append((math.floor(now / self.tenant.every) + 1) * self.tenant.every)
        return min(breaks, default=math.inf)


def allowance_of(limit: RateLimit | ConcurrencyLimit, dice: Dice) -> Allowance:
    """The allowance a scenario's limit stands for; of a concurrency limit, the places, second by second."""
    if isinstance(limit, ConcurrencyLimit):
        return Allowance(limit.amount, 1.0, limit.changes)
    scale = limit.window / limit.per
    changes = tuple(Change(change.at, change.amount * scale) for change in limit.changes)
    return Allowance(limit.amount * scale, limit.window, changes, limit.tenant, dice)
