"""What a fault does to a request: one small value per way of going wrong.

Two sorts. A *replacement* comes instead of an answer, so nothing is computed and nothing billed. A *damage* happens to an
answer that was computed and billed, on its way to the client: that is how a gateway makes somebody pay for nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Status:
    """Any status with any body: text, bytes, or a mapping sent as JSON."""

    status: int = 500
    body: str | bytes | Mapping[str, object] = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Canned:
    """An error from the catalogue (see `protocol.catalogue`) by name; a `status` of 200 makes it an error inside a success."""

    error: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Html:
    """A proxy's own page where JSON was expected."""

    status: int = 502
    title: str = "Bad Gateway"


@dataclass(frozen=True, slots=True)
class Empty:
    """A status and not one byte of body."""

    status: int = 200


@dataclass(frozen=True, slots=True)
class Redirect:
    """Sends the client elsewhere; a client that follows carries its key there."""

    to: str = "http://elsewhere.invalid/v1/chat/completions"
    status: int = 307


@dataclass(frozen=True, slots=True)
class Hang:
    """Silence for `seconds`, before the first byte or (`inside`) after half the body; then the connection closes."""

    inside: bool = False
    seconds: float = math.inf


@dataclass(frozen=True, slots=True)
class Drip:
    """The whole answer, but `size` bytes at a time with `pause` seconds between."""

    size: int = 1
    pause: float = 0.01


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection ends, before the first byte or (`inside`) after half the body; `reset` sends a TCP reset."""

    inside: bool = False
    reset: bool = False


@dataclass(frozen=True, slots=True)
class WrongLength:
    """A content-length that is `off` bytes larger (or, negative, smaller) than the body, then the end of the connection."""

    off: int = 100


@dataclass(frozen=True, slots=True)
class BrokenGzip:
    """Says gzip, and sends noise after its header."""


@dataclass(frozen=True, slots=True)
class BlankLines:
    """Empty lines to keep the connection awake before the real answer, as DeepSeek sends them."""

    lines: int = 3
    pause: float = 0.005


@dataclass(frozen=True, slots=True)
class DuplicateKeys:
    """An answer whose JSON names `id` and `usage` twice."""


@dataclass(frozen=True, slots=True)
class Huge:
    """An answer whose content is this many bytes long."""

    size: int = 50_000_000


@dataclass(frozen=True, slots=True)
class LoneSurrogate:
    """An answer whose content holds an escaped half of a surrogate pair."""


@dataclass(frozen=True, slots=True)
class BigInteger:
    """An answer with an integer of 30 digits in its `usage`."""


@dataclass(frozen=True, slots=True)
class CloseAfter:
    """The whole answer, and then the kept-alive connection closes under the client's feet."""


@dataclass(frozen=True, slots=True)
class OddStream:
    """A stream with `comments` between its events, without `[DONE]`, without its usage, or with an error as a bare line."""

    oddity: Literal["comments", "no_done", "no_usage", "error_line"] = "comments"


Replacement = Status | Canned | Html | Empty | Redirect
Damage = (
    Hang
    | Drip
    | Cut
    | WrongLength
    | BrokenGzip
    | BlankLines
    | DuplicateKeys
    | Huge
    | LoneSurrogate
    | BigInteger
    | CloseAfter
    | OddStream
)
Action = Replacement | Damage
REPLACEMENTS = (Status, Canned, Html, Empty, Redirect)
UNREADABLE = (Hang, Cut, WrongLength, BrokenGzip)
"""The damages after which no client has the answer."""


def loses_answer(damage: Damage) -> bool:
    """Whether a client is left without its answer, however many bytes it got."""
    return isinstance(damage, UNREADABLE) or damage == OddStream("error_line")
