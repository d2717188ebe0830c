"""`OUT.status.json`: how the run stands, for other programs. Replaced atomically, so a reader never meets half of it."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson

from batch_runner.clock import timestamp
from batch_runner.output.heartbeat import heartbeat_path, process_since
from batch_runner.replacement import replace_file
from batch_runner.reporters.costs import cost_document
from batch_runner.reporters.wording import limit_in_words, one_line
from batch_runner.totals import row_counts

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.failures import Failure
    from batch_runner.pricing import Prices
    from batch_runner.progress import RunReport, Snapshot
    from batch_runner.records import PromptRow, Rejected, Result

EVERY_SECONDS = 2.0
SCHEMA = 1
MOST_MESSAGE = 300

KEYS = {
    "schema": "1; a key may come, none goes or changes its meaning without another number here",
    "pid": "the process, on `host`",
    "pid_since": "when that process began, in clock ticks since the machine did (Linux): a later one may have its number",
    "host": "the machine",
    "run_id": "the run, as in the output",
    "job": "the name of the job; empty without one",
    "started": "when rows began to be sent (UTC)",
    "updated": "when this was written; a living run writes every two seconds, so an age of a minute is a death",
    "state": "`running`, `draining` (told to leave: nothing new is sent) or `ended`",
    "to_record": "rows that are to get a line in this run",
    "recorded": "rows that have got theirs",
    "rows": "the rows of the input by status, as they stand",
    "rows_per_minute": "recorded since the run began",
    "seconds_left": "at that pace; null before the first row",
    "eta": "when that is over (UTC); empty before the first row",
    "in_flight": "requests that wait for their answer",
    "waiting_for": "what nothing is sent for: `space` on the disk, `answers` on their way (it leaves), the `service` (it doesn't "
    "answer), a `pause` (it asked for one), a `cap` on cost, the next `turn` (a retry, the pace); empty while rows are sent",
    "disk": "while the disk is full: the reason, lines in memory, seconds that it is waited for yet",
    "pause_left_s": "seconds until anything may be sent",
    "outage_s": "seconds since the service has answered anyone; 0 while it does",
    "limit": "what is known of the service's limits, in words; empty while nothing is",
    "held_by": "the flag of the cap on cost that holds requests back",
    "trouble": "the failure kind that all attempts of late have ended in",
    "silent_s": "seconds since an attempt ended or a row was recorded",
    "timeout_s": "the longest that one attempt may take: a run that is silent for longer, and waits for nothing else, is stuck",
    "totals": "attempts, tokens and so on of this run, as in a totals line",
    "cost": "the same in US dollars: `usd`, and `maybe_billed_usd` for attempts whose answer never came",
    "last_error": "the last attempt without an answer: `at`, `row`, `kind`, `http_status`, `message`; null while there is none",
    "stopping": "why the run ends before its rows do; only then there",
    "exit_status": "of the run; only in `ended`",
    "reason": "why it ended before its rows did; only in `ended`",
}
"""The keys of the file, and what each means. `docs/monitoring.md` shows them."""


class Heartbeat:
    """Writes the file every two seconds. A heartbeat that can't be written never stops a run, and a slow disk skips beats.

    `timeout`: seconds that one attempt may take.
    """

    def __init__(self, output: Path, prices: Prices, *, job: str = "", timeout: float = 600.0) -> None:
        self._path = heartbeat_path(output)
        self._prices = prices
        self._job = job
        self._timeout = timeout
        self._writing = threading.Thread()
        self._facts: dict[str, Any] = {}
        self._last = float("-inf")
        self._heard = (0, 0, 0.0)
        """Attempts and rows recorded when one of them grew last, and when that was."""
        self._last_error: dict[str, Any] | None = None

    def started(self, run_id: str, to_record: int) -> None:
        """Write it for the first time."""
        self._facts = self._who(run_id)
        self._write(self._told("running", {"to_record": to_record, "recorded": 0}))

    def update(self, snapshot: Snapshot) -> None:
        """Write it again when two seconds have passed, beside the event loop: renaming a file can wait for the disk."""
        if snapshot.seconds - self._last < EVERY_SECONDS or self._writing.is_alive():
            return
        self._last = snapshot.seconds
        text = self._told("draining" if snapshot.draining else "running", self._progress(snapshot))
        self._writing = threading.Thread(target=self._write, args=(text,), name="heartbeat", daemon=True)
        self._writing.start()

    def attempt_failed(self, row_id: str, failure: Failure, _wait: float | None, _attempt: int) -> None:
        """Keep it; the next beat tells the last one."""
        self._last_error = {
            "at": timestamp(time.time()),
            "row": one_line(row_id),
            "kind": failure.kind,
            "http_status": failure.http_status,
            "message": one_line(failure.message, MOST_MESSAGE),
        }

    def recorded(self, row: PromptRow | Rejected, result: Result) -> None:
        """Nothing: the counts tell."""

    def decided(self, decision: str) -> None:
        """Nothing: what came of it is told."""

    def stopping(self, reason: str) -> None:
        """Note why; the next beat tells."""
        self._facts["stopping"] = reason

    def ended(self, report: RunReport) -> None:
        """Write how it ended; also for a run that had nothing to send, which never began."""
        self.settle()
        self._facts = self._facts or self._who(report.run_id)
        self._write(
            self._told(
                "ended",
                {
                    "exit_status": int(report.exit_status),
                    "reason": report.reason,
                    "rows": row_counts(report.totals.rows),
                    "totals": report.run.as_json(),
                    "cost": cost_document(report.run, self._prices),
                    "last_error": self._last_error,
                },
            )
        )

    def settle(self) -> None:
        """Wait until the last beat is written."""
        if self._writing.ident is not None:
            self._writing.join()

    def _who(self, run_id: str) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "pid": os.getpid(),
            "pid_since": process_since(os.getpid()),
            "host": socket.gethostname(),
            "run_id": run_id,
            "job": self._job,
            "started": timestamp(time.time()),
        }

    def _progress(self, snapshot: Snapshot) -> dict[str, Any]:
        left = snapshot.seconds_left
        return {
            "to_record": snapshot.to_record,
            "recorded": snapshot.recorded,
            "rows": row_counts(snapshot.standing),
            "rows_per_minute": round(snapshot.rows_per_minute, 1),
            "seconds_left": None if left is None else round(left),
            "eta": "" if left is None else timestamp(time.time() + left),
            "in_flight": snapshot.in_flight,
            "waiting_for": snapshot.waiting_for,
            "disk": None if snapshot.stall is None else snapshot.stall._asdict(),
            "pause_left_s": round(snapshot.pause_left, 1),
            "outage_s": round(snapshot.outage_seconds, 1),
            "limit": "" if snapshot.learned is None else limit_in_words(snapshot.learned),
            "held_by": snapshot.held_by,
            "trouble": snapshot.trouble,
            "silent_s": round(self._silence(snapshot), 1),
            "timeout_s": self._timeout,
            "totals": snapshot.totals.as_json(),
            "cost": cost_document(snapshot.totals, self._prices),
            "last_error": self._last_error,
        }

    def _silence(self, snapshot: Snapshot) -> float:
        """Seconds since anything came back."""
        attempts, recorded, since = self._heard
        if (attempts, recorded) != (snapshot.totals.attempts, snapshot.recorded):
            self._heard = snapshot.totals.attempts, snapshot.recorded, snapshot.seconds
            return 0.0
        return snapshot.seconds - since

    def _told(self, state: str, more: dict[str, Any]) -> bytes:
        facts = self._facts | {"updated": timestamp(time.time()), "state": state} | more
        return orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    def _write(self, text: bytes) -> None:
        try:
            replace_file(self._path, text)
        except OSError:
            with suppress(OSError):
                _overwrite(self._path, text)


def _overwrite(path: Path, text: bytes) -> None:
    """Write over a file that is there: on a full disk nothing else can tell that it is full."""
    with path.open("r+b") as file:
        file.write(text)
        file.truncate()
