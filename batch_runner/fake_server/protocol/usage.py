"""The five token numbers of an answer, and their sums."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used; cached is a part of prompt, reasoning a part of completion."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens

    def as_counts(self) -> dict[str, int]:
        """The five numbers, flat, as the books show them."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "completion_tokens": self.completion_tokens,
            "reasoning_tokens": self.reasoning_tokens,
            "total_tokens": self.total_tokens,
        }

    def as_sent(self, *, details: bool) -> dict[str, object]:
        """The shape of the API's own `usage`."""
        sent: dict[str, object] = {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.total_tokens,
        }
        if details:
            sent["prompt_tokens_details"] = {"cached_tokens": self.cached_tokens, "audio_tokens": 0}
            sent["completion_tokens_details"] = {
                "reasoning_tokens": self.reasoning_tokens,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            }
        return sent


NOTHING = Usage()


@dataclass(slots=True)
class UsageSum:
    """A running sum of what answers used, and of how many they were."""

    answers: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0

    def add(self, usage: Usage) -> None:
        """One more answer."""
        self.answers += 1
        self.prompt_tokens += usage.prompt_tokens
        self.cached_tokens += usage.cached_tokens
        self.completion_tokens += usage.completion_tokens
        self.reasoning_tokens += usage.reasoning_tokens

    @property
    def total(self) -> Usage:
        """The sum so far."""
        return Usage(self.prompt_tokens, self.cached_tokens, self.completion_tokens, self.reasoning_tokens)
