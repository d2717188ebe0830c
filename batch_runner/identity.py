"""A row's id, a request's fingerprint, and whether a record of it is still good. Pure.

A row is its id and its request's fingerprint, never its position: lines may be added, moved and removed between runs.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from batch_runner.json_text import dumps
from batch_runner.records import ANSWERED, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batch_runner.failures import FailureKind

FINGERPRINT_VERSION = "v1"
NOT_ASKED = frozenset(
    {
        "max_completion_tokens",
        "max_tokens",
        "metadata",
        "prompt_cache_key",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "user",
    },
)
"""Parts of a request body that don't change what is asked, only how much of it is paid for, how it is delivered or filed."""


def fingerprint(body: Mapping[str, Any]) -> str:
    """The request as asked for: a version tag and a hash of the body without what `NOT_ASKED` names."""
    return fingerprint_of(as_asked(body))


def fingerprint_of(asked: bytes) -> str:
    """The fingerprint of what `as_asked` gives."""
    return f"{FINGERPRINT_VERSION}:{_hash(asked, 16)}"


def key_of_request(body: Mapping[str, Any]) -> int:
    """The key of a request's fingerprint, without its text."""
    return int.from_bytes(blake2b(as_asked(body), digest_size=16).digest()[:8], "big")


def line_fingerprint(line: bytes, reason: str) -> str:
    """The fingerprint of a line that can't be sent: another reason is worth another record. Without one: as it once was."""
    return f"{FINGERPRINT_VERSION}:{_hash(line + reason.encode(errors='replace'), 16)}"


def id_from_content(asks: Mapping[str, Any]) -> str:
    """The id of a row that brings none: by what it asks, so that an edited label buys nothing and an edited text does."""
    return f"row-{_hash(dumps(asks, sort_keys=True), 8)}"


def id_from_line(line: bytes) -> str:
    """The id of a line that can't be read."""
    return f"row-{_hash(line, 8)}"


def key_of_id(row_id: str) -> int:
    """64 bits (signed) that stand for an id while this process lives. Ten million ids meet by chance once in 370,000 files."""
    return key_of_encoded_id(row_id.encode())


def lot(seed: int, row_id: str) -> int:
    """64 bits drawn for a row: the same for the same seed, on any machine."""
    return int.from_bytes(blake2b(f"{seed}\0{row_id}".encode(), digest_size=8).digest(), "little")


def key_of_fingerprint(text: str) -> int:
    """64 bits that stand for a fingerprint in the index: the first half of its hash."""
    return int(text.rpartition(":")[2][:16], 16)


class Occurrences:
    """Numbers rows that bring no id and ask the same: the first keeps the plain id, later ones get `-2`, `-3` and so on."""

    def __init__(self) -> None:
        self._count: dict[str, int] = {}

    def next(self, row_id: str) -> str:
        """The id of one more row that asks the same as an earlier one."""
        number = self._count.get(row_id, 1) + 1
        self._count[row_id] = number
        return f"{row_id}-{number}"

    def repeated(self) -> frozenset[str]:
        """The plain ids that stand more than once."""
        return frozenset(self._count)


class Action(IntEnum):
    """What a run does about one input line."""

    KEEP = 0
    """Its record stands."""
    SEND = 1
    CHANGED = 2
    """It was answered, and now asks something else: bought again only on the user's word."""
    RECORD = 3
    """It can't be sent, and the output doesn't say so yet."""
    LEAVE_OUT = 4
    """The run isn't about it."""


@dataclass(frozen=True, slots=True)
class Again:
    """Which recorded rows the user wants sent again."""

    failed: bool = False
    only: bool = False
    """True: rows in `states` or of `kinds` are sent and no others."""
    states: frozenset[Status] = frozenset()
    kinds: frozenset[FailureKind] = frozenset()


def decide(status: Status | None, *, same: bool, again: Again, kind: FailureKind | None = None) -> Action:
    """What to do about a row whose last record has `status` (`None`: no record), its request being the `same` or not.

    `kind` is the record's failure kind; it matters only when `again` names kinds.
    """
    if again.only:
        return Action.SEND if status in again.states or kind in again.kinds else Action.KEEP
    if status in ANSWERED:
        return Action.KEEP if same else Action.CHANGED
    if status is Status.FAILED and same:
        return Action.SEND if again.failed else Action.KEEP
    return Action.SEND


def decide_rejected(status: Status | None, *, same: bool) -> Action:
    """What to do about a line that can't be sent: a paid answer under its id is never buried."""
    if status in ANSWERED or (status is Status.INVALID and same):
        return Action.KEEP
    return Action.RECORD


def as_asked(body: Mapping[str, Any]) -> bytes:
    """What of a body says what is asked, as one JSON text."""
    return dumps({key: value for key, value in body.items() if key not in NOT_ASKED}, sort_keys=True)


def _hash(data: bytes, size: int) -> str:
    return blake2b(data, digest_size=size).hexdigest()


def _wide_hash(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little", signed=True)


key_of_encoded_id: Callable[[bytes], int] = hash if sys.hash_info.width >= 64 else _wide_hash  # noqa: PLR2004 - bits
"""`key_of_id` of an id in UTF-8: Python's own hash (SipHash), ten times quicker than others, where that is wide enough."""
