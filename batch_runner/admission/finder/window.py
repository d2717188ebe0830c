"""How many requests are useful in flight: a service that slows down instead of refusing shows it in the time that answers take.

Whole answers differ too much, so it is the time of a token that counts; where answers take their time whatever their length, it
is that of the whole. Both have to be slow.
"""

from __future__ import annotations

from collections import deque
from statistics import median

from batch_runner.admission.finder.start import FIRST_RATE

OVERHEAD_TOKENS = 50
"""An answer takes time even if it is empty: about as long as so many tokens. Without it short answers would look slow."""

UNSEEN_SECONDS = 0.15
"""What is added to each answer's time: an answer that takes 40 ms instead of 20 tells of this machine, not of the service."""

LEAST_SECONDS = 0.001
SAMPLES, USUAL_SAMPLES, LEAST_SAMPLES = 400, 60, 8
LEAST_ANSWERS = 8
SLOWED, SLOWING, CALM = 1.5, 1.3, 1.2
"""Time per token over the best there was: too many in flight; about right; room for more."""

LEAST_SHRINK = 0.5
SPREAD = 1.1
SMALL = 64
"""Below it a round is of answers to requests sent since the last step: each takes a latency, and shows an overload at once."""

LEAST = 4.0
FEW = 8
"""So few in flight are never too many: that answers are slow has another reason."""

NOT_OURS, HALF = 0.75, 0.5
"""Where half as many in flight are hardly quicker, the service is slow by itself."""


STORM, OF_LATE = 0.3, 0.1
"""Where so great a share of what ended of late (each weighs so much) got no answer, nothing grows."""

FILL = 2.0
"""Half a latency to fill a window, not one moment: what is sent together ends together."""


class Slowness:
    """A time that answers take, beside the best there was."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=SAMPLES)
        self._best = float("inf")
        self._now = float("inf")

    def add(self, time: float) -> None:
        """One answer took so much."""
        self._times.append(time)

    def clear(self) -> None:
        """What was measured is of no use any more; the best there was stays."""
        self._times.clear()

    def now(self, count: int) -> float:
        """The median of the last ones, over the best there was; 1 while nobody knows."""
        if len(self._times) < LEAST_SAMPLES:
            return 1.0
        self._now = median(list(self._times)[-count:])
        self._best = min(self._best, self._now)
        return self._now / self._best

    def accept(self) -> None:
        """It takes so long by itself."""
        self._best = self._now


class Window:
    """The most requests in flight, between 1 and a ceiling; opened while answers are as quick as ever."""

    def __init__(self, size: float, ceiling: int) -> None:
        self.size = min(size, ceiling)
        self.ceiling = ceiling
        self.latency = 0.0
        """Mean seconds of an answer, lately; 0 before the first."""
        self.answers = 0
        self.doubling = True
        self.quickest = float("inf")
        """The least seconds of an answer."""
        self._losses = 0.0
        self._since_change = 0
        self._peak = 0
        self._per_token, self._whole = Slowness(), Slowness()
        self._shrunk_from: tuple[float, float] | None = None
        self._fresh_from = float("-inf")

    @property
    def fill_rate(self) -> float:
        """The pace that fills it in half a latency."""
        return FILL * self.size / self.latency if self.latency else FIRST_RATE

    def answered(self, sent_at: float, now: float, tokens: int | None) -> None:
        """An answer of so many tokens, where the service said so, to a request sent at a moment."""
        seconds = max(LEAST_SECONDS, now - sent_at)
        self.answers += 1
        self._losses -= OF_LATE * self._losses
        self.quickest = min(self.quickest, seconds)
        if self.latency:
            self.latency += (seconds - self.latency) * max(0.01, 1.0 / (self.answers + 1))
        else:
            self.latency = seconds
        if sent_at < self._fresh_from:
            return  # it was answered beside more others, or fewer, than there are now
        self._since_change += 1
        if tokens is not None:
            self._per_token.add((seconds + UNSEEN_SECONDS) / (tokens + OVERHEAD_TOKENS))
            self._whole.add(seconds + UNSEEN_SECONDS)

    def lost(self) -> None:
        """One got no answer."""
        self._losses += OF_LATE * (1.0 - self._losses)

    @property
    def in_storm(self) -> bool:
        """Whether so many get no answer that nothing can be told by those that do."""
        return self._losses >= STORM

    def look(self, now: float, in_flight: int, *, wanted: bool) -> str:
        """Once a round of answers: wider or narrower; why, or nothing. `wanted`: the pace could use a wider one."""
        self._peak = max(self._peak, in_flight)
        round_of_answers = min(self.size, self._peak) * (1.0 if self._shrunk_from else 0.5)
        if self._since_change < max(LEAST_ANSWERS, round_of_answers):
            return ""
        slowness = self._slowness()
        if slowness > SLOWED and self._peak >= FEW:
            self.size = min(self.size, self._peak)
            self._begin_round(now)
            return self._shrink(slowness)
        if in_flight < int(self.size) - 1:
            self._since_change = min(self._since_change, int(self.size))
            return ""
        self._begin_round(now if self.size < SMALL else self._fresh_from)
        return self._open(slowness, wanted=wanted)

    def _begin_round(self, fresh_from: float) -> None:
        """Count answers anew; those to requests sent before a moment don't count."""
        self._since_change = self._peak = 0
        if fresh_from > self._fresh_from:
            self._fresh_from = fresh_from
            self._per_token.clear()
            self._whole.clear()

    def _slowness(self) -> float:
        """How much slower answers are than they once were. Where a token's time tells less than an answer's, the other counts."""
        count = max(USUAL_SAMPLES, min(SAMPLES, int(self.size / 4)))
        return min(self._per_token.now(count), self._whole.now(count))

    def _shrink(self, slowness: float) -> str:
        before, self.doubling = self.size, False
        if self._shrunk_from is None:
            self._shrunk_from = self.size, slowness
        size, was = self._shrunk_from
        if self.size <= HALF * size and slowness > NOT_OURS * was:
            self._per_token.accept()
            self._whole.accept()
            self.size, self._shrunk_from = size, None
            return f"answers are slow with {before:.0f} in flight, too: the service's own pace; back to {self.size:.0f}"
        self.size = max(min(LEAST, self.size), self.size * max(LEAST_SHRINK, SLOWING / slowness))
        return f"answers take {slowness:.1f} times as long a token: {before:.0f} in flight become {self.size:.0f}"

    def _open(self, slowness: float, *, wanted: bool) -> str:
        before = self.size
        if slowness < CALM:
            self._shrunk_from = None
            self.size *= 2 if self.doubling or wanted else SPREAD
        elif slowness < SLOWING and not self.doubling:
            self.size += 1
        else:
            self.doubling = False
        self.size = min(self.size, self.ceiling)
        return f"{before:.0f} in flight are all in use: up to {self.size:.0f}" if int(self.size) > int(before) else ""

    @property
    def shrunk(self) -> bool:
        """Whether answers were slow with more in flight."""
        return self._shrunk_from is not None

    def set(self, size: float) -> None:
        """A cap on requests in flight was met, or is probed."""
        self.size = max(1.0, min(size, self.ceiling))
