"""Several reporters as one. A terminal that was closed, or a pipe, is no reason to end a run."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batch_runner.failures import Failure
    from batch_runner.progress import Reporter, RunReport, Snapshot
    from batch_runner.records import PromptRow, Rejected, Result


class Several:
    """Passes everything on to each of its reporters; with none it is silent."""

    def __init__(self, *reporters: Reporter) -> None:
        self._reporters = reporters

    def started(self, run_id: str, to_record: int) -> None:
        """The run begins."""
        for reporter in self._reporters:
            with suppress(OSError):
                reporter.started(run_id, to_record)

    def update(self, snapshot: Snapshot) -> None:
        """The run goes on."""
        for reporter in self._reporters:
            with suppress(OSError):
                reporter.update(snapshot)

    def attempt_failed(self, row_id: str, failure: Failure, wait: float | None, attempt: int) -> None:
        """An attempt brought no answer."""
        for reporter in self._reporters:
            with suppress(OSError):
                reporter.attempt_failed(row_id, failure, wait, attempt)

    def recorded(self, row: PromptRow | Rejected, result: Result) -> None:
        """A row has its last word."""
        for reporter in self._reporters:
            try:  # comes for each row, and `suppress` costs four times as much
                reporter.recorded(row, result)
            except OSError:
                continue

    def decided(self, decision: str) -> None:
        """A decision about limits."""
        for reporter in self._reporters:
            with suppress(OSError):
                reporter.decided(decision)

    def stopping(self, reason: str) -> None:
        """The service ended the run."""
        for reporter in self._reporters:
            with suppress(OSError):
                reporter.stopping(reason)

    def ended(self, report: RunReport) -> None:
        """The run is over."""
        for reporter in self._reporters:
            with suppress(OSError):
                reporter.ended(report)
