"""How a command ends: the exit statuses, and which one a run deserves."""

from __future__ import annotations

from enum import IntEnum
from fractions import Fraction


class ExitStatus(IntEnum):
    """One number for each thing a scheduler may want to do next. 1 is left to Python, which ends so on a broken install."""

    OK = 0
    USAGE = 2
    CANNOT_START = 3
    STOPPED_BY_SERVICE = 4
    SPEND_CAP = 5
    OUTPUT_LOST = 6
    DEADLINE = 7
    ROWS_NOT_OK = 10
    DRIFTED = 11
    BUG = 70
    BUSY = 75
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS: dict[ExitStatus, str] = {
    ExitStatus.OK: "every row is ok",
    ExitStatus.USAGE: "the command line or a setting is wrong",
    ExitStatus.CANNOT_START: "input, settings or output can't be used, or a question was answered no; nothing was sent"
    " (or only a pilot; or the input changed under the run: what was sent is recorded);"
    " of `job check`: not all is there that the job names; instead of 0: the disk under standard output is full",
    ExitStatus.STOPPED_BY_SERVICE: "stopped by the service (key, quota, model, nobody there); the same line resumes",
    ExitStatus.SPEND_CAP: "a cap on cost is reached (`--max-cost`, `--max-total-tokens`, a job's budget); a higher one goes on",
    ExitStatus.OUTPUT_LOST: "the output can't be written; the rest is in a rescue file, which the same line takes in",
    ExitStatus.DEADLINE: "the time is up (`--stop-at`, `--max-duration`), drained; the same line goes on with the rest",
    ExitStatus.ROWS_NOT_OK: "finished, and some rows are not ok (`--max-failed` moves that line);"
    " of `status --verify`: some lines are not",
    ExitStatus.DRIFTED: "finished as asked for, but the night departs from those before it (`--fail-on-drift`)",
    ExitStatus.BUG: "a fault in batch-runner",
    ExitStatus.BUSY: "another run holds this output, or this job",
    ExitStatus.INTERRUPTED: "interrupted by Ctrl-C, drained; the same line resumes",
    ExitStatus.TERMINATED: "ended by SIGTERM, drained; the same line resumes",
}
"""Every status a command can end with today. More may come: treat one you don't know as a failure."""

PRECEDENCE = (
    ExitStatus.BUG,
    ExitStatus.OUTPUT_LOST,
    ExitStatus.INTERRUPTED,
    ExitStatus.TERMINATED,
    ExitStatus.STOPPED_BY_SERVICE,
    ExitStatus.CANNOT_START,
    ExitStatus.SPEND_CAP,
    ExitStatus.DEADLINE,
    ExitStatus.ROWS_NOT_OK,
    ExitStatus.DRIFTED,
    ExitStatus.OK,
)
"""Which status counts when several hold, the first one first."""


def deserved(*, rows: int, ok: int, max_failed: str) -> ExitStatus:
    """The exit status that so many rows deserve; `max_failed` of them (a number, or a share as `1%`) need not be ok."""
    allowed = rows * Fraction(max_failed[:-1]) / 100 if max_failed.endswith("%") else int(max_failed)
    return ExitStatus.OK if rows - ok <= allowed else ExitStatus.ROWS_NOT_OK


def gravest(*statuses: ExitStatus) -> ExitStatus:
    """The one of `statuses` that the command ends with; `OK` when there are none."""
    return min(statuses, key=PRECEDENCE.index, default=ExitStatus.OK)
