"""The start, before the first refusal: nothing is known of the limit, so the pace doubles until it is met.

What is sent until the first refusal is heard is refused too. Nobody knows how long that takes, but no longer than an answer: so
quick answers allow a quick start. What the service tells in passing is taken as far as it goes, and the pace climbs from there.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batch_runner.admission.finder.values import Ceilings
    from batch_runner.admission.finder.window import Window

FIRST_RATE, UNHEARD = 10.0, 4.0
"""The pace until an answer has come, and the requests that may be sent until the quickest answer could have come."""

DOUBLING_ANSWERS, LEAST_DOUBLING, MOST_DOUBLING = 10.0, 0.5, 3.0
"""The time to twice the pace: so many answers' time, and its bounds in seconds. With the 0.05 s of a refusal, at most a fifteenth
of all that was sent is unheard at the first contact, and far less of what a whole minute takes."""

LEAST_ANSWERS = 8
"""The first answers to come are the short ones."""

PLENTY = 0.25
"""While so much of a minute's worth is left, a run of few rows needn't be paced. If it is somebody else's that is left, this is
the start of a run that is told nothing."""

MOST_RATE, MOST_DOUBLINGS = 10_000.0, 20.0


class Start:
    """The pace that may be risked while nothing is known."""

    def __init__(self, ceilings: Ceilings, now: float) -> None:
        self._unlimited = ceilings.beside_tokens
        self._wide = ceilings.told
        self._doublings = 0.0
        self._grown_at = now
        self._passed = False
        self.hinted: float | None = None
        """Requests a second that the service told of in passing."""
        self.plenty = False
        """So much of them is left that nobody has to pace yet."""

    @property
    def first(self) -> float:
        """The pace to begin at. A limit on tokens that was told is pace enough."""
        return MOST_RATE if self._unlimited else FIRST_RATE

    def hint(self, rate: float, left: float) -> None:
        """The service told of a limit, and of the share of it that is left."""
        self.hinted, self.plenty = rate, left >= PLENTY

    def rate(self, now: float, window: Window, fill_rate: float, held: float) -> float:
        """The pace by now; `fill_rate` fills the window, and `held` is the share of a hint to begin with."""
        self._grow(now, window.latency if window.answers >= LEAST_ANSWERS else math.inf)
        if self._unlimited:
            return MOST_RATE
        most = MOST_RATE if self._wide else max(FIRST_RATE, UNHEARD / window.quickest) * math.pow(2.0, self._doublings)
        return min(fill_rate, max(most, held * (self.hinted or 0.0)))

    def passes_hint(self, rate: float) -> bool:
        """True once, when the pace climbs above what the service told of."""
        if self.hinted is None or self._passed or rate <= self.hinted:
            return False
        self._passed = True
        return True

    def _grow(self, now: float, latency: float) -> None:
        seconds = min(MOST_DOUBLING, max(LEAST_DOUBLING, DOUBLING_ANSWERS * latency))
        self._doublings = min(MOST_DOUBLINGS, self._doublings + (now - self._grown_at) / seconds)
        self._grown_at = now
