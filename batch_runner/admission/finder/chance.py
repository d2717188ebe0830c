"""The fourth hypothesis: refusals that come at any pace. Some services refuse each row's first attempt, or a tenth of all.

A limit is contradicted where one refusal after the other comes at a lower pace than the last, and the same share of what is sent
is refused all the same: below a limit nothing would be. From then on that share is nobody's fault; only what is more than that
tells of a limit.
"""

from __future__ import annotations

from typing import NamedTuple

FALLEN = 0.65
"""The pace came down to so much of what it was, and it helped nothing."""

FEW_FALLS, LEAST_OF_FEW = 5, 0.2
MANY_FALLS, LEAST_OF_MANY, MOST_FALLS = 8, 0.06, 16
"""So many refusals show it, where at least such a share is refused."""

LEAST_IN_A_ROW = 0.012
"""A smaller share may be a shared limit's, or probes' that came one after the other; not where each of many refusals came at a
lower pace than the one before."""

LESS = 0.6
"""The share refused at the lower paces over that at the higher ones: less would be a limit that comes nearer."""

MOST_SHARE = 0.6
"""Who is refused more often than that has a limit, or a service that is hardly there."""

HEADROOM, MOST_HEADROOM = 1.5, 0.1
FIRST_EXCUSES, MOST_EXCUSES = 2.0, 4.0
"""Refusals that are excused: earned by each attempt, a little more than the share, because chance comes in lumps."""

REMEMBERED = 400
"""So many attempts tell the share; what was before fades."""


class _Fall(NamedTuple):
    """A refusal, at a pace below the first one's; what was sent and refused until then."""

    pace: float
    attempts: int
    refused: int


class Chance:
    """Whether refusals come whatever the pace, and which ones of them need no other reason."""

    def __init__(self) -> None:
        self.share = 0.0
        """Of all attempts, refused at any pace; 0 as long as nothing says so."""
        self._excuses = 0.0
        self._falls: list[_Fall] = []
        self._attempts = self._refused = 0.0
        self._looked_at = 0, 0

    def sent(self, unheard: float) -> None:
        """An attempt was sent, while so many others weren't heard of yet."""
        if self.share:
            self._excuses = min(MOST_EXCUSES + unheard, self._excuses + min(HEADROOM * self.share, self.share + MOST_HEADROOM))

    def excuses(self) -> bool:
        """Whether a refusal is one of those that come at any pace."""
        if self._excuses < 1.0:
            return False
        self._excuses -= 1.0
        return True

    def refused(self, pace: float, attempts: int, refused: int, *, explained: bool = False) -> float | None:
        """A refusal that nothing excuses, at a pace, when so many were sent and refused; `explained`: it may have another reason.

        The pace to go back to, where it is plain by now that it wasn't too high.
        """
        if self._falls and pace >= self._falls[0].pace:
            self._falls = []
        self._falls.append(_Fall(pace, attempts, refused))
        del self._falls[:-MOST_FALLS]
        self._looked_at = attempts, refused
        falls = next((falls for falls, least in self._series() if _helped_nothing(falls, least)), None)
        if explained or falls is None or (share := _share(falls[0], falls[-1])) < HEADROOM * self.share:
            return None
        self._attempts, self._refused = float(attempts - falls[0].attempts), float(refused - falls[0].refused)
        self.share, self._excuses = share, FIRST_EXCUSES
        self._falls = []
        return falls[0].pace

    def _series(self) -> tuple[tuple[list[_Fall], float], ...]:
        """All, and those in a row; with the least share that shows something where they are many."""
        return (self._falls, LEAST_OF_MANY), (self._in_a_row(), LEAST_IN_A_ROW)

    def _in_a_row(self) -> list[_Fall]:
        """The last ones, each at a lower pace than the one before."""
        falls = self._falls
        since = next((at for at in range(len(falls) - 1, 0, -1) if falls[at].pace >= falls[at - 1].pace), 0)
        return falls[since:]

    def held(self, attempts: int, refused: int) -> float:
        """The pace hasn't risen since the last look or refusal: what was refused meanwhile came at any pace. See `tries`."""
        if self.share:
            self._attempts += attempts - self._looked_at[0]
            self._refused += refused - self._looked_at[1]
            self._looked_at = attempts, refused
            fade = min(1.0, REMEMBERED / max(1.0, self._attempts))
            self._attempts, self._refused = fade * self._attempts, fade * self._refused
            self.share = min(self.share, self._refused / max(1.0, self._attempts))
            if self.share < LEAST_IN_A_ROW:
                self.share = self._excuses = 0.0
        return self.tries

    @property
    def tries(self) -> float:
        """Attempts for each request that is let in below any limit."""
        return 1.0 / (1.0 - self.share)


def _share(one: _Fall, other: _Fall) -> float:
    return (other.refused - one.refused) / max(1, other.attempts - one.attempts)


def _helped_nothing(falls: list[_Fall], least_of_many: float) -> bool:
    """Whether the pace fell far, and the share refused with it didn't."""
    if len(falls) < FEW_FALLS or falls[-1].pace > FALLEN * falls[0].pace:
        return False
    half = len(falls) // 2
    before, after = _share(falls[0], falls[half]), _share(falls[half], falls[-1])
    least = LEAST_OF_FEW if len(falls) < MANY_FALLS else least_of_many
    return least <= min(before, after) and max(before, after) <= MOST_SHARE and after >= LESS * before
