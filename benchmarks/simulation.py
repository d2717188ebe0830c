"""A client and a service in virtual time, without an event loop: a heap of events, nothing else. An hour in some seconds.

The client is the shipped finder; the service is the gate of the fake gateway, with its own books, behind a network. A backlog
that never ends; answers whose length, and so their latency, is lognormal; a refusal costs a round trip and nothing else.
"""

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Protocol

from batch_runner.admission.finder import Refusal, Sent
from batch_runner.fake_server.dice import Dice
from batch_runner.fake_server.latency import SharedTime
from batch_runner.fake_server.limits.gate import Demanded, Gate, Pass
from batch_runner.fake_server.limits.gate import Refusal as Refused
from batch_runner.fake_server.limits.values import ConcurrencyLimit, Limit, RateLimit

ONE_WAY, JITTER, AT_THE_DOOR = 0.015, 0.010, 0.005
"""Seconds on the wire, the mean of what comes on top, and what a refusal takes at the service."""

SIGMA, UNEVEN = 0.8, 0.12
"""The spread of an answer's length, and of the time a token takes."""

USUAL_TOKENS, MOST_TOKENS = 1000, 12_000
LOOK = 0.5
"""Seconds between two looks at how many are in flight."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """What a client meets."""

    limits: tuple[Limit, ...] = ()
    latency: float = 10.0
    """Median seconds of an answer."""
    places: int | None = None
    """So many answers are computed at full speed, more share it; nothing is refused."""
    retry_after: str = "none"
    """`exact`, `rounded` up to seconds, always `zero`, always `wrong` (60 s), or `none`."""
    named: bool = False
    """Whether a refusal names the limit, in requests a minute."""
    lost: float = 0.0
    """The share of requests that end in a 5xx after a second."""
    moody: float = 0.0
    """The share of attempts that are refused whatever the pace."""
    refuses_first: bool = False
    """Whether each row's first attempt is refused, and a later one isn't."""
    prompt: int = 300
    cap: int = 8192
    usual_tokens: int = USUAL_TOKENS
    """The median tokens of an answer."""
    most_tokens: int = MOST_TOKENS


class Client(Protocol):
    """Decides when to send."""

    in_flight: int

    def wait(self, now: float) -> float:
        """Seconds until the next request may be sent."""

    def sent(self, now: float) -> Sent:
        """One goes now."""

    def answered(self, sent: Sent, now: float, tokens: int | None) -> None:
        """It was answered."""

    def refused(self, sent: Sent, now: float, refusal: Refusal) -> None:
        """It was refused."""

    def lost(self) -> None:
        """One ended in an error of the service's own."""

    def left(self, now: float) -> None:
        """One gave its place back."""


@dataclass
class Books:
    """What the service saw, by second."""

    seconds: int
    admitted: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    used_tokens: list[float] = field(default_factory=list)
    in_flight: list[int] = field(default_factory=list)
    """At the service, each half second."""
    slowness: list[tuple[float, float]] = field(default_factory=list)
    """When an answer came, and how many times as long it took as alone."""

    def __post_init__(self) -> None:
        self.admitted = [0] * (self.seconds + 1)
        self.refused = [0] * (self.seconds + 1)
        self.used_tokens = [0.0] * (self.seconds + 1)


@dataclass(slots=True)
class _Asked:
    sent: Sent
    tokens: int
    work: float
    again: bool = False
    """Whether the row was refused before."""
    leave: Pass | None = None


class Simulation:
    """One client at one service."""

    def __init__(self, service: Service, make: Callable[[], Client], *, seed: int, seconds: float) -> None:
        self.service, self.seconds = service, seconds
        self.client = make()
        self.random = random.Random(seed)  # noqa: S311 - a simulation's luck
        self.books = Books(int(seconds))
        self.phase = 60.0 * self.random.random()
        """How far the service's clock is ahead: its windows begin whenever they like."""
        self.gate = Gate(tuple(_later(limit, self.phase) for limit in service.limits), Dice(seed))
        self.now = 0.0
        self._shared = SharedTime(service.places) if service.places is not None else None
        self._serving: dict[int, _Asked] = {}
        self._events: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self._numbers = count()
        self._at_service = 0
        self._again = 0
        """Rows that were refused; they go before new ones."""
        self._wake_at = math.inf
        self._next_end = 0

    def run(self) -> "Simulation":
        """Play it to its end."""
        self._at(0.0, self._wake, None)
        self._at(LOOK, self._look, None)
        events = self._events
        while events:
            self.now, _, what, about = heapq.heappop(events)
            if self.now >= self.seconds:
                break
            what(about)
        return self

    def granted(self, since: float, until: float) -> float:
        """What the tightest limit would have let in, or served, between two moments."""
        if self._shared is not None:
            return (self.service.places or 0) * (until - since)
        allowance = (self.gate.rates[0] if self.gate.rates else self.gate.places[0]).allowance
        if isinstance(self.service.limits[0], ConcurrencyLimit):
            return sum(allowance.limit(since + self.phase + second) for second in range(int(until - since)))
        return allowance.between(since + self.phase, until + self.phase)

    def let_in(self, since: int, until: int) -> float:
        """What was let in or used between two seconds, as the service counts it."""
        limit = self.service.limits[0]
        if isinstance(limit, RateLimit) and limit.what == "tokens":
            if limit.counting != "reserve":
                return sum(self.books.used_tokens[since:until])
            return sum(self.books.admitted[since:until]) * (self.service.prompt + self.service.cap)
        return sum(self.books.admitted[since:until])

    @property
    def counts_places(self) -> bool:
        """Whether it is requests in flight that the service has so many of."""
        return self._shared is not None or isinstance(self.service.limits[0], ConcurrencyLimit)

    def places_used(self, second: int) -> float:
        """How many of its places were in use in a second."""
        looks = self.books.in_flight[round(second / LOOK) : round((second + 1) / LOOK)]
        return sum(min(look, self.granted(second, second + 1)) for look in looks) / max(1, len(looks))

    # --- events

    def _at(self, when: float, what: Callable[[Any], None], about: Any) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), what, about))

    def _wake(self, _nothing: None) -> None:
        if self.now >= self._wake_at - 1e-9:
            self._wake_at = math.inf
        self._send()

    def _send(self) -> None:
        client, now = self.client, self.now
        while (wait := client.wait(now)) <= 1e-9:
            service = self.service
            tokens = min(service.most_tokens, max(1, round(service.usual_tokens * self.random.lognormvariate(0.0, SIGMA))))
            work = service.latency * tokens / service.usual_tokens * self.random.lognormvariate(0.0, UNEVEN)
            again = self._again > 0
            self._again -= again
            self._at(now + self._network(), self._arrives, _Asked(client.sent(now), tokens, work, again))
        if now + wait < self._wake_at - 1e-9:
            self._wake_at = now + wait
            self._at(self._wake_at, self._wake, None)

    def _arrives(self, asked: _Asked) -> None:
        now, service = self.now, self.service
        if service.lost and self.random.random() < service.lost:
            self._at(now + 1.0 + self._network(), self._breaks, None)
            return
        if (service.refuses_first and not asked.again) or (service.moody and self.random.random() < service.moody):
            self._refuse(asked, Refusal())
            return
        leave = self.gate.admit(Demanded(service.prompt, service.cap), now + self.phase)
        if isinstance(leave, Refused):
            self._refuse(asked, self._said(leave))
            return
        self.books.admitted[int(now)] += 1
        self._at_service += 1
        asked.leave = leave
        if self._shared is None:
            self._at(now + asked.work, self._served, asked)
        else:
            self._serving[self._shared.enter(now, asked.work)] = asked
            self._schedule_end()

    def _schedule_end(self) -> None:
        assert self._shared is not None
        self._next_end += 1
        self._at(self.now + self._shared.next_end(self.now), self._some_end, self._next_end)

    def _some_end(self, number: int) -> None:
        if number != self._next_end:
            return
        assert self._shared is not None
        for job in self._shared.ended(self.now + 1e-9):
            self._served(self._serving.pop(job))
        if self._serving:
            self._schedule_end()

    def _served(self, asked: _Asked) -> None:
        self._at_service -= 1
        assert asked.leave is not None
        self.gate.settle(asked.leave, self.service.prompt + asked.tokens, self.now + self.phase)
        self.gate.leave(self.now + self.phase)
        self.books.used_tokens[int(self.now)] += self.service.prompt + asked.tokens
        self._at(self.now + self._network(), self._answers, asked)

    def _answers(self, asked: _Asked) -> None:
        self.books.slowness.append((self.now, (self.now - asked.sent.at) / asked.work))
        self.client.answered(asked.sent, self.now, asked.tokens)
        self.client.left(self.now)
        self._send()

    def _refuse(self, asked: _Asked, said: Refusal) -> None:
        self.books.refused[int(self.now)] += 1
        self._at(self.now + AT_THE_DOOR + self._network(), self._comes_back, (asked, said))

    def _comes_back(self, about: tuple[_Asked, Refusal]) -> None:
        asked, said = about
        self._again += 1
        self.client.refused(asked.sent, self.now, said)
        self.client.left(self.now)
        self._send()

    def _breaks(self, _nothing: None) -> None:
        self.client.lost()
        self.client.left(self.now)
        self._send()

    def _look(self, _nothing: None) -> None:
        self.books.in_flight.append(self._at_service)
        self._at(self.now + LOOK, self._look, None)
        self._send()

    def _said(self, refused: Refused) -> Refusal:
        told = {"exact": refused.wait, "rounded": float(math.ceil(refused.wait)), "zero": 0.0, "wrong": 60.0}
        limit = refused.limit
        rate = refused.amount / limit.window if self.service.named and isinstance(limit, RateLimit) else None
        return Refusal(wait=told.get(self.service.retry_after), rate=rate)

    def _network(self) -> float:
        return ONE_WAY + self.random.expovariate(1 / JITTER)


def _later(limit: Limit, seconds: float) -> Limit:
    """A limit whose changes come so much later, on a clock that is so much ahead."""
    changes = tuple(replace(change, at=change.at + seconds) for change in limit.changes)
    return replace(limit, changes=changes)
