"""What there is to tell of a run that has ended, in the forms that those who are told take. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batch_runner.exits import MEANINGS, ExitStatus
from batch_runner.redaction import redact
from batch_runner.reporters.summary import summary_document, summary_lines
from batch_runner.reporters.wording import many
from batch_runner.totals import row_counts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from batch_runner.progress import RunReport

SCHEMA = 1
SUCCESS, FAILURE = "success", "failure"


@dataclass(frozen=True, slots=True)
class News:
    """How a run ended, or why it didn't begin."""

    name: str
    """The job's, else its output's."""
    output: Path | None
    """`None` where a run is refused before it is known."""
    exit_status: ExitStatus
    reason: str
    lines: tuple[str, ...]
    """The summary, as a person reads it on the terminal."""
    at: str
    """When that was (UTC)."""
    summary: dict[str, Any] | None = None
    """The document that `--json` prints; `None` for a run that didn't begin."""
    report: RunReport | None = None
    well: bool = False
    """Whether that is a success: exit status 0, or one that the settings call fine."""

    @classmethod
    def of(cls, report: RunReport, name: str, at: str, command: Sequence[str] = (), *, fine: Sequence[int] = ()) -> News:
        """Of a run that has ended; `command` is how it was called, without secrets."""
        lines = tuple(summary_lines(report, command, str(report.output)))
        document = summary_document(report, command, report.output)
        well = report.exit_status in {ExitStatus.OK, *fine}
        return cls(name, report.output, report.exit_status, report.reason, lines, at, document, report, well)

    @classmethod
    def refused(cls, status: ExitStatus, reason: str, name: str, output: Path | None, at: str) -> News:
        """Of a run that didn't begin."""
        reason = redact(reason)
        return cls(name, output, status, reason, (reason,), at)

    @property
    def state(self) -> str:
        """`success` or `failure`."""
        return SUCCESS if self.well else FAILURE

    @property
    def title(self) -> str:
        """`nightly: 3 of 400 rows not ok (exit status 10)`: what fits into the subject of a mail."""
        return f"{self.name}: {self._outcome()}" + (f" (exit status {int(self.exit_status)})" if self.exit_status else "")

    @property
    def text(self) -> str:
        """The summary as one text."""
        return "\n".join((self.title, "", *self.lines, ""))

    @property
    def counts(self) -> dict[str, int]:
        """Rows by status; all 0 for a run that didn't begin."""
        return row_counts({} if self.report is None else self.report.totals.rows)

    @property
    def document(self) -> dict[str, Any]:
        """For a program: what a webhook gets. `text` is what chat services show."""
        return {
            "schema": SCHEMA,
            "event": "ended",
            "state": self.state,
            "name": self.name,
            "at": self.at,
            "exit_status": int(self.exit_status),
            "reason": self.reason,
            "text": "\n".join((self.title, *self.lines)),
            "summary": self.summary,
        }

    def _outcome(self) -> str:
        counts = self.counts
        rows = sum(count for status, count in counts.items() if status != "not_in_input")
        if self.report is None:
            return MEANINGS[self.exit_status].partition(";")[0].partition(" (")[0]
        if rows == counts["ok"]:
            return f"{many(rows, 'row')} ok"
        return f"{rows - counts['ok']:,} of {many(rows, 'row')} not ok"
