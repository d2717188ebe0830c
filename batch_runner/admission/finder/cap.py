"""Is it a cap on requests in flight? Nothing was let in for a minute beside so many others, and refusals come at one level."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from batch_runner.admission.finder.admitted import Admitted
    from batch_runner.admission.finder.window import Window

VOTES, VOTES_AT_FEW, FEW = 3, 6, 60
"""So many refusals make a cap, more where few are in flight: there chance brings them to one level."""

VOTES_APART = 1.0
LEAST_SPAN, SPAN_OF_LATENCY, SPAN_AT_FEW = 3.0, 0.7, 2.0
"""They are spread over so long. In flight grows for a whole latency after any start, so early refusals always look like a cap."""

LEAST_ANSWERS = 3
CONTRADICTS = 3
"""So many let in between two refusals, the second beside far fewer than the first: no cap does that."""

HOLD_SECONDS, STEP_SECONDS = 8.0, 1.0
"""After a cut the number is held; then one more is tried, two more a second later, then four."""

AT_ONCE_SECONDS, AGAIN, AGAIN_CUT = 1.0, 3, 0.9
"""Refused again so soon, and the fourth time: it is far fewer."""

FREE_STEPS = 4
"""What is missing to the last refusal's number is regained in so many steps, or a few more."""

FALSE_BELOW, FADES = 0.85, 0.85
"""Below so much of what the service took before, the cap is probably none, and costs nothing to probe; each cut says less so."""


class _Vote(NamedTuple):
    at: float
    in_flight: int


class Cap:
    """Whether requests in flight are capped, and how the number is probed upward."""

    def __init__(self) -> None:
        self.on = False
        self._votes: list[_Vote] = []
        self._rate_before = 0.0
        self._cut_at = self._grown_at = float("-inf")
        self._step = 1
        self._in_a_row = self._refused_beside = 0

    def refused(
        self, now: float, in_flight: int, highest: int, wire: float, window: Window, *, let_in: int, named: bool, best: float
    ) -> bool:
        """A refusal beside so many in flight: whether it is a cap's.

        `highest` were let in together lately, give or take `wire`; `let_in` were since the last refusal, `best` a second is what
        the service took. `named`: it says itself that it is a cap.
        """
        contradicted = self.on and let_in >= CONTRADICTS and in_flight < self._refused_beside - wire
        if not named and (contradicted or in_flight <= wire or in_flight < highest - wire):
            self._votes.clear()
            self.on = False
            return False
        if not self._votes or now - self._votes[-1].at > VOTES_APART:
            self._votes.append(_Vote(now, in_flight))
            del self._votes[: -2 * VOTES_AT_FEW]
        if not self.on and (named or self._carried(now, in_flight, window, wire)):
            self.on, self._rate_before = True, best
        return self.on

    @property
    def suspected(self) -> bool:
        """Whether the last refusal may have been a cap's."""
        return bool(self._votes)

    def _carried(self, now: float, in_flight: int, window: Window, wire: float) -> bool:
        needed, span = (VOTES, SPAN_OF_LATENCY) if in_flight >= FEW else (VOTES_AT_FEW, SPAN_AT_FEW)
        last = self._votes[-needed:]
        if len(last) < needed or window.answers < LEAST_ANSWERS:
            return False
        levels = [vote.in_flight for vote in last]
        long_enough = now - self._votes[0].at >= max(LEAST_SPAN, span * window.latency)
        return long_enough and max(levels) - min(levels) <= wire

    def begin(self, rate: float) -> None:
        """A cap is known from before; the service takes so much a second."""
        self.on, self._rate_before = True, rate

    def cut(self, now: float, in_flight: int) -> float:
        """Refused beside so many; how many may be in flight now. Again and again at once: it is far fewer."""
        self._in_a_row = self._in_a_row + 1 if now - self._cut_at < AT_ONCE_SECONDS else 0
        if now - self._cut_at > HOLD_SECONDS:
            self._rate_before *= FADES
        self._cut_at = self._grown_at = now
        self._step, self._refused_beside = 1, in_flight
        return float(in_flight - self._in_a_row // 2) if self._in_a_row < AGAIN else AGAIN_CUT * in_flight

    def may_grow(self, now: float, size: float, admitted: Admitted, *, affordable: bool) -> bool:
        """Whether to try more, all places being in use: the last cut is a while ago, and a refusal may be risked.

        It costs nothing up to where the last refusal was, or where far less is taken than before: that is probably no cap.
        """
        pause = max(STEP_SECONDS, 2 * admitted.round_trip)
        if now - self._cut_at <= HOLD_SECONDS or now - self._grown_at <= pause:
            return False
        free = size + 1 <= self._refused_beside or admitted.minute(now) < FALSE_BELOW * self._rate_before
        return free or affordable or self._step > 1

    def grow(self, now: float, size: float) -> int:
        """So many more."""
        self._grown_at = now
        if (room := self._refused_beside - int(size)) >= 1:
            return -(-room // FREE_STEPS)
        step, self._step = self._step, 2 * self._step
        return step
