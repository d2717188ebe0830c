"""Whether a limit on tokens holds a request: one that the user told, or one that a refusal named."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING

from batch_runner.admission.finder import Learned
from batch_runner.admission.tokens import TokenLedger
from batch_runner.admission.trust import LOOK_BACK_SECONDS, Trust, is_anothers
from batch_runner.failures import MAYBE_BILLED, FailureKind
from batch_runner.records import Completion

if TYPE_CHECKING:
    from batch_runner.admission.tokens import Charge
    from batch_runner.failures import Failure
    from batch_runner.records import Tokens

RAISED, RAISE_SECONDS, FORGOTTEN = 1.25, 15.0, 8.0
"""A limit that was named a while ago is raised each so many seconds, until it is none at so many times what was named."""


class TokenPace:
    """Waits for a ledger. Without a limit everything goes through, and nothing is charged."""

    def __init__(self, per_minute: float | None) -> None:
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._told = per_minute
        self.ledger = TokenLedger(per_minute, self._clock) if per_minute is not None else None
        self._on = self.ledger is not None
        self._trust = Trust()
        self._limit = self._most = per_minute or math.inf
        self._raise_at, self._named_at = math.inf, 0.0
        self._used = _Lately()

    @property
    def left(self) -> float:
        """Seconds until one more request may be sent, were nothing given back meanwhile; 0 when it may now."""
        return self.ledger.wait() if self.ledger is not None and self._on else 0.0

    def named(self, per_minute: float, usual: float) -> bool:
        """A refusal names the limit; an answer and its prompt usually have so many tokens. Whether it is counted from now on.

        It is the answer for some time, unless the user told a tighter one, or more was used all the time: a gateway may pass on
        what one of many accounts behind it said.
        """
        now, rate = self._clock(), per_minute / 60.0
        if (self._told is not None and self._told <= per_minute) or rate == self._trust.named:
            return False
        if is_anothers(rate, self._used.since, self._began, now):
            self._on = self._told is not None
            return False
        self._believe(per_minute, now, usual).change(per_minute)
        return True

    def begin_at(self, per_minute: float, age: float) -> None:
        """An earlier run was told this so many seconds ago."""
        if self._told is None or per_minute < self._told:
            self._believe(per_minute, self._clock() - age, 0.0).raise_to(per_minute)

    def _believe(self, per_minute: float, named_at: float, usual: float) -> TokenLedger:
        self._trust.name(per_minute / 60.0, self._clock(), a_request=max(1.0, usual))
        if self.ledger is None:
            self.ledger = TokenLedger(per_minute, self._clock, usual or None)
        self._on, self._limit, self._raise_at, self._named_at = True, per_minute, math.inf, named_at
        return self.ledger

    def learned(self, in_flight: int) -> Learned | None:
        """The limit that was named, if one is believed."""
        if self._trust.named is None:
            return None
        return Learned("tokens", self._trust.named, in_flight, self._clock() - self._named_at)

    def looks_beyond(self) -> bool:
        """True once, when a limit that a refusal named was believed for long enough: from then on it is raised step by step."""
        if self.ledger is None:
            return False
        now = self._clock()
        if began := self._trust.expired(now):
            self._most, self._raise_at = FORGOTTEN * self._limit if self._told is None else self._told, now
        if now >= self._raise_at:
            self._raise_at = now + RAISE_SECONDS
            self._limit = min(RAISED * self._limit, self._most)
            self.ledger.raise_to(self._limit)
            if self._limit >= self._most:
                self._raise_at, self._on = math.inf, self._told is not None
        return began

    def explains(self, failure: Failure) -> bool:
        """Whether a refusal is the ledger's matter: it may be about tokens, and a stricter way of counting is left to try."""
        counted = self.ledger is not None and self._on and self.ledger.has_another_way
        return counted and may_be_about_tokens(failure)

    def charge(self, expected: Tokens) -> Charge | None:
        """A request is sent."""
        return self.ledger.charge(expected) if self.ledger is not None and self._on else None

    def ended(self, charge: Charge | None, verdict: Completion | Failure | None) -> None:
        """It ended so; `None`: nobody knows how."""
        if isinstance(verdict, Completion) and verdict.usage is not None:
            self._used.add(self._clock(), verdict.usage.total_tokens or 0)
        if self.ledger is None or charge is None:
            return
        if isinstance(verdict, Completion):
            self.ledger.answered(charge, verdict.usage)
        elif verdict is None or verdict.kind in MAYBE_BILLED:
            self.ledger.lost(charge)
        elif may_be_about_tokens(verdict):
            self.ledger.refused(charge)
        else:
            self.ledger.failed(charge)


def may_be_about_tokens(failure: Failure) -> bool:
    """True for a refusal that names tokens, or no limit at all."""
    return failure.kind is FailureKind.RATE_LIMITED and failure.limit in {"", "tokens"}


class _Lately:
    """Sums by the second, for two minutes."""

    def __init__(self) -> None:
        self._sums: deque[tuple[int, int]] = deque(maxlen=int(LOOK_BACK_SECONDS) + 1)

    def add(self, now: float, amount: int) -> None:
        second, before = int(now), 0
        if self._sums and self._sums[-1][0] == second:
            before = self._sums.pop()[1]
        self._sums.append((second, before + amount))

    def since(self, moment: float) -> int:
        return sum(amount for second, amount in self._sums if second >= moment)
