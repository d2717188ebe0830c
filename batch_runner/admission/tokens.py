"""Tokens per minute, whatever way the service counts them.

A service counts a request's tokens in one of three ways and doesn't say which: prompt + cap when it comes; the same, and what
wasn't used is given back at the end; or what was used, at the end. A client that reserves the cap uses a twentieth of a
service that counts use; one that counts use is refused again and again by a service that reserves. So there are three books,
and a ladder: the most trusting first, a step down when the service refuses while the book still has room, and, after some
time, a step up to see whether that was bad luck.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch_runner.records import Tokens, Usage

SHARE = 0.995
"""Of the limit: a hair for the service's bucket to breathe."""

DEPTH_SECONDS = 3.0
"""How many seconds' worth of the limit may be saved up: beside a request limit, less would leave a twentieth of both unused."""

FIRST_USES = 10
"""So many answers make a mean worth trusting; until then the cap is charged."""

LAST_USES = 300
SMALL = 1e-6
"""Sums of fractions miss zero by less than this, and a wait for that would never end."""

STAND_BACK_SECONDS = 3.0
"""How many seconds' worth of the limit a refusal takes away: the service's book is emptier than ours."""

FIRST_PAUSE, MOST_PAUSE = 0.5, 8.0
"""Seconds before one request is sent alone to look whether tokens are let in again; doubled each time they aren't."""

SILENCE_SECONDS = 0.4
"""A refusal takes milliseconds: a request not refused within this time was let in."""

STRIKES_IN_SECONDS = ((2, 15.0), (3, 120.0))
"""So many refusals within so long, each after something had been let in, are the book's fault."""

RETEST_SECONDS = 600.0
"""After this time the more trusting book gets another chance; after twice this time the next, and so on."""

LEAST_SHARE, SHARE_STEP = 0.5, 0.03
"""When even the strictest book is refused, the limit isn't what we were told."""

MOST_SKEW = 4.0
"""How far the service's count of prompt tokens is believed to be from our estimate."""


class Book(IntEnum):
    """How a request is charged."""

    USE = 0
    """The mean of what answers used lately; settled at the end."""
    SETTLE = 1
    """The cap; what wasn't used is given back at the end."""
    RESERVE = 2
    """The cap; nothing is given back."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What a request in flight was charged."""

    number: int
    book: Book
    amount: float
    expected: Tokens
    at: float


class TokenLedger:
    """What may be sent now, in tokens; pure but for the clock it is given.

    A request goes when the balance isn't negative, and takes it into debt: so one larger than all that can be saved up goes
    alone, and what comes after it waits.
    """

    def __init__(self, per_minute: float, clock: Callable[[], float], usual: float | None = None) -> None:
        """`usual`: tokens of an answer with its prompt, as far as is known."""
        self.book = Book.USE
        self._usual = usual
        self._rate = per_minute / 60.0
        self._clock = clock
        self._share = 1.0
        self._balance = 0.0
        self._balanced_at = clock()
        self._paused_until = 0.0
        self._alone = False
        self._sent = 0
        self._cut_at = 0
        self._pause = FIRST_PAUSE
        self._first_since_cut: Charge | None = None
        self._strikes: list[float] = []
        self._stepped_at = clock()
        self._retest = RETEST_SECONDS
        self._uses = _Uses()

    @property
    def has_another_way(self) -> bool:
        """False once even the strictest book was refused: then the limit that was told isn't the one that refuses."""
        return self._share >= 1.0

    def wait(self) -> float:
        """Seconds until the next request may be sent, were nothing given back meanwhile; 0 when it may now."""
        now = self._accrue()
        self._maybe_step_up(now)
        if now < self._paused_until:
            return self._paused_until - now
        if self._alone or self._balance >= -SMALL:
            return 0.0
        return -self._balance / (SHARE * self._share * self._rate)

    def charge(self, expected: Tokens) -> Charge:
        """A request is sent that will probably use `expected` tokens, its completion at the cap."""
        now = self._accrue()
        if self._alone:
            self._alone = False
            self._paused_until = now + SILENCE_SECONDS
        charge = Charge(self._sent, self.book, self._price(expected, now), expected, now)
        self._first_since_cut = self._first_since_cut or charge
        self._sent += 1
        self._balance -= charge.amount
        self._uses.began(now)
        return charge

    def answered(self, charge: Charge, usage: Usage | None) -> None:
        """It was answered, and used so much."""
        now = self._accrue()
        used = charge.amount
        if usage is not None and usage.completion_tokens is not None and usage.prompt_tokens is not None:
            used = usage.prompt_tokens + usage.completion_tokens
            use = _Use(usage.completion_tokens, now - charge.at, usage.prompt_tokens, charge.expected.prompt)
            self._uses.ended(charge, use)
        else:
            self._uses.left(charge)
        self._settle(charge, used)

    def failed(self, charge: Charge) -> None:
        """It failed for a reason that says nothing about tokens, and used none."""
        self._accrue()
        self._uses.left(charge)
        self._settle(charge, 0.0)

    def lost(self, charge: Charge) -> None:
        """Nobody knows what became of it: it counts as charged."""
        self._accrue()
        self._uses.left(charge)

    def refused(self, charge: Charge) -> None:
        """The service had no room for it."""
        now = self._accrue()
        self._uses.left(charge)
        self._balance += charge.amount
        if charge.number < self._cut_at:
            return  # sent before we knew: the same refusal, heard again
        let_in_since = self._let_in_before(charge)
        self._cut_at, self._first_since_cut = self._sent, None
        if let_in_since:
            self._stand_back(now)
            self._strike(now)
        else:
            self._pause = min(MOST_PAUSE, 2 * self._pause)
            self._look_alone(now)

    def change(self, per_minute: float) -> None:
        """A refusal says that the limit is this: that, and not the way of counting, is why it came."""
        now = self._accrue()
        self._rate = per_minute / 60.0
        self._cut_at, self._first_since_cut = self._sent, None
        self._stand_back(now)

    def raise_to(self, per_minute: float) -> None:
        """The limit may be this by now."""
        self._accrue()
        self._rate = per_minute / 60.0

    def _stand_back(self, now: float) -> None:
        """The service's book is emptier than ours."""
        self._pause = FIRST_PAUSE
        self._balance = min(self._balance, 0.0) - STAND_BACK_SECONDS * self._rate
        self._look_alone(now)

    def _look_alone(self, now: float) -> None:
        self._paused_until = now + self._pause
        self._alone = True

    def _strike(self, now: float) -> None:
        longest = max(seconds for _, seconds in STRIKES_IN_SECONDS)
        self._strikes = [at for at in self._strikes if now - at < longest] + [now]
        if any(len(self._strikes) >= count and now - self._strikes[-count] < within for count, within in STRIKES_IN_SECONDS):
            self._step_down(now)

    def _step_down(self, now: float) -> None:
        """Believe the stricter book; where there is none, believe in a smaller limit."""
        if self.book is Book.RESERVE:
            self._share = max(LEAST_SHARE, self._share - SHARE_STEP)
        else:
            self.book = Book(self.book + 1)
        self._strikes = []
        self._stepped_at = now

    def _maybe_step_up(self, now: float) -> None:
        """Give the more trusting book a chance, on two strikes: one refusal, and it is over."""
        if now - self._stepped_at < self._retest or (self.book is Book.USE and self._share >= 1.0):
            return
        self._stepped_at = now
        if self._share < 1.0:
            self._share = min(1.0, self._share + SHARE_STEP)
            return
        self.book = Book(self.book - 1)
        self._strikes = [now, now]
        self._retest *= 2

    def _let_in_before(self, refused: Charge) -> bool:
        """True when something was let in since the refusal before this one: silence says so, an answer would come too late."""
        first = self._first_since_cut
        return not self._strikes or (first is not None and first is not refused and refused.at - first.at > SILENCE_SECONDS)

    def _settle(self, charge: Charge, used: float) -> None:
        if charge.book is not Book.RESERVE and self.book is not Book.RESERVE:
            self._balance += charge.amount - used

    def _price(self, expected: Tokens, now: float) -> float:
        prompt = expected.prompt * self._uses.prompt_skew
        mean = self._uses.mean(now) if self.book is Book.USE else None
        if mean is None and self.book is Book.USE and self._usual is not None:
            mean = max(0.0, self._usual - prompt)
        return prompt + (expected.completion if mean is None else min(expected.completion, mean))

    def _accrue(self) -> float:
        now = self._clock()
        depth = DEPTH_SECONDS * self._rate
        if self._balance < depth:
            self._balance = min(depth, self._balance + SHARE * self._share * self._rate * (now - self._balanced_at))
        self._balanced_at = now
        return now


class _Use(NamedTuple):
    """What one answer used."""

    completion: int
    seconds: float
    prompt: int
    prompt_expected: int

    def plus(self, other: _Use, times: int = 1) -> _Use:
        return _Use(
            self.completion + times * other.completion,
            self.seconds + times * other.seconds,
            self.prompt + times * other.prompt,
            self.prompt_expected + times * other.prompt_expected,
        )


class _Uses:
    """What the last answers used, those still on their way included.

    The first answers to come are the short ones. So a running request counts with the tokens it must have made by now.
    """

    def __init__(self) -> None:
        self._last: deque[_Use] = deque(maxlen=LAST_USES)
        self._sum = _Use(0, 0.0, 0, 0)
        self._in_flight = 0
        self._starts = 0.0

    @property
    def prompt_skew(self) -> float:
        """The service's count of prompt tokens over our estimate of them."""
        if len(self._last) < FIRST_USES or not self._sum.prompt or not self._sum.prompt_expected:
            return 1.0
        return min(MOST_SKEW, max(1 / MOST_SKEW, self._sum.prompt / self._sum.prompt_expected))

    def mean(self, now: float) -> float | None:
        """Completion tokens of an answer; `None` while too few have come."""
        count = len(self._last)
        if count < FIRST_USES:
            return None
        running = 0.0
        if count < LAST_USES and self._sum.seconds > 0:
            running = (now * self._in_flight - self._starts) * self._sum.completion / self._sum.seconds
        return (self._sum.completion + running) / count

    def began(self, now: float) -> None:
        self._in_flight += 1
        self._starts += now

    def left(self, charge: Charge) -> None:
        self._in_flight -= 1
        self._starts -= charge.at

    def ended(self, charge: Charge, use: _Use) -> None:
        self.left(charge)
        gone = self._last[0] if len(self._last) == LAST_USES else _Use(0, 0.0, 0, 0)
        self._last.append(use)
        self._sum = self._sum.plus(use).plus(gone, -1)
