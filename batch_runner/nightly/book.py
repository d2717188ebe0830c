"""Keeps a job's history: how tonight's run ended, and whether that departs from the nights before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from batch_runner.clock import timestamp
from batch_runner.exits import ExitStatus
from batch_runner.failures import OutputBusy
from batch_runner.nightly.diary import Diary, entry_of, refused_entry
from batch_runner.nightly.drift import departures

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch_runner.clock import Clock
    from batch_runner.failures import BatchRunnerError
    from batch_runner.nightly.diary import Entry
    from batch_runner.nightly.tonight import Tonight
    from batch_runner.progress import RunReport


class Book:
    """The history of a job, open at tonight's page. One that can't be written is told, and stops nothing."""

    def __init__(self, night: Tonight, *, fail_on_drift: bool, clock: Clock, say: Callable[[str], None]) -> None:
        self._diary = Diary(night.diary)
        self._night = night.night.day.isoformat()
        self._dated = night.outputs.dated
        self._fail_on_drift = fail_on_drift
        self._clock = clock
        self._say = say

    def judged(self, report: RunReport) -> RunReport:
        """The report of tonight's run, with what is unusual about it, once that is written down."""
        entry = entry_of(report, self._night, timestamp(self._clock()), self._diary[self._night], dated=self._dated)
        drift = tuple(departures(entry, self._diary.before(self._night)))
        status, reason = report.exit_status, report.reason
        if drift and self._fail_on_drift and status is ExitStatus.OK:
            status, reason = ExitStatus.DRIFTED, f"the night departs from those before it: {'; '.join(drift)}"
        self._write(replace(entry, drift=drift, exit_status=int(status), reason=reason))
        return replace(report, drift=drift, exit_status=status, reason=reason)

    def refused(self, error: BatchRunnerError) -> None:
        """Write down why no run began; not where another one is at it, which writes its own end."""
        if not isinstance(error, OutputBusy):
            at = timestamp(self._clock())
            self._write(refused_entry(self._night, at, error.exit_status, str(error), self._diary[self._night]))

    def _write(self, entry: Entry) -> None:
        try:
            self._diary.add(entry)
        except OSError as error:
            self._say(f"{self._diary.path}: can't be written: {error.strerror}; the night is missing in the job's history")
