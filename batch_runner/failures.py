"""What can go wrong: failure kinds (values, expected), and the error tree (exceptions, they end a run).

    BatchRunnerError
    ├── UsageMistake          2   a flag, a setting or a job file that can't be meant so
    ├── CannotStart           3   input, settings or output unusable; nothing was sent
    ├── OutputBusy           75   another run holds the output
    ├── OutputLost            6   the output can't be written any more
    └── Bug                  70   a fault of ours

`run_file` raises all but `OutputLost`, which ends a run that has begun and so is told in its report.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

from batch_runner.exits import ExitStatus

if TYPE_CHECKING:
    from batch_runner.usage import Usage


class FailureKind(StrEnum):
    """Why an attempt or a row failed; the word in an output line. `advice.ADVICE` says what to do about each."""

    RATE_LIMITED = "rate_limited"
    CONCURRENCY_LIMITED = "concurrency_limited"

    SERVER_ERROR = "server_error"
    OVERLOADED = "overloaded"
    CHANNEL_DOWN = "channel_down"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection_lost"
    UNREADABLE_REPLY = "unreadable_reply"
    INTERRUPTED = "interrupted"

    BAD_REQUEST = "bad_request"
    UNSUPPORTED_PARAMETER = "unsupported_parameter"
    CONTEXT_TOO_LONG = "context_too_long"
    TOO_LARGE = "too_large"
    POLICY = "policy"

    INVALID_KEY = "invalid_key"
    NO_ACCESS = "no_access"
    QUOTA_EXHAUSTED = "quota_exhausted"
    MODEL_NOT_FOUND = "model_not_found"
    WRONG_ENDPOINT = "wrong_endpoint"

    INVALID_LINE = "invalid_line"


SLOW_DOWN = frozenset({FailureKind.RATE_LIMITED, FailureKind.CONCURRENCY_LIMITED})
"""The service asks for fewer requests."""

NOT_THE_ROWS = SLOW_DOWN | {FailureKind.UNREACHABLE}
"""Says nothing about the row, so it costs the row no attempt; `health` ends a run that meets nothing else."""

TRANSIENT = frozenset(
    {
        FailureKind.SERVER_ERROR,
        FailureKind.OVERLOADED,
        FailureKind.CHANNEL_DOWN,
        FailureKind.UNREACHABLE,
        FailureKind.TIMEOUT,
        FailureKind.CONNECTION_LOST,
        FailureKind.UNREADABLE_REPLY,
    },
)
"""The same request may succeed a little later. When everybody's end so, it is the service that fails, not the rows."""

MAYBE_BILLED = frozenset(
    {FailureKind.TIMEOUT, FailureKind.CONNECTION_LOST, FailureKind.UNREADABLE_REPLY, FailureKind.INTERRUPTED},
)
"""The request left and its answer didn't arrive whole: the service may have worked, and billed."""

MOST_MAYBE_BILLED = 2
"""Attempts that a row gets when each may have been billed: buying a long answer five times isn't what a retry is for."""


class Scope(Enum):
    """Whom a failure is about."""

    ROW = "this row"
    EVERYONE = "everyone slow down"
    RUN = "this run"


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt that brought no answer."""

    kind: FailureKind
    scope: Scope
    message: str
    http_status: int | None = None
    request_id: str = ""
    wait: float | None = None
    """Seconds the service asked us to wait, where it said so."""
    body: str = ""
    """What the service sent, secrets masked."""
    rpm: float | None = None
    """Requests a minute the service said it takes, where it said so."""
    tpm: float | None = None
    """Tokens a minute, likewise."""
    limit: str = ""
    """Which limit refused it, `requests`, `tokens`, `concurrency` or `day`, where the service said so."""
    again: bool | None = None
    """What the service said of trying again (`x-should-retry`)."""
    usage: Usage | None = None
    """What the service says it cost all the same; `None` where it says nothing of that."""
    hearsay: bool = False
    """A gateway may only be passing on what a service behind it said of the gateway's own key or money."""


class BatchRunnerError(Exception):
    """Ends the command with `exit_status`; its text is one line for the user."""

    exit_status: ExitStatus = ExitStatus.BUG


class UsageMistake(BatchRunnerError):
    """A flag, a setting or a job file that can't be meant so."""

    exit_status = ExitStatus.USAGE


class CannotStart(BatchRunnerError):
    """Input, settings or output unusable, or a question answered no. Nothing was sent."""

    exit_status = ExitStatus.CANNOT_START


class OutputBusy(BatchRunnerError):
    """Another run holds the output."""

    exit_status = ExitStatus.BUSY


class OutputLost(BatchRunnerError):
    """The output can't be written any more."""

    exit_status = ExitStatus.OUTPUT_LOST


class Bug(BatchRunnerError):
    """A fault of ours. What had been written is good."""

    exit_status = ExitStatus.BUG
