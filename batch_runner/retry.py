"""Whether and when a failed attempt is made again. Pure.

| failure                                   | again?                                          | costs an attempt |
|-------------------------------------------|-------------------------------------------------|------------------|
| the service asks to slow down             | yes, when the shared pause is over              | no               |
| nobody reached; nothing but an outage     | yes, until `health` ends the run                | no               |
| transient (5xx, …)                        | yes, up to `max_attempts`                       | yes              |
| no whole answer (may have been billed)    | yes, once; in an outage up to three times       | yes              |
| about the row                             | no                                              | –                |
| about the run                             | as transient, where `health` lets the run go on | yes              |
| `x-should-retry: false`                   | no                                              | –                |
| about the row, and `x-should-retry: true` | as transient                                    | yes              |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_runner.failures import MAYBE_BILLED, MOST_MAYBE_BILLED, NOT_THE_ROWS, TRANSIENT, FailureKind, Scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch_runner.failures import Failure

BASE_SECONDS = 1.0
MOST_SECONDS = 60.0


def delay(
    failure: Failure, *, made: int, tried: int, owed: float, max_attempts: int, random: Callable[[], float]
) -> float | None:
    """Seconds to wait before the next attempt, or `None` to give up.

    `made` counts the attempts of this run, `tried` those that were the row's own (see `failures.NOT_THE_ROWS`), `owed`
    those whose answer never came, one lost in an outage as a half. The delay has full jitter, so that rows that failed
    together don't come back together; a wait that the service asked for comes on top of nothing shorter.
    """
    if failure.again is False and failure.scope is not Scope.RUN:
        return None
    if failure.scope is Scope.EVERYONE:
        return 0.0  # admission holds everyone back, this row too
    if tried >= max_attempts or not _may_pass(failure):
        return None
    if failure.kind in MAYBE_BILLED and owed >= MOST_MAYBE_BILLED:
        return None
    step = made if failure.kind in NOT_THE_ROWS else max(1, tried)
    jitter = random() * min(MOST_SECONDS, BASE_SECONDS * 2.0 ** min(step - 1, 10))
    return jitter + (failure.wait or 0.0)


def _may_pass(failure: Failure) -> bool:
    """True when the same request may succeed later."""
    if failure.kind is FailureKind.INTERRUPTED:
        return False
    return failure.kind in TRANSIENT or failure.scope is Scope.RUN or failure.again is True
