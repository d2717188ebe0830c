"""The run's own pulse: whether it goes on.

One bad row says nothing; the same failure again and again, without an answer, does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch_runner.failures import SLOW_DOWN, TRANSIENT, FailureKind, Scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch_runner.failures import Failure


@dataclass(frozen=True, slots=True)
class Streak:
    """Failures that end the run when so many came in a row, over so long, as long as the run has had no answer at all."""

    kinds: frozenset[FailureKind]
    count: int
    seconds: float = 0.0
    same_words: bool = False
    """Counts only failures that say the same, numbers aside."""


STREAKS = (
    Streak(frozenset({FailureKind.UNREACHABLE}), 5, 10.0),
    Streak(frozenset({FailureKind.CHANNEL_DOWN}), 5, 30.0),
    Streak(
        frozenset({FailureKind.UNSUPPORTED_PARAMETER, FailureKind.BAD_REQUEST, FailureKind.MODEL_NOT_FOUND}), 20, same_words=True
    ),
)
"""Nobody there; a model that no gateway's channel serves, which is how some say that there is no such model; a request that
can't work, whatever the row."""

WAITED_OUT = SLOW_DOWN | TRANSIENT
"""What is waited for, up to `--max-wait`: refusals and outages."""

AT_ONCE_SECONDS = 60.0
"""Replies this close to the first refusal answer requests that were sent before it: their waits are one wait."""

TROUBLE_COUNT = 3
"""Failures in a row that are worth showing."""

HEARSAY_PATIENCE = 5
"""A gateway passes on what a service behind it said of the *gateway's* key or money. Once the run has had answers, such a
word ends it only when it comes so often in a row."""

VARYING = re.compile(r"\(request id: [^)]*\)|\d+")


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the run ends before its rows do."""

    kind: FailureKind
    message: str


class Health:
    """Told of every attempt's end; `stop` is set once the run should end."""

    def __init__(self, clock: Callable[[], float], *, max_wait: float) -> None:
        self._clock = clock
        self._max_wait = max_wait
        self._streaks = dict.fromkeys(STREAKS, (0, 0.0))
        """How long each streak is now, and when it began."""
        self._words = ""
        self._silent_since: float | None = None
        self._latest: FailureKind | None = None
        self._in_a_row = 0
        self._had_answer = False
        self.stop: Stop | None = None

    @property
    def trouble(self) -> str:
        """What every attempt lately has ended in, such as `unreachable`; empty while answers come."""
        return str(self._latest) if self._latest is not None and self._in_a_row >= TROUBLE_COUNT else ""

    def answered(self) -> None:
        """An answer came: whatever went wrong before is over."""
        self._had_answer = True
        self._silent_since = None
        self._latest, self._in_a_row = None, 0

    def failed(self, failure: Failure) -> Stop | None:
        """An attempt failed; the reason to end the run, if that makes one."""
        self._in_a_row = self._in_a_row + 1 if failure.kind is self._latest else 1
        self._latest = failure.kind
        self.stop = self.stop or self._tired_of(failure) or self._out_of_patience(failure)
        return self.stop

    def _tired_of(self, failure: Failure) -> Stop | None:
        """Whether the run itself can't: the failure says so, or has come too often."""
        self._count(failure)
        if failure.scope is Scope.RUN and (not (failure.hearsay and self._had_answer) or self._in_a_row >= HEARSAY_PATIENCE):
            return Stop(failure.kind, failure.message)
        if not self._had_answer and any(self._worn_out(streak) for streak in STREAKS):
            return Stop(failure.kind, failure.message)
        return None

    def _count(self, failure: Failure) -> None:
        now, words = self._clock(), VARYING.sub("#", failure.message)
        for streak, (count, since) in self._streaks.items():
            fits = failure.kind in streak.kinds
            goes_on = fits and count > 0 and not (streak.same_words and words != self._words)
            self._streaks[streak] = (count + 1, since) if goes_on else (int(fits), now)
        self._words = words

    def _worn_out(self, streak: Streak) -> bool:
        count, since = self._streaks[streak]
        return count >= streak.count and self._clock() - since >= streak.seconds

    def _out_of_patience(self, failure: Failure) -> Stop | None:
        """Nothing but refusals, or nothing at all, for longer than the run is to wait."""
        if failure.kind not in WAITED_OUT:
            self._silent_since = None
            return None
        now = self._clock()
        since = self._silent_since = now if self._silent_since is None else self._silent_since
        waited = now - since
        if waited > self._max_wait:
            return Stop(failure.kind, f"no answer for {waited:,.0f} s: {failure.message}")
        asked = (failure.wait or 0.0) if failure.scope is Scope.EVERYONE or failure.kind is FailureKind.OVERLOADED else 0.0
        if asked > (self._max_wait - waited if waited > AT_ONCE_SECONDS else self._max_wait):
            return Stop(failure.kind, f"the service asks to wait {asked:,.0f} s: {failure.message}")
        return None
