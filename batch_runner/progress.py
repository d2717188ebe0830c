"""How far a run is: what reporters are shown, and what it all came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from batch_runner.exits import ExitStatus
from batch_runner.records import Status
from batch_runner.totals import UNATTEMPTED, Totals

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.failures import Failure


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a run is about to do."""

    run_id: str
    output: Path
    endpoint: str
    model: str
    rows: int
    """Rows of the input."""
    to_send: int
    new: int
    again: int
    changed: int
    rejected: int
    kept: int
    concurrency: int
    rpm: float | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one moment."""

    seconds: float
    """Since it began."""
    recorded: int
    """Rows that got their line in this run."""
    to_record: int
    """Rows that are to get one."""
    standing: Counter[str]
    """The rows of the input by status."""
    totals: Totals
    """Of this run."""
    in_flight: int
    pause_left: float
    """Seconds that everyone still waits because the service asked to slow down."""
    trouble: str
    """The failure kind that every attempt lately has ended in; empty while answers come."""
    draining: bool

    @property
    def rows_per_minute(self) -> float:
        """Rows recorded per minute so far."""
        return 60 * self.recorded / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at this pace; `None` before the first row."""
        if not self.recorded:
            return None
        return self.seconds * (self.to_record - self.recorded) / self.recorded


@dataclass(frozen=True, slots=True)
class RunReport:
    """How a run ended."""

    totals: Totals
    """Of the job: the rows of this input as they stand now, tokens and attempts of every run of this output."""
    run: Totals
    """Of this run alone."""
    exit_status: ExitStatus
    reason: str
    """Why the run ended as it did, in one line; empty when every row was sent."""
    output: Path
    run_id: str = ""
    """Empty when nothing had to be sent."""
    examples: dict[str, str] = field(default_factory=dict)
    """For each failure kind of this run one message of the service."""


class Reporter(Protocol):
    """Shows a run to somebody. Told at its start, a few times a second, and at its end."""

    def started(self, outlook: Outlook) -> None:
        """The run begins."""
        ...

    def update(self, snapshot: Snapshot) -> None:
        """The run goes on."""
        ...

    def attempt_failed(self, row_id: str, failure: Failure, wait: float | None) -> None:
        """An attempt brought no answer; the next one follows in `wait` seconds, or none does."""
        ...

    def ended(self, report: RunReport) -> None:
        """The run is over; `report.exit_status` says how."""
        ...


def deserved(standing: Counter[str], max_failed: str) -> ExitStatus:
    """The exit status that rows standing so deserve; `max_failed` of them (a number, or a share as `1%`) need not be ok."""
    rows = sum(standing[status] for status in (*Status, UNATTEMPTED))
    allowed = rows * float(max_failed[:-1]) / 100 if max_failed.endswith("%") else int(max_failed)
    return ExitStatus.OK if rows - standing[Status.OK] <= allowed else ExitStatus.ROWS_NOT_OK
