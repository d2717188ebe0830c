"""How long a limit is believed that a refusal named. Pure.

It is the answer to the refusal. But limits are raised, and a gateway passes on what one of the many accounts behind it said: so a
named limit is believed for some time, longer each time it is named again, and then looked beyond.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_SECONDS, FIRST_REQUESTS = 120.0, 200.0
"""At least so long, and as long as so many requests take: a look beyond costs a refusal or two."""

CONTRADICTED = 1.1
LOOK_BACK_SECONDS = 120.0
"""What was let in over so long tells whether a limit can be ours."""

MINUTE = 60.0
"""A bucket of a minute, full at first, lets in so much more."""


class Trust:
    """What was named, while it is believed."""

    def __init__(self) -> None:
        self.named: float | None = None
        """The limit that is believed now, in a second."""
        self._last = 0.0
        self._seconds = FIRST_SECONDS
        self._until = -math.inf

    def name(self, rate: float, now: float, *, a_request: float = 1.0) -> bool:
        """A refusal names `rate`, of which a request takes so much. Whether it is what was named the last time, too.

        That is believed for twice as long.
        """
        least = max(FIRST_SECONDS, FIRST_REQUESTS * a_request / rate)
        again = rate == self._last
        if rate != self.named:
            self._seconds = max(2 * self._seconds, least) if again else least
            self._until = now + self._seconds
        self.named = self._last = rate
        return again

    def expired(self, now: float) -> bool:
        """True once, when it isn't believed any more."""
        if self.named is None or now < self._until:
            return False
        self.named = None
        return True


def is_anothers(rate: float, let_in_since: Callable[[float], float], began: float, now: float) -> bool:
    """Whether a limit of `rate` a second, named now, is about somebody else: a gateway may pass on what one of the many accounts
    behind it said. The run `began` at a moment; `let_in_since` one, so much was let in.
    """
    seconds = min(LOOK_BACK_SECONDS, now - began)
    return contradicted(rate, let_in_since(now - seconds), seconds)


def contradicted(rate: float, let_in: float, seconds: float) -> bool:
    """Whether a service that let in so much in so many seconds can't have a limit of `rate` a second."""
    return let_in > CONTRADICTED * rate * (seconds + MINUTE)
