"""What is in flight at its worst, against a ceiling that is on disk before anything passes it.

After a `kill -9` nobody knows what the requests in flight have cost. The ceiling bounds it: it stands in the output's run
line, synced before the first request, and is raised there, in steps, before more than it can be in flight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from batch_runner.records import Tokens


@dataclass(frozen=True, slots=True)
class Ceiling:
    """So many attempts, and so many tokens of theirs, may be in flight."""

    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def plus(self, tokens: Tokens, count: int = 1) -> Ceiling:
        """With `count` requests more (or less) in flight, of `tokens` each at their worst."""
        return Ceiling(
            self.attempts + count,
            self.prompt_tokens + count * tokens.prompt,
            self.completion_tokens + count * tokens.completion,
        )

    def covers(self, other: Ceiling) -> bool:
        """True when `other` may be in flight under this ceiling."""
        return (
            other.attempts <= self.attempts
            and other.prompt_tokens <= self.prompt_tokens
            and other.completion_tokens <= self.completion_tokens
        )

    def raised_for(self, needed: Ceiling) -> Ceiling:
        """A ceiling with room for `needed` and as much again, so that raising stays rare."""
        return Ceiling(
            max(self.attempts, 2 * needed.attempts),
            max(self.prompt_tokens, 2 * needed.prompt_tokens),
            max(self.completion_tokens, 2 * needed.completion_tokens),
        )


class Exposure:
    """Counts what is in flight, and has the ceiling raised before it would be passed."""

    def __init__(self, ceiling: Ceiling, raise_to: Callable[[Ceiling], Awaitable[None]]) -> None:
        self.ceiling = ceiling
        self._attempts = self._prompt_tokens = self._completion_tokens = 0
        self._raise_to = raise_to

    @property
    def now(self) -> Ceiling:
        """What is in flight."""
        return Ceiling(self._attempts, self._prompt_tokens, self._completion_tokens)

    def covers(self, worst: Tokens) -> bool:
        """Whether the ceiling on disk covers a request of `worst` tokens beside what is in flight."""
        ceiling = self.ceiling
        return (
            self._attempts < ceiling.attempts
            and self._prompt_tokens + worst.prompt <= ceiling.prompt_tokens
            and self._completion_tokens + worst.completion <= ceiling.completion_tokens
        )

    def take(self, worst: Tokens) -> None:
        """Count a request in that is covered."""
        self._attempts += 1
        self._prompt_tokens += worst.prompt
        self._completion_tokens += worst.completion

    def give_back(self, worst: Tokens) -> None:
        """Count a request out."""
        self._attempts -= 1
        self._prompt_tokens -= worst.prompt
        self._completion_tokens -= worst.completion

    async def make_room(self, worst: Tokens) -> None:
        """Raise the ceiling until it covers a request of `worst` tokens, too. For one at a time."""
        while not self.covers(worst):
            ceiling = self.ceiling.raised_for(self.now.plus(worst))
            await self._raise_to(ceiling)
            self.ceiling = ceiling
