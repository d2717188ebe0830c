"""A budget for retries, so that they never become the load: a service in trouble would be sent each request five times."""

from __future__ import annotations

import asyncio

from batch_runner.admission.change import Change

MOST_SAVED = 100.0
"""So many retries can be ahead of the answers."""

PER_ANSWER = 2.0
"""Then two follow each answer: with one, a run that has only retries left would never be back at its pace after an outage."""

PER_SECOND = 1.0


class Retries:
    """Leave to try again, first come, first served."""

    def __init__(self) -> None:
        self._left = MOST_SAVED
        self._answers = 0
        self._counted_at = 0.0
        self._turn = asyncio.Lock()
        self._changed = Change()

    def answered(self) -> None:
        """An answer pays for two retries more."""
        self._answers += 1
        if self._turn.locked():
            self._changed.happened()

    async def permit(self) -> None:
        """Wait until the budget has room for one retry more."""
        async with self._turn:
            while (missing := 1.0 - self._earned()) > 0:
                await self._changed.wait(missing / PER_SECOND)
            self._left -= 1.0

    def _earned(self) -> float:
        """What is left, with what answers and time have paid since the last look."""
        now = asyncio.get_running_loop().time()
        self._left = min(MOST_SAVED, self._left + PER_ANSWER * self._answers + PER_SECOND * (now - self._counted_at))
        self._answers, self._counted_at = 0, now
        return self._left
