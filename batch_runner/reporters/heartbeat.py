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
from batch_runner.output.heartbeat import heartbeat_path
from batch_runner.totals import row_counts

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.failures import Failure
    from batch_runner.progress import RunReport, Snapshot

EVERY_SECONDS = 2.0
SCHEMA = 1


class Heartbeat:
    """Writes the file every two seconds. A heartbeat that can't be written never stops a run, and a slow disk skips beats."""

    def __init__(self, output: Path) -> None:
        self._path = heartbeat_path(output)
        self._writing = threading.Thread()
        self._facts: dict[str, Any] = {}
        self._last = float("-inf")

    def started(self, run_id: str, to_record: int) -> None:
        """Write it for the first time."""
        self._facts = {
            "schema": SCHEMA,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "run_id": run_id,
            "started": timestamp(time.time()),
        }
        self._write(self._told("running", {"to_record": to_record, "recorded": 0}))

    def update(self, snapshot: Snapshot) -> None:
        """Write it again when two seconds have passed, beside the event loop: renaming a file can wait for the disk."""
        if snapshot.seconds - self._last < EVERY_SECONDS or self._writing.is_alive():
            return
        self._last = snapshot.seconds
        state = "draining" if snapshot.draining else "running"
        text = self._told(
            state,
            {
                "to_record": snapshot.to_record,
                "recorded": snapshot.recorded,
                "trouble": snapshot.trouble,
                "in_flight": snapshot.in_flight,
                "disk": None if snapshot.stall is None else snapshot.stall._asdict(),
                "pause_left_s": round(snapshot.pause_left, 1),
                "outage_s": round(snapshot.outage_seconds, 1),
                "held_by": snapshot.held_by,
                "rows_per_minute": round(snapshot.rows_per_minute, 1),
                "seconds_left": None if snapshot.seconds_left is None else round(snapshot.seconds_left),
                "rows": row_counts(snapshot.standing),
                "totals": snapshot.totals.as_json(),
            },
        )
        self._writing = threading.Thread(target=self._write, args=(text,), name="heartbeat", daemon=True)
        self._writing.start()

    def attempt_failed(self, row_id: str, failure: Failure, wait: float | None) -> None:
        """Nothing: the counts tell."""

    def stopping(self, reason: str) -> None:
        """Note why; the next beat tells."""
        self._facts["stopping"] = reason

    def ended(self, report: RunReport) -> None:
        """Write how it ended."""
        if not self._facts:
            return
        self.settle()
        self._write(
            self._told(
                "ended",
                {
                    "exit_status": int(report.exit_status),
                    "reason": report.reason,
                    "rows": row_counts(report.totals.rows),
                    "totals": report.run.as_json(),
                },
            )
        )

    def settle(self) -> None:
        """Wait until the last beat is written."""
        if self._writing.ident is not None:
            self._writing.join()

    def _told(self, state: str, more: dict[str, Any]) -> bytes:
        facts = self._facts | {"updated": timestamp(time.time()), "state": state} | more
        return orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    def _write(self, text: bytes) -> None:
        temporary = self._path.with_name(self._path.name + ".new")
        try:
            temporary.write_bytes(text)
            temporary.replace(self._path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            with suppress(OSError):
                _overwrite(self._path, text)


def _overwrite(path: Path, text: bytes) -> None:
    """Write over a file that is there: on a full disk nothing else can tell that it is full."""
    with path.open("r+b") as file:
        file.write(text)
        file.truncate()
