"""The finder: told of every request's start and end, it says when the next may be sent.

It paces evenly and counts. Three hypotheses, each with its own actuator: a *rate* is held by the pace, a *window* of a minute by
its count, a *cap* on requests in flight by their number. Refusals that come at any pace are a fourth, see `chance`. Where a
service slows down, `window` sees it. Refusals are a budget, see `allowance`: they are risked to find out more, not otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_runner.admission.finder.admitted import MINUTE, TICK, Admitted
from batch_runner.admission.finder.allowance import Allowance
from batch_runner.admission.finder.blockage import Blockage
from batch_runner.admission.finder.cap import Cap
from batch_runner.admission.finder.chance import Chance
from batch_runner.admission.finder.minute import MinuteWindow
from batch_runner.admission.finder.rate import HELD, Rate, a_minute
from batch_runner.admission.finder.start import Start
from batch_runner.admission.finder.values import Ceilings, Kind, Learned, Refusal, Sent
from batch_runner.admission.finder.window import Window
from batch_runner.admission.trust import is_anothers

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_IN_FLIGHT = 8
"""More would overload a service with ten places before it is known how quick it can be."""

EPISODE_SECONDS = 1.0
"""Refusals this close together are about one thing."""

IN_VAIN = 2
"""So many refusals with nothing let in between them: a window is used up."""

MOST_TICKS_AT_ONCE = 240

MOST_IN_WINDOW = 1.5
"""Times its believed count, a window with room may be filled up so fast."""

LEAST_LATENCY = 0.1


class Finder:
    """Decides when a request may be sent, by what became of those before it. `tell` hears each decision in a line."""

    def __init__(
        self, ceilings: Ceilings, now: float, tell: Callable[[str], None] | None = None, learned: Learned | None = None
    ) -> None:
        wide = ceilings.rate is not None or ceilings.beside_tokens or ceilings.told
        self.in_flight = 0
        self._began = now
        self._start = Start(ceilings, now)
        self._tell = tell or (lambda _decision: None)
        self._window = Window(ceilings.in_flight if wide else FIRST_IN_FLIGHT, ceilings.in_flight)
        self._rate = Rate(ceilings, self._start.first, now)
        self._admitted = Admitted(now)
        self._allowance = Allowance()
        self._minute = MinuteWindow()
        self._blockage = Blockage()
        self._cap = Cap()
        self._chance = Chance()
        self._tick_at = now + TICK
        self._sent = self._refused = self._in_vain = 0
        self._cut_number, self._cut_at = 0, float("-inf")
        self._refused_at = self._paused_until = float("-inf")
        self._remembered = learned if self._rate.starting and not ceilings.beside_tokens else None
        if self._remembered is not None:
            self._begin_as(self._remembered, now)

    def _begin_as(self, learned: Learned, now: float) -> None:
        """An earlier run found this out: a start, never a ceiling."""
        self._window.set(learned.in_flight)
        if learned.kind == "cap":
            self._cap.begin(0.0)
        elif learned.rate is not None:
            self._rate.begin_at(learned.rate, now)

    # --- what may be sent

    def wait(self, now: float) -> float:
        """Seconds until the next request may be sent, or until it is worth asking again; 0 when it may now."""
        self._advance(now)
        if self.in_flight >= int(self._window.size) or self._blockage.probe is not None:
            return TICK
        left = max(self._rate.pace.left(now), self._paused_until - now)
        return 0.0 if left <= 0 else left

    def sent(self, now: float) -> Sent:
        """A request goes now."""
        sent = Sent(self._sent, now, self.in_flight)
        self._sent += 1
        self.in_flight += 1
        self._rate.pace.sent(now)
        self._allowance.sent(self._rate.pace.rate)
        self._chance.sent(self.rate * self._admitted.round_trip)
        self._admitted.sent(sent)
        if self._blockage.on:
            self._blockage.probe = sent
        return sent

    @property
    def rate(self) -> float:
        """Requests a second, as they are paced now."""
        return self._rate.pace.rate

    @property
    def most_in_flight(self) -> int:
        """Requests that may be in flight now."""
        return int(self._window.size)

    def learned(self, now: float) -> Learned | None:
        """What is known about the service by now, if anything."""
        if self._cap.on:
            return Learned("cap", None, self.most_in_flight)
        believed = self._rate.estimate.value
        if believed is not None:
            kind: Kind = "window" if self._minute.on(now) else "rate"
            held = min(1.0, self.rate / believed)
            return Learned(kind, believed, self._useful_in_flight, self._age(now), self._rate.estimate.was, held)
        return Learned("slows", None, self.most_in_flight) if self._window.shrunk else None

    def _age(self, now: float) -> float:
        """Of what is believed: as old as what was remembered, until a refusal said something."""
        return self._remembered.age + now - self._began if self._remembered is not None and not self._refused else 0.0

    @property
    def _useful_in_flight(self) -> int:
        """So many are in flight at the pace that is held, and room for half as many again."""
        return max(FIRST_IN_FLIGHT, min(self.most_in_flight, round(MOST_IN_WINDOW * self.rate * self._window.latency)))

    def hint(self, rate: float, left: float = 0.0) -> None:
        """The service told, in passing, that it takes so much, and that such a share of a minute's worth is left.

        It may mean somebody else: a start, never a ceiling.
        """
        self._start.hint(rate, left)

    def pause_left(self, now: float) -> float:
        """Seconds until anything may be sent, where the service asked for a pause or lets nothing in; else 0."""
        until = max(self._paused_until, self._blockage.look_at if self._blockage.on else 0.0)
        return max(0.0, until - now)

    # --- how it ended

    def left(self, now: float) -> None:
        """A request gives its place back: it ended, and what was bought is written."""
        self.in_flight -= 1
        self._advance(now)

    def answered(self, sent: Sent, now: float, tokens: int | None) -> None:
        """It was answered with so many tokens; `None`: the service didn't say."""
        self._window.answered(sent.at, now, tokens)

    def lost(self) -> None:
        """One got no answer, or an error of the service's own: that is no limit, but nothing grows in a storm of them."""
        self._window.lost()

    def pause(self, now: float, seconds: float) -> None:
        """The service asked everyone to wait so long."""
        self._paused_until = max(self._paused_until, now + seconds)

    def refused_elsewhere(self, sent: Sent, now: float, wait: float | None) -> None:
        """It was refused for a reason that somebody else sees to; a pause counts all the same."""
        self._refused += 1
        self._admitted.refused(sent, now)
        self._obey(Refusal(wait), now)
        self._maybe_look_again(sent, now)

    def refused(self, sent: Sent, now: float, refusal: Refusal) -> None:
        """The service had no room for it."""
        self._advance(now)
        self._refused += 1
        self._admitted.refused(sent, now)
        self._obey(refusal, now)
        if not self._blockage.on and self._chance.excuses():
            return
        self._refused_at = now
        self._allowance.refused(window=self._minute.on(now))
        if self._blockage.on:
            self._maybe_look_again(sent, now)
        elif sent.number < self._cut_number:
            return  # sent before we knew: the same refusal, heard again
        elif now - self._cut_at < EPISODE_SECONDS and not self._cap.on and refusal.limit != "concurrency":
            self._rate.refused_again(now)
        else:
            self._learn(sent, now, refusal)

    def _maybe_look_again(self, sent: Sent, now: float) -> None:
        if sent is self._blockage.probe:
            self._rate.pace.hold(self._blockage.refused(now))

    def _obey(self, refusal: Refusal, now: float) -> None:
        if refusal.wait is not None and refusal.wait > 0:
            self.pause(now, refusal.wait)

    # --- a refusal that says something new

    def _learn(self, sent: Sent, now: float, refusal: Refusal) -> None:
        since_cut, self._cut_at, self._cut_number = now - self._cut_at, now, self._sent
        self._window.doubling = False
        admitted, estimate = sent.number - self._refused + 1, self._rate.estimate
        seconds, count = estimate.since_last(sent.at, admitted)
        estimate.mark(sent.at, admitted, self.rate)
        if self._is_cap(sent, now, refusal, count):
            self._cut_in_flight(sent, now)
            return
        if not self._minute.on(now) and self._is_chance(sent, now):
            return
        first = self._rate.starting
        self._minute.refused(now, self._admitted.minute(now), seconds, count, first=first)
        self._in_vain = self._in_vain + 1 if count <= 0 else 0
        self._cut_rate(sent, now, refusal, since_cut)
        if first or self._in_vain >= IN_VAIN or self._minute.on(now) or refusal.asks_for_long(self.rate):
            self._rate.pace.hold(self._blockage.begin(now, self.rate))

    def _is_cap(self, sent: Sent, now: float, refusal: Refusal, let_in: int) -> bool:
        latency = max(LEAST_LATENCY, self._window.latency)
        wire = 1 + 2.0 * self._admitted.round_trip * sent.in_flight / latency
        highest = self._admitted.highest(sent.at - MINUTE)
        before, best = self._cap.on, self._rate.best(now, self._admitted.best_minute)
        named = refusal.limit == "concurrency"
        after = self._cap.refused(now, sent.in_flight, highest, wire, self._window, let_in=let_in, named=named, best=best)
        if before and not after:
            self._tell(f"refused with {sent.in_flight} in flight, and more were let in before: no cap on requests in flight")
        return after

    def _cut_in_flight(self, sent: Sent, now: float) -> None:
        before, self._rate.starting = self._window.size, False
        self._admitted.forget_highest(now)
        self._window.set(min(before, self._cap.cut(now, sent.in_flight)))
        self._tell(f"refused with {sent.in_flight} others in flight: at most {self._window.size:.0f} now (was {before:.0f})")

    def _is_chance(self, sent: Sent, now: float) -> bool:
        before = a_minute(self.rate)
        pace = self._chance.refused(self.rate, sent.number, self._refused, explained=self._cap.suspected)
        if pace is not None:
            self._rate.forget(pace, self._chance.tries, now)
            self._tell(f"{self._chance.share:.0%} are refused at {before}, too: that isn't the pace; now {a_minute(self.rate)}")
        return pace is not None

    def _cut_rate(self, sent: Sent, now: float, refusal: Refusal, since_cut: float) -> None:
        rate, before = self._rate, self.rate
        named = refusal.rate
        if named is not None and rate.is_new(named) and self._believes(named, now) and rate.name(named, now):
            self._tell(f"the service says that it takes {a_minute(named)}; now {a_minute(self.rate)}")
            return
        if rate.starting:
            rate.first_cut(now, self._window.fill_rate)
            self._tell(f"refused for the first time, at {a_minute(before)}; now {a_minute(self.rate)}")
            return
        if self._minute.on(now):
            found: float | None = self._minute.count(rate.believed, 0.0)
            rate.set(max(before, rate.filling(self._minute.last)), now)
        else:
            found = rate.estimate.at_refusal(sent.at, sent.number - self._refused + 1, before, since_cut)
        rate.cut(now, found, since_cut)
        seems = "" if found is None else f": the limit seems to be {a_minute(found)}"
        self._tell(f"refused at {a_minute(before)}{seems}; now {a_minute(self.rate)}")

    def _believes(self, named: float, now: float) -> bool:
        """Whether a limit that a refusal names can be ours: a gateway may pass on what one of many accounts behind it said."""
        if not is_anothers(named, self._admitted.since, self._began, now):
            return True
        self._tell(f"the service says that it takes {a_minute(named)}, but it let in more: that isn't about us")
        return False

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
        self._admitted.look(now, self.rate)
        self._rate.estimate.look(now, self.rate)
        self._allowance.passed(TICK)
        if self._blockage.on:
            self._maybe_let_in_again(now)
        elif not self._window.in_storm:
            self._maybe_look_beyond(now)
            self._grow(now)

    def _maybe_let_in_again(self, now: float) -> None:
        probe = self._blockage.probe
        if probe is None or probe.refused or now - probe.at <= self._admitted.silence:
            return
        blocked = probe.at - self._blockage.since
        self._minute.let_in_again(now, blocked)
        window = self._minute.on(now)
        self._blockage.end(probe.at, of_a_window=window)
        count = self._minute.count(self._rate.believed, self._admitted.minute(self._blockage.closed_at))
        self._rate.let_in_again(now, count if window else None)
        self._in_vain, self._cut_number = 0, self._sent
        seems = f": a window of a minute, {a_minute(count)}" if window else ""
        self._tell(f"let in again after {blocked:.1f} s{seems}; now {a_minute(self.rate)}")

    def _maybe_look_beyond(self, now: float) -> None:
        if self._rate.looks_beyond(now):
            self._tell(f"{a_minute(self._rate.believed)} was named a while ago: seeing whether it takes more by now")

    def _grow(self, now: float) -> None:
        if self._cap.on:
            size, affordable = self._window.size, self._allowance.enough
            if self._saturated and self._cap.may_grow(now, size, self._admitted, affordable=affordable):
                self._window.set(size + self._cap.grow(now, size))
            self._rate.set(self._window.fill_rate, now)
            return
        if why := self._window.look(now, self.in_flight, wanted=self.rate * self._window.latency > self._window.size):
            self._tell(why)
        if self._rate.starting:
            self._rate.set(self._start.rate(now, self._window, self._window.fill_rate, HELD), now)
            self._maybe_take_hint(now)
        elif self._rate.climb.due(now, self.rate) and now > self._paused_until and not self._saturated:
            self._maybe_climb(now)

    def _maybe_take_hint(self, now: float) -> None:
        hinted = self._start.hinted
        if hinted is not None and self.rate >= HELD * hinted and not self._start.plenty:
            self._rate.begin_at(hinted, now)
            self._tell(f"the service's headers tell of {a_minute(hinted)}: a start; now {a_minute(self.rate)}")

    def _maybe_climb(self, now: float) -> None:
        if not self._rate.climb.under_way:
            self._rate.expect(self._chance.held(self._sent, self._refused))
        most = min(self._window.fill_rate, self._most_in_window(now)) if self._minute.on(now) else self._window.fill_rate
        best = self._rate.best(now, self._admitted.best_minute)
        self._rate.maybe_climb(now, most, best, affordable=self._allowance.enough)
        if not self._refused and self._start.passes_hint(self.rate):
            self._tell(f"nothing was refused at {a_minute(self._rate.believed)}: trying more")

    def _most_in_window(self, now: float) -> float:
        """A window with room is filled evenly; a whole minute above what was believed, without a refusal, is the new count."""
        minute = self._admitted.minute(now)
        if now - self._refused_at > MINUTE and minute > self._rate.believed:
            self._rate.estimate.believe(minute, now)
        believed = self._rate.believed
        return believed * (1.0 if minute < HELD * believed else MOST_IN_WINDOW)

    @property
    def _saturated(self) -> bool:
        return self.in_flight >= int(self._window.size) - 1
