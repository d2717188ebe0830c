"""Meters: the three ways a service counts what goes through, each on a clock it is given.

All three answer the same questions: what is left, how long until an amount fits, when everything is free again. What is
taken leaves a ticket, so that the unused part of a reservation can be given back where it was taken from.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from batch_runner.fake_server.limits.allowance import Allowance
from batch_runner.fake_server.limits.values import RateLimit

SMALL = 1e-9
"""Sums of fractions of a second miss a whole unit by less than this."""


@dataclass(slots=True)
class Ticket:
    """What was taken, and when."""

    at: float
    amount: float


class Meter(Protocol):
    """What every shape of limit can tell and do; times never go backwards."""

    def capacity(self, now: float) -> float:
        """The largest amount that could ever fit."""

    def room(self, now: float) -> float:
        """Units left right now; below zero when more was used than granted."""

    def wait(self, now: float, amount: float) -> float:
        """Seconds until the amount fits, as far as is known now; 0 if it fits, infinity if it never will."""

    def full_in(self, now: float) -> float:
        """Seconds until nothing is used."""

    def take(self, now: float, amount: float) -> Ticket:
        """Uses an amount, whether it fits or not."""

    def give_back(self, ticket: Ticket, amount: float, now: float) -> None:
        """Frees a part of what was taken."""

    def punish(self, now: float, amount: float) -> None:
        """Uses an amount for a request that was refused."""


class TokenBucket:
    """Fills evenly, up to its depth; starts full."""

    def __init__(self, allowance: Allowance, burst: float | None = None) -> None:
        self._allowance = allowance
        self._burst = burst
        self._level = self.capacity(0.0)
        self._seen = 0.0

    def capacity(self, now: float) -> float:
        """The depth: as told, else a whole window's worth."""
        return self._allowance.granted(now) if self._burst is None else self._burst

    def room(self, now: float) -> float:
        """The level."""
        filled = self._level + self._allowance.between(self._seen, now)
        self._level, self._seen = min(self.capacity(now), filled), now
        return self._level

    def wait(self, now: float, amount: float) -> float:
        """Until it has filled up so far."""
        missing = amount - self.room(now)
        if missing <= SMALL:
            return 0.0
        return math.inf if amount > self.capacity(now) + SMALL else missing / max(self._allowance.rate(now), SMALL)

    def full_in(self, now: float) -> float:
        """Until it is full to its depth."""
        return (self.capacity(now) - self.room(now)) / max(self._allowance.rate(now), SMALL)

    def take(self, now: float, amount: float) -> Ticket:
        """Drains it, into debt if need be."""
        self._level = self.room(now) - amount
        return Ticket(now, amount)

    def give_back(self, ticket: Ticket, amount: float, now: float) -> None:
        """Pours back, as far as there is room."""
        ticket.amount -= amount
        self._level = min(self.capacity(now), self.room(now) + amount)

    def punish(self, now: float, amount: float) -> None:
        """Drains what is there; refusals alone never make a debt."""
        self.take(now, min(amount, max(0.0, self.room(now))))


class FixedWindow:
    """Counts from boundary to boundary, and forgets everything there."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._window = 0
        self._used = 0.0

    def capacity(self, now: float) -> float:
        """What a window grants."""
        return self._allowance.granted(now)

    def room(self, now: float) -> float:
        """What is left of this window."""
        self._turn_to(now)
        return self.capacity(now) - self._used

    def wait(self, now: float, amount: float) -> float:
        """Until the next boundary."""
        if amount <= self.room(now) + SMALL:
            return 0.0
        return math.inf if amount > self.capacity(now) + SMALL else self._to_boundary(now)

    def full_in(self, now: float) -> float:
        """Until the next boundary, if anything is used."""
        self._turn_to(now)
        return self._to_boundary(now) if self._used else 0.0

    def take(self, now: float, amount: float) -> Ticket:
        """Counts it to this window."""
        self._turn_to(now)
        self._used += amount
        return Ticket(now, amount)

    def give_back(self, ticket: Ticket, amount: float, now: float) -> None:
        """Counts less, if the window it was counted to is still this one."""
        self._turn_to(now)
        ticket.amount -= amount
        if self._number(ticket.at) == self._window:
            self._used -= amount

    def punish(self, now: float, amount: float) -> None:
        """Counts it like any other."""
        self.take(now, amount)

    def _number(self, now: float) -> int:
        return math.floor(now / self._allowance.window + SMALL)

    def _turn_to(self, now: float) -> None:
        if (number := self._number(now)) != self._window:
            self._window, self._used = number, 0.0

    def _to_boundary(self, now: float) -> float:
        return (self._number(now) + 1) * self._allowance.window - now


class SlidingWindow:
    """Remembers everything that was taken within the last window."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._log: deque[Ticket] = deque()
        self._used = 0.0

    def capacity(self, now: float) -> float:
        """What any window may hold."""
        return self._allowance.granted(now)

    def room(self, now: float) -> float:
        """What this window may still hold."""
        while self._log and self._left(self._log[0], now) <= SMALL:
            self._used -= self._log.popleft().amount
        return self.capacity(now) - self._used

    def wait(self, now: float, amount: float) -> float:
        """Until enough of the oldest has left the window."""
        missing = amount - self.room(now)
        if missing <= SMALL:
            return 0.0
        for ticket in self._log:
            missing -= ticket.amount
            if missing <= SMALL:
                return self._left(ticket, now)
        return math.inf

    def full_in(self, now: float) -> float:
        """Until the newest has left the window."""
        self.room(now)
        return self._left(self._log[-1], now) if self._log else 0.0

    def take(self, now: float, amount: float) -> Ticket:
        """Writes it to the log."""
        self.room(now)
        ticket = Ticket(now, amount)
        self._log.append(ticket)
        self._used += amount
        return ticket

    def give_back(self, ticket: Ticket, amount: float, now: float) -> None:
        """Corrects the log, if it is still there."""
        self.room(now)
        if self._left(ticket, now) > SMALL:
            self._used -= amount
        ticket.amount -= amount

    def punish(self, now: float, amount: float) -> None:
        """Logs it like any other: who hammers a full window keeps it full."""
        self.take(now, amount)

    def _left(self, ticket: Ticket, now: float) -> float:
        return ticket.at + self._allowance.window - now


def meter_of(limit: RateLimit, allowance: Allowance) -> Meter:
    """The meter that a limit's shape asks for."""
    if limit.shape == "bucket":
        return TokenBucket(allowance, limit.burst)
    return FixedWindow(allowance) if limit.shape == "fixed" else SlidingWindow(allowance)
