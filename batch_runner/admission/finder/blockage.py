"""Nothing is let in for seconds: a window that is used up. One request at a time looks when it opens again."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from batch_runner.admission.finder.admitted import MINUTE

if TYPE_CHECKING:
    from batch_runner.admission.finder.values import Sent

FIRST_GAP, MOST_FIRST_GAP, REQUESTS, MOST_GAP = 0.5, 3.0, 2.0, 5.0
"""Seconds between two looks: at first so many requests' time; doubled each time."""

LONG_SECONDS, LONG_GAP = 120.0, 60.0
"""No window of a minute lasts so long: from then on a look may be rarer."""

SAME_SECOND = 1.5
"""Two ends of blockages so near to a multiple of a minute apart are the ends of two windows."""

LOOK_EARLY, WORTH_WAITING = 0.3, 3.0


class Blockage:
    """Whether nothing is let in now, which request looks, and when the next look is due."""

    def __init__(self) -> None:
        self.on = False
        self.since = 0.0
        self.closed_at = 0.0
        """When it was seen last that nothing is let in."""
        self.look_at = 0.0
        self.probe: Sent | None = None
        self._gap = FIRST_GAP
        self._ends: deque[float] = deque(maxlen=4)

    def begin(self, now: float, rate: float) -> float:
        """Nothing is let in any more; the moment of the first look."""
        self.on, self.since, self.closed_at, self.probe = True, now, now, None
        self._gap = max(FIRST_GAP, min(MOST_FIRST_GAP, REQUESTS / rate))
        return self._next_look(now)

    def refused(self, now: float) -> float:
        """The look was in vain; the moment of the next one."""
        self.closed_at, self.probe = now, None
        most = MOST_GAP if now - self.since < LONG_SECONDS else LONG_GAP
        self._gap = min(2 * self._gap, most)
        return self._next_look(now)

    def end(self, at: float, *, of_a_window: bool) -> None:
        """A look, sent at `at`, was let in."""
        self.on, self.probe = False, None
        if of_a_window and at - self.since > SAME_SECOND:
            self._ends.append(at)

    def _next_look(self, now: float) -> float:
        """After the gap; or right when a window ends, if two ended whole minutes apart and that is about then."""
        self.look_at = self._at_the_end_of_a_window(now) or now + self._gap
        return self.look_at

    def _at_the_end_of_a_window(self, now: float) -> float | None:
        if len(self._ends) > 1:
            apart = self._ends[-1] - self._ends[-2]
            if apart > MINUTE / 2 and abs((apart + MINUTE / 2) % MINUTE - MINUTE / 2) < SAME_SECOND:
                end = self._ends[-1] + math.ceil((now + FIRST_GAP - self._ends[-1]) / MINUTE) * MINUTE - LOOK_EARLY
                return end if now < end < now + self._gap + WORTH_WAITING else None
        return None
