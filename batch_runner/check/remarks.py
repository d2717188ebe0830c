"""What somebody should look at before sending, although no service refuses it. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from batch_runner.refusals import Refusal, has_image
from batch_runner.reporters.wording import percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batch_runner.models import Family

ROOM_TO_REASON = 25_000
"""Tokens that OpenAI's guide to reasoning models advises to leave for reasoning and answer."""
NEAR = 0.9
"""The share of a window from which on a prompt is near its end."""


class Remark(StrEnum):
    """One thing to look at, as a word for programs."""

    SMALL_CAP = "small_cap"
    NO_CAP = "no_cap"
    NEAR_WINDOW = "near_window"
    LITTLE_ROOM = "little_room"
    IMAGES = "images"

    @staticmethod
    def about(body: Mapping[str, Any], tokens: int, cap: int | None, family: Family) -> Iterator[Remark]:
        """What there is to remark about a request with so many prompt tokens."""
        if cap is None:
            yield Remark.NO_CAP
        elif family.reasons and cap < ROOM_TO_REASON:
            yield Remark.SMALL_CAP
        if family.window is not None:
            most = family.most_prompt or family.window
            if tokens > NEAR * most:
                yield Remark.NEAR_WINDOW
            elif cap is not None and tokens + cap > family.window:
                yield Remark.LITTLE_ROOM
        if any(has_image(message) for message in body["messages"]):
            yield Remark.IMAGES


def remark_in_words(remark: Remark, model: str, family: Family) -> str:
    """What it means, and what to do."""
    return {
        Remark.SMALL_CAP: f"with a cap below {ROOM_TO_REASON:,} tokens, the least that OpenAI advises: {model} reasons inside "
        "it, so an answer may come back empty, and paid for",
        Remark.NO_CAP: f"without a cap: an answer of {model} may use up to {family.most_completion:,} tokens; "
        "--max-completion-tokens sets one",
        Remark.NEAR_WINDOW: f"with a prompt over {percent(NEAR, 0)} of what {model} can read: shorten it, or ask another model",
        Remark.LITTLE_ROOM: f"with a prompt and a cap that {model} can't hold together ({family.window or 0:,} tokens): "
        "answers may be cut off before the cap",
        Remark.IMAGES: "with images, whose tokens are not counted here",
    }[remark]


def room_for(tokens: int, family: Family) -> int:
    """The most completion tokens that an answer without a cap can have after a prompt of so many tokens."""
    left = family.most_completion if family.window is None else family.window - tokens
    return max(0, min(family.most_completion, left))


def shortage_of(tokens: int, family: Family, *, exact: bool) -> Refusal | None:
    """The refusal of a prompt that is longer than its model reads; an estimate is no ground for one."""
    most = family.most_prompt or family.window
    if most is None or not exact or tokens <= most:
        return None
    said = (
        f"This model's maximum context length is {most} tokens. However, your messages resulted in {tokens} tokens. "
        "Please reduce the length of the messages."
    )
    return Refusal("prompt too long", said, f"shorten the prompt to {most:,} tokens, or ask a model that reads more")
