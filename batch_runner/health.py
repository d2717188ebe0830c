"""The run's own pulse: does it go on? One bad row says nothing; the same failure again and again, without an answer, does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch_runner.failures import FailureKind, Scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch_runner.failures import Failure


@dataclass(frozen=True, slots=True)
class Streak:
    """Failures of some kinds that end the run when so many came in a row, over so long, with nothing else in between."""

    kinds: frozenset[FailureKind]
    count: int
    seconds: float = 0.0
    before_first_answer: bool = False
    """Counts only as long as the run has had no answer at all."""


STREAKS = (
    Streak(frozenset({FailureKind.UNREACHABLE}), 5, 10.0, before_first_answer=True),
    Streak(frozenset({FailureKind.UNREACHABLE}), 5, 120.0),
    Streak(
        frozenset(
            {
                FailureKind.SERVER_ERROR,
                FailureKind.OVERLOADED,
                FailureKind.CHANNEL_DOWN,
                FailureKind.TIMEOUT,
                FailureKind.CONNECTION_LOST,
                FailureKind.UNREADABLE_REPLY,
            },
        ),
        50,
        300.0,
    ),
    Streak(frozenset({FailureKind.RATE_LIMITED, FailureKind.CONCURRENCY_LIMITED}), 20, 3600.0),
    Streak(
        frozenset({FailureKind.UNSUPPORTED_PARAMETER, FailureKind.BAD_REQUEST, FailureKind.MODEL_NOT_FOUND}),
        20,
        before_first_answer=True,
    ),
)
"""Nobody there; an outage; a service that only refuses; a request that can't work, whatever the row."""

MOST_WAIT = 3600.0
"""A run asked to pause for longer than this stops instead, resumably."""

TROUBLE_COUNT = 3
"""Failures in a row that are worth showing."""

HEARSAY_PATIENCE = 5
"""A gateway passes on what a service behind it said of the *gateway's* key or money. Once the run has had answers, such a
word ends it only when it comes so often in a row."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the run ends before its rows do."""

    kind: FailureKind
    message: str


class Health:
    """Told of every attempt's end; `stop` is set once the run should end."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._runs = dict.fromkeys(STREAKS, (0, 0.0))
        """How long each streak is now, and when it began."""
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
        self._runs = dict.fromkeys(STREAKS, (0, 0.0))
        self._latest, self._in_a_row = None, 0

    def failed(self, failure: Failure) -> Stop | None:
        """An attempt failed; the reason to end the run, if that makes one."""
        self._count(failure.kind)
        if (failure.wait or 0.0) > MOST_WAIT:
            self.stop = self.stop or Stop(failure.kind, f"the service asks to wait {failure.wait:,.0f} s: {failure.message}")
        if self._is_about_run(failure) or any(self._worn_out(streak) for streak in STREAKS):
            self.stop = self.stop or Stop(failure.kind, failure.message)
        return self.stop

    def _count(self, kind: FailureKind) -> None:
        now = self._clock()
        for streak, (count, since) in self._runs.items():
            self._runs[streak] = (count + 1, since if count else now) if kind in streak.kinds else (0, 0.0)
        self._in_a_row = self._in_a_row + 1 if kind is self._latest else 1
        self._latest = kind

    def _is_about_run(self, failure: Failure) -> bool:
        if failure.scope is not Scope.RUN:
            return False
        return not (failure.hearsay and self._had_answer) or self._in_a_row >= HEARSAY_PATIENCE

    def _worn_out(self, streak: Streak) -> bool:
        count, since = self._runs[streak]
        if streak.before_first_answer and self._had_answer:
            return False
        return count >= streak.count and self._clock() - since >= streak.seconds
