"""The finder: told of every request's start and end, it says when the next may be sent.

It paces evenly and counts. Three hypotheses, each with its own actuator: a *rate* is held by the pace, a *window* of a minute by
its count, a *cap* on requests in flight by their number. Where a service slows down instead of refusing, `window` sees it.
Refusals are a budget, see `allowance`: they are risked to find out more, and not otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_runner.admission.finder.admitted import TICK, Admitted
from batch_runner.admission.finder.allowance import Allowance
from batch_runner.admission.finder.blockage import Blockage
from batch_runner.admission.finder.cap import Cap
from batch_runner.admission.finder.climb import Climb
from batch_runner.admission.finder.estimate import Estimate
from batch_runner.admission.finder.minute import MinuteWindow
from batch_runner.admission.finder.pace import Pace
from batch_runner.admission.finder.values import Ceilings, Refusal, Sent
from batch_runner.admission.finder.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

SHARE = 0.995
"""Of a limit that was told: a minute counted from any moment on must not hold one request too many."""

HELD = 0.98
"""Of a limit that was found: an empty bucket needs a hair to breathe."""

CONFIRMS = 0.97
"""So much of a limit that was told, let in between two refusals, is that limit: a refusal there is chance."""

FIRST_IN_FLIGHT, FIRST_RATE = 8, 4.0
"""Before the first answer. More would overload a service with ten places before it is known how quick it can be."""

MOST_RATE = 10_000.0
FIRST_CUT, BLIND_CUT, AGAIN_CUT = 0.5, 0.7, 0.7
MOST_AFTER_FIRST = 10.0
"""Requests a second after the first refusal: at more, the next one would cost several at once."""

AGAIN = 5
"""So many refusals within a second of a cut: it was too small."""

EPISODE_SECONDS = 1.0
"""Refusals this close together are about one thing."""

BREATH_REQUESTS, BREATH_SECONDS = 3.0, 0.5
HOLD_SECONDS, SHORT_HOLD_SECONDS, QUICK_RETURN_SECONDS = 8.0, 1.0, 2.0
LONG_WAIT_SECONDS, LONG_WAIT_REQUESTS = 2.0, 4.0
"""A service that asks to wait for so long, and for so many requests' time, has a window that is used up."""

TROUBLE_SECONDS = 5.0
"""After a request that got no answer nothing grows for so long."""

MOST_TICKS_AT_ONCE = 240
FILL = 2.0
"""Half a latency to fill a window, not one moment: what is sent together ends together."""


class Finder:
    """Decides when a request may be sent, by what became of those before it. `tell` hears each decision in a line."""

    def __init__(self, ceilings: Ceilings, now: float, tell: Callable[[str], None] | None = None) -> None:
        told = ceilings.rate is not None
        wide = told or ceilings.beside_tokens or ceilings.told
        self.in_flight = 0
        self._ceilings = ceilings
        self._named: float | None = None
        self._tell = tell or _silent
        self._tick_at = now + TICK
        self._starting = not told
        self._window = Window(ceilings.in_flight if wide else FIRST_IN_FLIGHT, ceilings.in_flight)
        self._pace = Pace(self._most if told else FIRST_RATE, now, beside_tokens=ceilings.beside_tokens)
        self._admitted = Admitted(now)
        self._allowance = Allowance()
        self._estimate = Estimate(now)
        self._minute = MinuteWindow()
        self._blockage = Blockage()
        self._cap = Cap()
        self._climb = Climb(now)
        self._sent = self._refused = 0
        self._cut_number, self._cut_at = 0, float("-inf")
        self._soon = self._in_vain = 0
        self._refused_at = self._paused_until = self._trouble_until = float("-inf")

    # --- what may be sent

    def wait(self, now: float) -> float:
        """Seconds until the next request may be sent, or until it is worth asking again; 0 when it may now."""
        self._advance(now)
        if self.in_flight >= int(self._window.size) or self._blockage.probe is not None:
            return TICK
        left = max(self._pace.left(now), self._paused_until - now)
        return 0.0 if left <= 0 else left

    @property
    def rate(self) -> float:
        """Requests a second, as they are paced now."""
        return self._pace.rate

    @property
    def most_in_flight(self) -> int:
        """Requests that may be in flight now."""
        return int(self._window.size)

    def pause_left(self, now: float) -> float:
        """Seconds until anything may be sent, where the service asked for a pause or lets nothing in; else 0."""
        until = max(self._paused_until, self._blockage.look_at if self._blockage.on else 0.0)
        return max(0.0, until - now)

    def sent(self, now: float) -> Sent:
        """A request goes now."""
        sent = Sent(self._sent, now, self.in_flight)
        self._sent += 1
        self.in_flight += 1
        self._pace.sent(now)
        self._allowance.sent(self._pace.rate)
        self._admitted.sent(sent)
        if self._blockage.on:
            self._blockage.probe = sent
        return sent

    # --- how it ended

    def left(self, now: float) -> None:
        """A request gives its place back: it ended, and what was bought is written."""
        self.in_flight -= 1
        self._advance(now)

    def answered(self, sent: Sent, now: float, tokens: int | None) -> None:
        """It was answered with so many tokens; `None`: the service didn't say."""
        self._window.answered(sent.at, now, tokens)

    def lost(self, now: float) -> None:
        """One got no answer, or an error of the service's own: that is no limit, but nothing grows while it lasts."""
        self._trouble_until = now + TROUBLE_SECONDS

    def pause(self, now: float, seconds: float) -> None:
        """The service asked everyone to wait so long."""
        self._paused_until = max(self._paused_until, now + seconds)

    def refused(self, sent: Sent, now: float, refusal: Refusal) -> None:
        """The service had no room for it."""
        self._advance(now)
        self._refused += 1
        self._refused_at = now
        self._admitted.refused(sent, now)
        self._allowance.refused(window=self._minute.on(now))
        self._obey(refusal, now)
        if self._blockage.on:
            self._looked_in_vain(sent, now)
        elif sent.number < self._cut_number:
            return  # sent before we knew: the same refusal, heard again
        elif now - self._cut_at < EPISODE_SECONDS and not self._cap.on and refusal.limit != "concurrency":
            self._refused_again(now)
        else:
            self._cut(sent, now, refusal)

    def refused_elsewhere(self, sent: Sent, now: float, wait: float | None) -> None:
        """It was refused for a reason that somebody else sees to; a pause counts all the same."""
        self._refused += 1
        self._admitted.refused(sent, now)
        self._obey(Refusal(wait), now)

    def _obey(self, refusal: Refusal, now: float) -> None:
        if refusal.wait is not None and refusal.wait > 0:
            self.pause(now, refusal.wait)
        if refusal.rate is not None and refusal.rate != self._named:
            self._named = refusal.rate
            self._starting = False
            self._pace.change(self._most, now)
            self._tell(f"the service says that it takes {_a_minute(refusal.rate)}")

    def _looked_in_vain(self, sent: Sent, now: float) -> None:
        if sent is self._blockage.probe:
            self._pace.hold(self._blockage.refused(now))

    def _refused_again(self, now: float) -> None:
        """Soon after a cut: let the bucket breathe. Often so: the cut was too small."""
        self._pace.hold(now + min(BREATH_REQUESTS / self._pace.rate, BREATH_SECONDS))
        self._soon += 1
        if self._soon == AGAIN:
            self._soon = 0
            self._pace.change(self._pace.rate * AGAIN_CUT, now)

    # --- a refusal that says something new

    def _cut(self, sent: Sent, now: float, refusal: Refusal) -> None:
        admitted = sent.number - self._refused + 1
        since_cut, self._cut_at, self._cut_number = now - self._cut_at, now, self._sent
        first, self._starting, self._window.doubling = self._starting, False, False
        seconds, count = self._estimate.since_last(sent.at, admitted)
        self._estimate.mark(sent.at, admitted, self._pace.rate)
        if self._is_cap(sent, now, refusal):
            self._cut_in_flight(sent, now)
            return
        minute = self._admitted.minute(now)
        self._minute.refused(now, minute, seconds, count, first=first)
        self._cut_rate(sent, now, admitted, since_cut, first=first)
        self._soon = 0
        self._in_vain = self._in_vain + 1 if count <= 0 else 0
        wait = refusal.wait or 0.0
        told_to_wait = wait > LONG_WAIT_SECONDS and wait * self._pace.rate > LONG_WAIT_REQUESTS
        if first or self._in_vain > 1 or self._minute.on(now) or told_to_wait:
            self._pace.hold(self._blockage.begin(now, self._pace.rate))

    def _is_cap(self, sent: Sent, now: float, refusal: Refusal) -> bool:
        """Three hypotheses: this is the first."""
        wire = 1 + 2.0 * self._admitted.round_trip * sent.in_flight / max(0.1, self._window.latency)
        highest = self._admitted.highest(sent.at - 60.0)
        before = self._cap.on
        after = self._cap.refused(
            now, sent.in_flight, highest, wire, self._window, named=refusal.limit == "concurrency", best=self._best_rate(now)
        )
        if before and not after:
            self._tell(f"refused with {sent.in_flight} in flight, and more were let in before: no cap on requests in flight")
        return after

    def _cut_in_flight(self, sent: Sent, now: float) -> None:
        before = self._window.size
        self._admitted.forget_highest()
        self._window.set(min(before, self._cap.cut(now, sent.in_flight)))
        self._tell(f"refused with {sent.in_flight} others in flight: at most {self._window.size:.0f} now (was {before:.0f})")

    def _cut_rate(self, sent: Sent, now: float, admitted: int, since_cut: float, *, first: bool) -> None:
        before = self._pace.rate
        if self._minute.on(now):
            found: float | None = self._minute.last
            self._pace.change(min(self._most, max(before, HELD * self._minute.last)), now)
        else:
            found = self._estimate.at_refusal(sent.at, admitted, before, since_cut)
        if self._confirms(found):
            self._breathe(now, hold=SHORT_HOLD_SECONDS)
            return
        if found is not None and not first:
            self._estimate.believe(found, now)
            rate = min(self._pace.rate, HELD * found)
        elif first:
            rate = min(FIRST_CUT * min(before, self._fill_rate), MOST_AFTER_FIRST)
        else:
            rate = BLIND_CUT * before
        self._pace.change(rate, now)
        sure = found is not None and not first and since_cut > QUICK_RETURN_SECONDS
        self._breathe(now, hold=HOLD_SECONDS if sure else SHORT_HOLD_SECONDS)
        seems = "" if found is None else f": the limit seems to be {_a_minute(found)}"
        self._tell(f"refused at {_a_minute(before)}{seems}; now {_a_minute(rate)}")

    def _confirms(self, found: float | None) -> bool:
        """Whether a refusal is chance, at a limit that somebody told."""
        told = self._told
        return told is not None and found is not None and found >= CONFIRMS * told and self._allowance.left > 0

    def _breathe(self, now: float, *, hold: float) -> None:
        rate = self._pace.rate
        self._pace.hold(now + min(BREATH_REQUESTS / rate, max(BREATH_SECONDS, min(1.0 / rate, BREATH_REQUESTS / rate))))
        self._climb.cut(now, now + hold)

    # --- time passes

    def _advance(self, now: float) -> None:
        """Catch up with the clock, in steps of `TICK`."""
        if now < self._tick_at:
            return
        self._tick_at = max(self._tick_at, now - MOST_TICKS_AT_ONCE * TICK)
        while self._tick_at <= now:
            self._tick(self._tick_at)
            self._tick_at += TICK

    def _tick(self, now: float) -> None:
        self._admitted.look(now, self._pace.rate)
        self._estimate.look(now, self._pace.rate)
        self._allowance.passed(TICK)
        if self._blockage.on:
            self._maybe_let_in_again(now)
        elif now >= self._trouble_until:
            self._grow(now)

    def _maybe_let_in_again(self, now: float) -> None:
        probe = self._blockage.probe
        if probe is None or probe.refused or now - probe.at <= self._admitted.silence:
            return
        blocked = probe.at - self._blockage.since
        self._in_vain = 0
        self._minute.let_in_again(now, blocked)
        self._blockage.end(probe.at, of_a_window=self._minute.on(now))
        if self._minute.on(now):
            self._estimate.believe(self._minute.last, now)
            self._estimate.forget()
            self._pace.change(min(self._most, HELD * self._minute.last), now)
            self._tell(f"let in again after {blocked:.0f} s: a window of a minute, {_a_minute(self._minute.last)}")
        self._pace.release(now)
        if self._estimate.value is None:
            self._climb.find(now)
        else:
            self._climb.cut(now, now + HOLD_SECONDS)
        self._cut_number = self._sent

    def _grow(self, now: float) -> None:
        if self._cap.on:
            if self._cap.may_grow(now, self._admitted, saturated=self._saturated, affordable=self._allowance.enough):
                self._window.set(self._window.size + self._cap.grow(now))
            self._pace.change(min(self._most, self._fill_rate), now)
            return
        why = self._window.look(now, self.in_flight, wanted=self._pace.rate * self._window.latency > self._window.size)
        if why:
            self._tell(why)
        if self._starting:
            self._pace.change(min(self._most, self._rate_at_start(now)), now)
        elif self._climb.due(now, self._pace.rate) and now > self._paused_until and not self._saturated:
            self._maybe_climb(now)

    def _rate_at_start(self, now: float) -> float:
        """Before the first refusal. A limit on tokens that was told is pace enough."""
        if self._ceilings.beside_tokens:
            return MOST_RATE
        return min(self._fill_rate, self._climb.most_at_start(now, self._window.quickest))

    def _maybe_climb(self, now: float) -> None:
        """Faster, where that was possible before, or a refusal is affordable."""
        rate = self._pace.rate
        regaining = rate < 0.9 * self._best_rate(now)
        unknown = self._estimate.value is None
        if not (self._climb.under_way or regaining or unknown or self._allowance.enough):
            return
        most = min(self._most, self._fill_rate)
        if self._minute.on(now):
            most = min(most, self._most_in_window(now))
        self._pace.change(max(rate, min(most, self._climb.step(now, rate))), now)

    def _most_in_window(self, now: float) -> float:
        """A window with room is filled evenly; a whole minute above what was believed, without a refusal, is the new count."""
        minute = self._admitted.minute(now)
        if now - self._refused_at > 60.0 and minute > (self._estimate.value or 0.0):
            self._estimate.believe(minute, now)
        believed = self._estimate.value or 0.0
        return believed * (1.0 if minute < HELD * believed else 1.5)

    # --- figures

    @property
    def _told(self) -> float | None:
        """The limit that the user or the service named."""
        told = [rate for rate in (self._ceilings.rate, self._named) if rate is not None]
        return min(told) if told else None

    @property
    def _most(self) -> float:
        """The pace that is never passed."""
        told = self._told
        return float("inf") if told is None else SHARE * told

    @property
    def _fill_rate(self) -> float:
        """The pace that fills the window in half a latency."""
        return FILL * self._window.size / self._window.latency if self._window.latency else FIRST_RATE

    @property
    def _saturated(self) -> bool:
        return self.in_flight >= int(self._window.size) - 1

    def _best_rate(self, now: float) -> float:
        """What the service took lately."""
        believed = self._estimate.value or 0.0
        return max(believed if now - self._estimate.at < 30.0 else 0.0, self._admitted.best_minute)


def _silent(_decision: str) -> None:
    """Nobody wants to know."""


def _a_minute(rate: float) -> str:
    return f"{60 * rate:,.0f}/min" if rate >= 1 / 6 else f"{60 * rate:.1f}/min"
