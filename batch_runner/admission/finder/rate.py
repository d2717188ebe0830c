"""The first hypothesis: so many requests a second, whoever counts them. Its actuator is the pace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_runner.admission.finder.climb import Climb
from batch_runner.admission.finder.estimate import Estimate
from batch_runner.admission.finder.pace import Pace
from batch_runner.admission.trust import Trust

if TYPE_CHECKING:
    from batch_runner.admission.finder.values import Ceilings

SHARE = 0.995
"""Of a limit that was told: a minute counted from any moment on must not hold one request too many."""

HELD = 0.98
"""Of a limit that was found: an empty bucket needs a hair to breathe."""

CONFIRMS = 0.97
"""So much of a limit that was told, let in between two refusals, is that limit: a refusal there is chance."""

FIRST_CUT, BLIND_CUT, AGAIN_CUT = 0.5, 0.7, 0.7
MOST_AFTER_FIRST = 10.0
"""Requests a second after the first refusal: at more, the next one would cost several at once."""

AGAIN_SECONDS, AGAIN_HELD = 15.0, 0.94
"""A refusal so soon after a cut, without a climb in between: the limit falls, and a little less won't do."""

AGAIN = 5
"""So many refusals within a second of a cut: it was too small."""

BREATH_REQUESTS, BREATH_SECONDS = 3.0, 0.5
HOLD_SECONDS, SHORT_HOLD_SECONDS, SURE_SECONDS = 8.0, 1.0, 2.0
"""A new pace is held for a while, shortly where little is known or the last cut was just now."""

REGAIN, REMEMBERED_SECONDS = 0.9, 30.0
"""Below so much of what the service took lately, climbing costs nothing: it was possible before."""


class Rate:
    """The pace: cut by refusals to what they tell, and climbing again."""

    def __init__(self, ceilings: Ceilings, first: float, now: float) -> None:
        """`first`: the pace to begin at, where nobody told one."""
        self._ceiling = ceilings.rate
        self.tries = 1.0
        """Attempts for each request that is let in, where some are refused at any pace."""
        self._trust = Trust()
        self.starting = ceilings.rate is None
        """True until the first refusal, where nobody told a limit."""
        self.pace = Pace(min(first, self.most) if self.starting else self.most, now, beside_tokens=ceilings.beside_tokens)
        self.estimate = Estimate(now)
        self.climb = Climb(now)
        self._soon = 0

    @property
    def told(self) -> float | None:
        """The limit that the user or the service named."""
        told = [rate for rate in (self._ceiling, self._trust.named) if rate is not None]
        return min(told) if told else None

    @property
    def most(self) -> float:
        """The pace that is never passed."""
        told = self.told
        return float("inf") if told is None else SHARE * told

    @property
    def believed(self) -> float:
        """The limit as it was last found; 0 while nothing is known."""
        return self.estimate.value or 0.0

    def best(self, now: float, best_minute: float) -> float:
        """What the service took lately, where its best minute took so much."""
        return max(self.believed if now - self.estimate.at < REMEMBERED_SECONDS else 0.0, best_minute)

    def filling(self, limit: float) -> float:
        """The pace that uses a limit up, but for a hair."""
        return HELD * limit * self.tries

    def set(self, rate: float, now: float) -> None:
        """Pace so, but never above what was told."""
        self.pace.change(min(rate, self.most), now)

    def name(self, rate: float, now: float) -> bool:
        """The service says what it takes: that is the answer, as long as it is believed. Whether it explains a refusal.

        Where it was named before and the pace is below it, it doesn't: somebody else uses it as well.
        """
        again = self._trust.name(rate, now)
        if again and self.pace.rate <= self.most:
            return False
        self.starting = False
        self.estimate.believe(rate, now)
        self.set(float("inf"), now)
        self.breathe(now, hold=SHORT_HOLD_SECONDS)
        return True

    def begin_at(self, rate: float, now: float) -> None:
        """Somebody had a guess: it is held for a while, and then climbed from."""
        self.starting = False
        self.estimate.believe(rate, now)
        self.set(self.filling(rate), now)
        self.climb.cut(now, now + HOLD_SECONDS)

    def is_new(self, rate: float) -> bool:
        """Whether a rate that a service named is news."""
        return rate != self._trust.named

    def looks_beyond(self, now: float) -> bool:
        """True once, when what the service named was believed for long enough: it may have been raised."""
        return self._trust.expired(now)

    # --- down

    def refused_again(self, now: float) -> None:
        """Soon after a cut: let the bucket breathe. Often so: the cut was too small."""
        self.pace.hold(now + min(BREATH_REQUESTS / self.pace.rate, BREATH_SECONDS))
        self._soon += 1
        if self._soon == AGAIN:
            self._soon = 0
            self.estimate.doubt()
            counted = self.filling(self.estimate.counted or 0.0)
            self.set(counted if 0 < counted < self.pace.rate else AGAIN_CUT * self.pace.rate, now)

    def cut(self, now: float, found: float | None, since_cut: float) -> None:
        """A refusal, `since_cut` seconds after the last one that counted; `found` is what it says of the limit, if anything."""
        self._soon = 0
        if self._confirms(found):
            self.breathe(now, hold=SHORT_HOLD_SECONDS)
            return
        if found is None:
            self.set(BLIND_CUT * self.pace.rate, now)
            self.breathe(now, hold=SHORT_HOLD_SECONDS)
            return
        self.estimate.believe(found, now)
        unmoved = AGAIN_HELD if since_cut < AGAIN_SECONDS and not self.climb.under_way else 1.0
        self.set(min(unmoved * self.pace.rate, self.filling(found)), now)
        self.breathe(now, hold=HOLD_SECONDS if since_cut > SURE_SECONDS else SHORT_HOLD_SECONDS)

    def first_cut(self, now: float, fill_rate: float) -> None:
        """The first refusal of all: how far above the limit that was, nobody knows."""
        self.starting = False
        self.set(min(FIRST_CUT * min(self.pace.rate, fill_rate), MOST_AFTER_FIRST), now)
        self.breathe(now, hold=SHORT_HOLD_SECONDS)

    def forget(self, pace: float, tries: float, now: float) -> None:
        """What refusals said of the limit was wrong: back to a pace from before."""
        self.estimate = Estimate(now)
        self.expect(tries)
        self.set(pace, now)
        self.climb.cut(now, now)

    def expect(self, tries: float) -> None:
        """A request is let in with so many attempts, below any limit."""
        self.tries, self.estimate.leans = tries, tries == 1.0

    def _confirms(self, found: float | None) -> bool:
        told = self.told
        return told is not None and found is not None and found >= CONFIRMS * told

    def breathe(self, now: float, *, hold: float) -> None:
        """Nothing for a moment; then the pace is held for a while before it climbs."""
        one = 1.0 / self.pace.rate
        self.pace.hold(now + min(BREATH_REQUESTS * one, max(BREATH_SECONDS, one)))
        self.climb.cut(now, now + hold)

    # --- up

    def let_in_again(self, now: float, minute: float | None) -> None:
        """After a blockage; `minute` is what a window of a minute takes a second, if it was one."""
        if minute is not None:
            self.estimate.believe(minute, now)
            self.estimate.forget()
            self.set(self.filling(minute), now)
        self.pace.release(now)
        if self.estimate.value is None:
            self.climb.find(now)
        else:
            self.climb.cut(now, now + HOLD_SECONDS)

    def maybe_climb(self, now: float, most: float, best: float, *, affordable: bool) -> None:
        """Faster, up to `most`: where that was possible before, where nothing is known, or a refusal is affordable."""
        rate = self.pace.rate
        if self.climb.under_way or affordable or self.estimate.value is None or rate < REGAIN * best * self.tries:
            self.set(max(rate, min(most, self.climb.step(now, rate))), now)


def a_minute(rate: float) -> str:
    """`480/min`."""
    return f"{60 * rate:,.0f}/min" if rate >= 1 / 6 else f"{60 * rate:.1f}/min"
