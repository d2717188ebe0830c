"""How many tokens something has: told by a service, or bounded beforehand. Frozen, and added up number by number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Tokens:
    """A number of prompt and of completion tokens, before the service has counted them."""

    prompt: int
    completion: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one answer or of many. `None` is a number nobody told; it counts as 0 in a sum.

    Reasoning tokens are part of the completion tokens, cached tokens part of the prompt tokens
    (`CompletionUsage` in OpenAI's API specification).
    """

    prompt_tokens: int | None = 0
    cached_tokens: int | None = 0
    completion_tokens: int | None = 0
    reasoning_tokens: int | None = 0
    total_tokens: int | None = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            (self.prompt_tokens or 0) + (other.prompt_tokens or 0),
            (self.cached_tokens or 0) + (other.cached_tokens or 0),
            (self.completion_tokens or 0) + (other.completion_tokens or 0),
            (self.reasoning_tokens or 0) + (other.reasoning_tokens or 0),
            (self.total_tokens or 0) + (other.total_tokens or 0),
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            (self.prompt_tokens or 0) - (other.prompt_tokens or 0),
            (self.cached_tokens or 0) - (other.cached_tokens or 0),
            (self.completion_tokens or 0) - (other.completion_tokens or 0),
            (self.reasoning_tokens or 0) - (other.reasoning_tokens or 0),
            (self.total_tokens or 0) - (other.total_tokens or 0),
        )

    def __bool__(self) -> bool:
        return bool(self.prompt_tokens or self.completion_tokens or self.total_tokens)

    def each(self, choose: Callable[[int, int], int], other: Usage) -> Usage:
        """Number by number what `choose` makes of both."""
        theirs = other.as_dict()
        return Usage(**{name: choose(number or 0, theirs[name] or 0) for name, number in self.as_dict().items()})

    def as_dict(self) -> dict[str, int | None]:
        """The five numbers by name, in the order of the format."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "completion_tokens": self.completion_tokens,
            "reasoning_tokens": self.reasoning_tokens,
            "total_tokens": self.total_tokens,
        }

    @classmethod
    def from_dict(cls, numbers: Mapping[str, Any]) -> Self:
        """What `as_dict` made; other keys are passed over."""
        return cls(
            numbers["prompt_tokens"],
            numbers["cached_tokens"],
            numbers["completion_tokens"],
            numbers["reasoning_tokens"],
            numbers["total_tokens"],
        )

    @classmethod
    def at_worst(cls, tokens: Tokens) -> Self:
        """The usage of an attempt whose answer never came, were all of its `tokens` used."""
        return cls(tokens.prompt, 0, tokens.completion, 0, tokens.prompt + tokens.completion)


NO_USAGE = Usage()
UNTOLD_USAGE = Usage(None, None, None, None, None)
