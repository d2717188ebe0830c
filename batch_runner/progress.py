"""How far a run is: what reporters are shown, and what it all came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from batch_runner.pricing import Prices

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping
    from pathlib import Path

    from batch_runner.account import Quota
    from batch_runner.admission.finder import Learned
    from batch_runner.exits import ExitStatus
    from batch_runner.failures import Failure
    from batch_runner.output.journal import Stall
    from batch_runner.records import PromptRow, Rejected, Result
    from batch_runner.spending import CapReached
    from batch_runner.totals import Totals


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
    """Seconds until anything may be sent, where the service asked to slow down or doesn't answer; else 0."""
    outage_seconds: float
    """How long the service hasn't answered anyone; 0 while it does."""
    held_by: str
    """The flag of the cap on cost that makes the next request wait for those in flight; else empty."""
    trouble: str
    """The failure kind that every attempt lately has ended in; empty while answers come."""
    draining: bool
    stall: Stall | None = None
    """While the disk is full: what waits for it."""
    learned: Learned | None = None
    """What is known of the service's limits, if anything."""

    @property
    def waiting_for(self) -> str:
        """What nothing is sent for: `space` on the disk, `answers` on their way (the run leaves), the `service` (it doesn't
        answer), a `pause` (it asked for one), a `cap` on cost, the next `turn` (a retry, the pace); empty where rows are sent.
        """
        waits = (
            ("space", self.stall is not None),
            ("answers", self.draining),
            ("service", self.outage_seconds > 0),
            ("pause", self.pause_left > 0),
            ("cap", bool(self.held_by)),
            ("turn", not self.in_flight and self.totals.attempts > 0 and self.recorded < self.to_record),
        )
        return next((what for what, waits in waits if waits), "")

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
    prices: Prices = field(default_factory=Prices)
    """Those that the run was told to count with."""
    drift: tuple[str, ...] = ()
    """In what a night departs from those before it."""
    learned: Learned | None = None
    """What was found out about the service's limits."""
    pilot: Mapping[str, Any] | None = None
    """What a pilot foretold, as a program reads it."""
    notes: tuple[str, ...] = ()
    """What a look at the key's account said beforehand, where a program asked for one."""
    quotas: tuple[Quota, Quota] | None = None
    """What the service told of the key's quota before and after."""
    cap: CapReached | None = None
    """The cap on cost that was reached, if one was."""


class Reporter(Protocol):
    """Shows a run to somebody. Told at its start, a few times a second, and at its end."""

    def started(self, run_id: str, to_record: int) -> None:
        """The run begins; so many rows are to get a line."""
        ...

    def update(self, snapshot: Snapshot) -> None:
        """The run goes on."""
        ...

    def attempt_failed(self, row_id: str, failure: Failure, wait: float | None, attempt: int) -> None:
        """The row's `attempt`-th attempt in this run brought no answer; the next one follows in `wait` seconds, or none does."""
        ...

    def recorded(self, row: PromptRow | Rejected, result: Result) -> None:
        """A row has its last word in the output."""
        ...

    def decided(self, decision: str) -> None:
        """A decision about limits, where they are to be explained."""
        ...

    def stopping(self, reason: str) -> None:
        """The service ended the run; answers on their way are still waited for."""
        ...

    def ended(self, report: RunReport) -> None:
        """The run is over; `report.exit_status` says how."""
        ...
