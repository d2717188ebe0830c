"""The gate: all limits of a scenario, asked together and used together."""

import math
from dataclasses import dataclass

from batch_runner.fake_server.dice import Dice
from batch_runner.fake_server.limits.accounts import LimitAccount, PlacesAccount
from batch_runner.fake_server.limits.allowance import allowance_of
from batch_runner.fake_server.limits.meters import Ticket, meter_of
from batch_runner.fake_server.limits.values import ConcurrencyLimit, Limit, RateLimit, What

PLACE_WAIT = 1.0
"""Seconds until a place may be free: nobody knows, so this is what a service says."""


@dataclass(frozen=True, slots=True)
class Demanded:
    """What a request wants from the limits."""

    prompt_tokens: int
    cap: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request may not pass: the limit that keeps it out longest."""

    limit: Limit
    amount: float
    used: float
    requested: float
    wait: float

    @property
    def is_hopeless(self) -> bool:
        """Whether the request is larger than the limit itself and will never pass."""
        return math.isinf(self.wait)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """Where a limit stands, for the headers of an answer."""

    what: What
    limit: float
    remaining: float
    reset: float


class RateKeeper:
    """One rate limit: its meter and its account."""

    def __init__(self, limit: RateLimit, dice: Dice) -> None:
        self.limit = limit
        self.allowance = allowance_of(limit, dice)
        self.meter = meter_of(limit, self.allowance)
        self.account = LimitAccount(limit.name, self.allowance)

    def needed(self, wanted: Demanded) -> float:
        """Units a request must find free."""
        if self.limit.what == "requests" or self.limit.counting == "use":
            return 1.0
        return wanted.prompt_tokens + (self.limit.uncapped if wanted.cap is None else wanted.cap)

    def refusal(self, wanted: Demanded, now: float) -> Refusal | None:
        """Why the request may not pass, if so."""
        needed = self.needed(wanted)
        if self._counts_now:
            self.account.offer(now, needed)
        if (wait := self.meter.wait(now, needed)) <= 0:
            return None
        limit = self.allowance.limit(now)
        used = limit - self.meter.room(now)
        return Refusal(limit=self.limit, amount=limit, used=used, requested=needed, wait=wait)

    def take(self, wanted: Demanded, now: float) -> Ticket:
        """Uses what the request needs; a limit counted by use takes nothing before there is any."""
        needed = self.needed(wanted) if self._counts_now else 0.0
        self.account.use(needed)
        return self.meter.take(now, needed)

    def refuse(self, wanted: Demanded, now: float) -> None:
        """A request was refused; that may use up the limit all the same."""
        if self.limit.refusals_count:
            self.meter.punish(now, self.needed(wanted))

    def settle(self, ticket: Ticket, used: float, now: float) -> None:
        """The answer is there: a reservation gives back what wasn't used, a limit counted by use takes it."""
        if self.limit.what == "requests" or self.limit.counting == "reserve":
            return
        unused = ticket.amount - used
        if self.limit.counting == "use":
            self.account.offer(now, used)
        self.account.use(-unused)
        if unused > 0:
            self.meter.give_back(ticket, unused, now)
        else:
            self.meter.take(now, -unused)

    def quota(self, now: float) -> Quota:
        """Where the limit stands."""
        room = max(0.0, self.meter.room(now))
        limit = self.allowance.limit(now)
        return Quota(what=self.limit.what, limit=limit, remaining=room, reset=self.meter.full_in(now))

    @property
    def _counts_now(self) -> bool:
        return self.limit.what == "requests" or self.limit.counting != "use"


class PlaceKeeper:
    """One concurrency limit: the places taken, in its account."""

    def __init__(self, limit: ConcurrencyLimit, dice: Dice) -> None:
        self.limit = limit
        self.allowance = allowance_of(limit, dice)
        self.account = PlacesAccount(limit.name, self.allowance)

    def refusal(self, now: float) -> Refusal | None:
        """Why there is no place, if so."""
        self.account.offer(now, 1)
        places, taken = self.allowance.limit(now), self.account.taken
        if taken < places:
            return None
        return Refusal(limit=self.limit, amount=places, used=taken, requested=1, wait=PLACE_WAIT)


@dataclass(frozen=True, slots=True)
class Pass:
    """Leave to be served: what was taken of each rate limit, to be settled with what was used."""

    tickets: tuple[Ticket, ...] = ()


FREE = Pass()
"""Leave where there are no limits."""


class Gate:
    """All limits of one scenario."""

    def __init__(self, limits: tuple[Limit, ...], dice: Dice) -> None:
        self.rates = [RateKeeper(limit, dice) for limit in limits if isinstance(limit, RateLimit)]
        self.places = [PlaceKeeper(limit, dice) for limit in limits if isinstance(limit, ConcurrencyLimit)]

    @property
    def accounts(self) -> list[LimitAccount]:
        """The accounts of all limits, for the books."""
        return [rate.account for rate in self.rates] + [place.account for place in self.places]

    def admit(self, wanted: Demanded, now: float) -> Pass | Refusal:
        """Lets a request pass through all limits, or says which one it fails."""
        # Every limit is asked, though one no is enough: each has its own account of what was wanted.
        said = [(rate.account, rate.refusal(wanted, now)) for rate in self.rates]
        said += [(place.account, place.refusal(now)) for place in self.places]
        if refused := [(account, refusal) for account, refusal in said if refusal]:
            return self._refused(refused, wanted, now)
        for place in self.places:
            place.account.change(now, 1)
        return Pass(tuple(keeper.take(wanted, now) for keeper in self.rates))

    def settle(self, leave: Pass, used: float, now: float) -> None:
        """The answer is computed and so many tokens were used."""
        for keeper, ticket in zip(self.rates, leave.tickets, strict=True):
            keeper.settle(ticket, used, now)

    def leave(self, now: float) -> None:
        """A request that passed is done; its places are free."""
        for place in self.places:
            place.account.change(now, -1)

    def quotas(self, now: float) -> list[Quota]:
        """Where the rate limits stand, the first of each kind."""
        firsts: dict[What, RateKeeper] = {}
        for keeper in self.rates:
            firsts.setdefault(keeper.limit.what, keeper)
        return [keeper.quota(now) for keeper in firsts.values()]

    def _refused(self, refused: list[tuple[LimitAccount, Refusal]], wanted: Demanded, now: float) -> Refusal:
        for rate in self.rates:
            rate.refuse(wanted, now)
        account, refusal = max(refused, key=lambda each: each[1].wait)
        account.refused += 1
        return refusal
