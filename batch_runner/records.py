"""The values that travel through a run. Frozen, so that nobody has to ask who changed one."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from batch_runner.usage import NO_USAGE, UNTOLD_USAGE, Tokens, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_runner.failures import FailureKind

__all__ = [
    "ANSWERED",
    "NO_PAST",
    "NO_USAGE",
    "REPEATABLE",
    "RETRIED",
    "UNTOLD_USAGE",
    "Attempt",
    "Bill",
    "ChatRequest",
    "Completion",
    "NoAnswer",
    "Outcome",
    "Past",
    "PromptRow",
    "Rejected",
    "Reply",
    "Result",
    "Status",
    "Tokens",
    "Unreached",
    "Usage",
]


class Status(StrEnum):
    """What became of a row; the word in an output line."""

    OK = "ok"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    FAILED = "failed"
    UNFINISHED = "unfinished"
    INVALID = "invalid"


ANSWERED = frozenset({Status.OK, Status.TRUNCATED, Status.REFUSED})
"""Statuses of rows the service answered, and was paid for."""

RETRIED = frozenset({Status.FAILED, Status.UNFINISHED})
"""Statuses of rows that `retry` sends again unless told otherwise."""

REPEATABLE = RETRIED | {Status.TRUNCATED, Status.REFUSED}
"""Statuses of rows that can be asked for again."""


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One input line that can be sent."""

    id: str
    source: str
    """Where the line stands, `FILE:LINE`, the file as the user named it."""
    line: bytes
    """The input line as read, without its line end."""
    asks: Mapping[str, Any]
    """What the row itself asks for: `messages`, and whatever of the run's parameters it overrides."""
    as_written: bool = False
    """True for an OpenAI Batch line, whose body is sent as it stands."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """The row's own fields."""
    text: str | None = None
    """The prompt, where one text is all that the row asks."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """One input line that can't be sent, and why."""

    id: str
    source: str
    line: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One row as it goes over the wire."""

    row_id: str
    model: str
    max_completion_tokens: int | None
    body: bytes
    fingerprint: str
    """Names the request as asked for; see `identity.fingerprint`."""
    expected: Tokens
    """What the request will probably use: for rate limits."""
    worst: Tokens
    """What the request can use at most: for money and for `maybe_billed`."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP response; a 500 is one too."""

    status: int
    headers: Mapping[str, str]
    """Asked for by names in lower case."""
    body: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class Unreached:
    """The request never left: no connection could be made. Nothing can have been billed."""

    reason: str
    seconds: float
    untrusted: bool = False
    """Somebody is there, but its certificate isn't to be trusted."""
    interrupted: bool = False
    """We gave up ourselves, because the run was told to leave."""


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The request left and no whole response came back. The service may have billed it."""

    reason: str
    seconds: float
    timed_out: bool = False
    interrupted: bool = False
    """We hung up ourselves, because the run was told to leave."""


Outcome = Reply | Unreached | NoAnswer


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer."""

    status: Status
    """`ok`, `truncated` or `refused`."""
    answer: str
    finish_reason: str
    model_answered: str
    usage: Usage | None
    """`None` when the service sent none that can be read."""
    request_id: str
    http_status: int
    message: str = ""
    """A refusal in the model's words, else empty."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a row, or a stretch of tries that ended alike."""

    at: str
    """When the first of them was sent: UTC, ISO 8601."""
    seconds: float
    """What they took together."""
    outcome: str
    """`ok`, `truncated`, `refused`, or a failure kind."""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Bill:
    """What attempts have cost, in tokens, under one model."""

    spent: Usage = NO_USAGE
    maybe_billed: Usage = NO_USAGE
    """What attempts whose answer never came have cost at their worst."""

    def __add__(self, other: Bill) -> Bill:
        owed = self.maybe_billed if other.maybe_billed is NO_USAGE else self.maybe_billed + other.maybe_billed
        return Bill(self.spent + other.spent, owed)

    def __bool__(self) -> bool:
        return bool(self.spent or self.maybe_billed)


NO_BILL = Bill()


@dataclass(frozen=True, slots=True)
class Result:
    """What an output line says of a row. Field by field the format, see `docs/output.md`."""

    id: str
    status: Status
    fingerprint: str
    source: str
    finished_at: str
    run_id: str
    model: str = ""
    max_completion_tokens: int | None = None
    bill: Bill = Bill()
    """All attempts of all runs under `model`."""
    other_bills: Mapping[str, Bill] = field(default_factory=dict)
    """The same under the models asked earlier."""
    cost_usd: float | None = None
    answer: str = ""
    finish_reason: str = ""
    failure: FailureKind | None = None
    message: str = ""
    http_status: int | None = None
    model_answered: str = ""
    request_id: str = ""
    usage: Usage = UNTOLD_USAGE
    """The answering attempt's."""
    attempts: tuple[Attempt, ...] = ()
    latency_s: float | None = None
    """The answering attempt, from send to last byte."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """The row's own fields."""
    input: str = ""
    body: str = ""

    @property
    def bills(self) -> dict[str, Bill]:
        """What the row has cost, by the model that was asked."""
        return {**self.other_bills, self.model: self.bill} if self.bill else dict(self.other_bills)


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier runs did for a row: read from its last line, carried on in its next one."""

    status: Status | None = None
    bills: Mapping[str, Bill] = field(default_factory=dict)
    """By the model that was asked."""
    attempts: tuple[Attempt, ...] = ()
    answer: Result | None = None
    """The answer the row has, where it is asked again all the same: it stands until a better one comes."""


NO_PAST = Past()
