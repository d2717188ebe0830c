"""How many tokens a prompt has: an estimate, a bound, and the exact number where the extra `tokens` is installed.

The estimate is for rates and for what is shown, the bound for money: neither is ever used for the other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batch_runner.json_text import dumps, whole_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ENCODING = "o200k_base"
"""The encoding of gpt-4o and every model after it (tiktoken's `model.py`)."""

TALK_TOKENS = 3
"""What a chat model counts for each message beside its text, and once more for its answer (OpenAI's cookbook)."""

IMAGE_TOKENS = 40_000
"""More than any chat model counts for one image."""

IMAGE = b'"image_url"'
"""What an image is named in a body."""

DATA_URL = re.compile(rb"data:image/[\w.+-]+;base64,[A-Za-z0-9+/=]*")

CONTINUED = bytes(range(0x80, 0xC0))
NOT_WIDE = bytes(range(0xE3)) + bytes(range(0xF5, 0x100))
"""UTF-8: bytes that go on with a character, and those that don't begin one of U+3000 or above (Chinese, Japanese, Korean and what
comes after them); what is left is counted."""

NARROW_PER_TOKEN = 3.6
WIDE_TOKENS = 0.75
"""Characters per token of English and code, tokens per character of Chinese: measured against `o200k_base`."""


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Something that counts the prompt tokens of request bodies, many at once."""

    name: str
    """How the numbers are called where they are shown."""
    exact: bool
    count: Callable[[Sequence[Mapping[str, Any]]], list[int]]


def prompt_estimate(body: Mapping[str, Any]) -> int:
    """Prompt tokens by character classes, images aside."""
    return text_tokens(dumps(body["messages"])) + talk_tokens(body)


def text_tokens(data: bytes) -> int:
    """The tokens of a JSON text by character classes, images aside."""
    text = _without_images(data)
    if text.isascii():
        return int(len(text) / NARROW_PER_TOKEN)
    wide = len(text.translate(None, NOT_WIDE))
    narrow = len(text.translate(None, CONTINUED)) - wide
    return int(narrow / NARROW_PER_TOKEN + wide * WIDE_TOKENS)


def prompt_bound(body: Mapping[str, Any], data: bytes) -> int:
    """More prompt tokens than `body`, sent as `data`, can have: no tokenizer makes more tokens than there are UTF-8 bytes; an
    image is the exception.
    """
    images = data.count(IMAGE)
    text = _without_images(data) if images else data
    return len(text) + talk_tokens(body) + images * IMAGE_TOKENS


def token_counter() -> TokenCounter:
    """The exact counter where the extra `tokens` is installed, else the estimate."""
    try:
        from toktok import batch_count  # noqa: PLC0415 - an extra, and its vocabulary takes half a second
    except ImportError:
        return TokenCounter("estimated", exact=False, count=lambda bodies: [prompt_estimate(body) for body in bodies])
    return TokenCounter(ENCODING, exact=True, count=lambda bodies: _counted(bodies, batch_count))


def _counted(bodies: Sequence[Mapping[str, Any]], batch_count: Callable[[list[str], str], list[int]]) -> list[int]:
    """One call for all texts of all bodies; what stands around the texts is added."""
    texts = [list(_texts(body)) for body in bodies]
    try:
        counts = iter(batch_count([text for each in texts for text in each], ENCODING))
    except UnicodeEncodeError:  # a lone surrogate
        counts = iter(batch_count([whole_text(text) for each in texts for text in each], ENCODING))
    return [sum(next(counts) for _ in each) + talk_tokens(body) for each, body in zip(texts, bodies, strict=True)]


def _texts(body: Mapping[str, Any]) -> Iterator[str]:
    """Everything in `body` that a model reads, images aside: what was said, tools and formats as their JSON."""
    for message in body["messages"]:
        yield message["role"]
        content = message.get("content")
        if isinstance(content, str):
            yield content
        elif isinstance(content, list):
            yield from (part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
        yield from (dumps(message[key]).decode() for key in ("tool_calls", "function_call") if message.get(key))
    yield from (dumps(body[key]).decode() for key in ("tools", "functions", "response_format") if body.get(key))


def _without_images(data: bytes) -> bytes:
    """A JSON text without the bytes of the images in it, which are no words."""
    return DATA_URL.sub(b"", data) if b";base64," in data else data


def talk_tokens(body: Mapping[str, Any]) -> int:
    """What a model counts beside the texts of a conversation."""
    return TALK_TOKENS * (len(body["messages"]) + 1)
