"""What changes while a run goes on. Built in one place (`execution`), shared by the runner and its workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch_runner.clock import timestamp

if TYPE_CHECKING:
    from batch_runner.admission import Admission
    from batch_runner.clock import Clock
    from batch_runner.health import Health
    from batch_runner.leaving import Leaving
    from batch_runner.output.journal import Journal
    from batch_runner.progress import Reporter
    from batch_runner.totals import Totals


@dataclass(frozen=True, slots=True)
class State:
    """The parts of a run that have a state, each its own master; and the run's name and clock."""

    run_id: str
    admission: Admission
    health: Health
    journal: Journal
    totals: Totals
    """Of this run."""
    reporter: Reporter
    leaving: Leaving
    clock: Clock

    def now(self) -> str:
        """The time, as it is written."""
        return timestamp(self.clock())
