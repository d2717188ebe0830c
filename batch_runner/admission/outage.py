"""Nobody answers: everyone waits, but for one request now and then that looks whether the service is back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

ENOUGH_EVIDENCE = 20
"""Evidence is counted once a row, so that a few rows that fail whatever happens don't look like an outage."""

SILENCE, DOUBT = 4, 1
"""What a row's failure weighs: nobody there or a proxy's word, against a 500, which may be the row's own doing."""

MOST_SUSPECTS = 10_000
"""Rows that failed while others were answered. Their next failure weighs a quarter: it is probably their own, and when they
are tried again at the end of a run, no answer comes in between any more."""

MOST_AT_ONCE = 256
"""So many rows are enough, however many are in flight. Losses are quicker than answers: with half of the requests lost, the first
thirty of sixty to end are lost ones."""

LONG_ENOUGH_SECONDS = 5.0
OFTEN_ENOUGH = 0.5
"""An outage begins when there is enough evidence, and no answer has come for so long; or since a row has used up all of its
attempts; or, where one has used up so much of them, when as many rows as are in flight have met nothing else."""

FIRST_GAP, MOST_GAP = 1.0, 60.0
"""Seconds between probes; doubled each time."""


class _Evidence(NamedTuple):
    """What a row has met since the last answer."""

    weight: int
    used_up: float


class Outage:
    """Counts failures without an answer in between; `on` when they are about the service and no longer about rows."""

    def __init__(self, random: Callable[[], float], most_gap: float = MOST_GAP) -> None:
        self.on = False
        self._random = random
        self._rows: dict[str, _Evidence] = {}
        self._suspects: dict[str, None] = {}
        self._weight = 0
        self._most_used_up = 0.0
        self._since = 0.0
        self._most_gap = most_gap
        self._gap = FIRST_GAP
        self._next_probe = 0.0

    @property
    def seconds(self) -> float:
        """How long there has been no answer; 0 while there is no outage."""
        return _now() - self._since if self.on else 0.0

    @property
    def left(self) -> float:
        """Seconds until the next probe may go; 0 while there is no outage."""
        return max(0.0, self._next_probe - _now()) if self.on else 0.0

    def lost(self, row_id: str, weight: int, share: float, at_once: int = 1) -> None:
        """A request of this row brought no answer, and used up a `share` of the row's attempts; `at_once` were in flight."""
        if self.on:
            return
        now = _now()
        if not self._rows:
            self._since = now
        if row_id in self._suspects:
            weight //= SILENCE
        before = self._rows.get(row_id, _Evidence(0, 0.0))
        row = self._rows[row_id] = _Evidence(max(weight, before.weight), before.used_up + share)
        self._weight += row.weight - before.weight
        self._most_used_up = max(self._most_used_up, row.used_up)
        if self._weight >= ENOUGH_EVIDENCE and (self._is_pressing(now) or self._took_all(at_once)):
            self._begin(now)

    def _is_pressing(self, now: float) -> bool:
        """Another loss would be a row's last, or there has been no answer for long."""
        return self._most_used_up >= 1.0 or now - self._since >= LONG_ENOUGH_SECONDS

    def _took_all(self, at_once: int) -> bool:
        """As many rows as are in flight were lost, one after the other, and they can't take it often: no service that only
        loses some does that.
        """
        return self._most_used_up >= OFTEN_ENOUGH and self._weight >= SILENCE * min(at_once, MOST_AT_ONCE)

    def alive(self) -> bool:
        """The service answered something; true when that ends an outage."""
        was_on, self.on = self.on, False
        if self._rows:
            self._suspect()
            self._forget()
        return was_on

    def sent(self) -> None:
        """A request goes. During an outage it is the one that looks; the next look is a while away."""
        if self.on:
            self._set_next_probe(_now())

    def _begin(self, now: float) -> None:
        self.on = True
        self._forget()
        self._gap = FIRST_GAP
        self._set_next_probe(now)

    def _suspect(self) -> None:
        self._suspects.update(dict.fromkeys(self._rows))
        while len(self._suspects) > MOST_SUSPECTS:
            del self._suspects[next(iter(self._suspects))]

    def _forget(self) -> None:
        self._rows.clear()
        self._weight, self._most_used_up = 0, 0.0

    def _set_next_probe(self, now: float) -> None:
        self._next_probe = now + self._gap * (0.75 + self._random() / 2)  # many runs share a service: not all at once
        self._gap = min(self._most_gap, 2 * self._gap)


def _now() -> float:
    return asyncio.get_running_loop().time()
