"""How a row whose answer was cut off is asked again: with a larger cap, or not at all. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from batch_runner.models import family_of
from batch_runner.records import Status

if TYPE_CHECKING:
    from batch_runner.records import ChatRequest, Past, PromptRow
    from batch_runner.settings import Settings
    from batch_runner.stencil import Stencil
    from batch_runner.usage import Usage

NO_USE = 0
"""Stands for a cap where no larger one would bring a longer answer."""


@dataclass(frozen=True, slots=True)
class Growth:
    """By how much a cap grows after an answer was cut off at it."""

    factor: float = 2.0
    at_once: bool = False
    """Whether the same run asks again; else only a later one does, when it is told to."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """What the settings say."""
        return cls(settings.retry.grow_factor, settings.retry.on_truncated == "grow")

    def larger(self, model: str, cap: int | None, usage: Usage) -> int:
        """The cap to ask for after an answer of this `usage` was cut off at `cap` (`None`: none was sent).

        `NO_USE` at the most that the model writes, or has room for behind the prompt.
        """
        cut_at = usage.completion_tokens if cap is None else cap
        if not cut_at:
            return NO_USE
        grown = min(math.ceil(cut_at * self.factor), _longest(model, usage))
        return grown if grown > cut_at else NO_USE

    def again(self, model: str, asked: int | None, cap: int | None, usage: Usage) -> int | None:
        """The same for a later run that itself would ask for a cap of `asked`: that, where it is larger already."""
        cut_at = usage.completion_tokens if cap is None else cap
        if not cut_at or (asked is not None and asked > cut_at):
            return asked
        if asked is None and cap is not None and cap < _longest(model, usage):
            return None
        return self.larger(model, cap, usage)


DOUBLED = Growth()


def _longest(model: str, usage: Usage) -> int:
    """The most completion tokens that an answer can have behind the prompt of one of this `usage`."""
    family = family_of(model)
    if family.window is None:
        return family.most_completion
    return min(family.most_completion, family.window - (usage.prompt_tokens or 0))


def first_request(row: PromptRow, past: Past, stencil: Stencil, growth: Growth) -> ChatRequest:
    """What is sent first for a row: never the very request whose answer was cut off already."""
    request, cut = stencil.request(row), past.answer
    if cut is None or cut.status is not Status.TRUNCATED or cut.fingerprint != request.fingerprint:
        return request
    cap = growth.again(request.model, request.max_completion_tokens, cut.max_completion_tokens, cut.usage)
    return request if cap in {request.max_completion_tokens, NO_USE} else stencil.request(row, cap)
