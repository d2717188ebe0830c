"""What goes into the finder: what was sent, how it was refused, and what the user allows. Rates are per second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["rate", "window", "cap", "slows", "tokens"]
"""What a service turned out to have: a rate, a window of a minute, a cap on requests in flight; or it slows down; or it named a
limit on tokens."""

MOST_IN_FLIGHT = 8192
"""Nobody needs more, and each is an open file."""

LONG_WAIT_SECONDS, LONG_WAIT_REQUESTS = 2.0, 4.0


@dataclass(slots=True)
class Sent:
    """One request on its way."""

    number: int
    at: float
    in_flight: int
    """How many others were on their way when it was sent."""
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a service said when it refused a request."""

    wait: float | None = None
    """Seconds it asked us to wait, where it said so."""
    rate: float | None = None
    """Requests a second it says it takes, where it said so."""
    limit: str = ""
    """Which limit it names: `requests`, `tokens`, `concurrency`; mostly none."""

    def asks_for_long(self, rate: float) -> bool:
        """Whether it asks to wait for so long, and for so many requests' time at `rate` a second, that a window is used up."""
        wait = self.wait or 0.0
        return wait > LONG_WAIT_SECONDS and wait * rate > LONG_WAIT_REQUESTS


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What the user allows at most; nothing found goes above it."""

    in_flight: int = MOST_IN_FLIGHT
    told: bool = False
    """Whether the user named it; then so many may be in flight from the start."""
    rate: float | None = None
    beside_tokens: bool = False
    """A limit on tokens was told too: the pace may save a second up while that one holds everybody."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What was found out about a service. A start for the next run, never a ceiling."""

    kind: Kind
    rate: float | None
    """Requests a second, or tokens; `None` for a cap, or a service that slows down."""
    in_flight: int
    """Requests that may be in flight."""
    age: float = 0.0
    """Seconds since it was found, where it is remembered."""
    was: float | None = None
    """The rate before it changed, where it did."""
    held: float = 1.0
    """The share of it that is used."""
