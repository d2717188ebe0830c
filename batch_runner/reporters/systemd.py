"""A run as systemd sees it: datagrams to `$NOTIFY_SOCKET`, as sd_notify(3) describes them. Without that variable, nothing."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from batch_runner.reporters.lines import progress_in_words
from batch_runner.reporters.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_runner.failures import Failure
    from batch_runner.leaving import Leaving
    from batch_runner.progress import RunReport, Snapshot
    from batch_runner.records import PromptRow, Rejected, Result

BEAT_SECONDS = 1.0
MORE_SECONDS = 60.0
"""What a run on its way out asks for, again with each beat."""
PATIENT_SECONDS = 86_400.0
"""The watchdog's patience where no beat can be given: while inputs are read, and for the last words."""


class Systemd:
    """Tells the manager of a service that a run is ready, how it goes, that it lives, and how long its end may take."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._watchdog = _watchdog_seconds(environment)
        self._snapshot: Snapshot | None = None

    def ready(self) -> None:
        """Before anything that may end the command: a service that ends with 75 before it was ready counts as broken."""
        self._tell("READY=1", "STATUS=getting ready", *self._patience(PATIENT_SECONDS))

    async def beat(self, leaving: Leaving) -> None:
        """Tell how the run goes until cancelled; once it is leaving, ask for more time with each beat."""
        interval = BEAT_SECONDS if self._watchdog is None else min(BEAT_SECONDS, self._watchdog / 3)
        self._tell(*self._patience(self._watchdog))
        try:
            while True:
                self._tell(*self._state(leaving))
                await asyncio.sleep(interval)
        finally:
            self._tell("STATUS=summing up", *self._patience(PATIENT_SECONDS))

    def started(self, run_id: str, to_record: int) -> None:
        """Nothing: a beat follows."""

    def update(self, snapshot: Snapshot) -> None:
        """Keep it for the next beat."""
        self._snapshot = snapshot

    def attempt_failed(self, row_id: str, failure: Failure, wait: float | None, attempt: int) -> None:
        """Nothing: the counts tell."""

    def recorded(self, row: PromptRow | Rejected, result: Result) -> None:
        """Nothing: the counts tell."""

    def decided(self, decision: str) -> None:
        """Nothing: limits are looked after."""

    def stopping(self, reason: str) -> None:
        """Say why, and that it may take its time."""
        self._tell("STOPPING=1", f"STATUS=stopping: {one_line(reason)}", _more_time())

    def ended(self, report: RunReport) -> None:
        """Say how."""
        self._tell(f"STATUS={one_line(report.reason) or 'every row has its record'}")

    def _state(self, leaving: Leaving) -> list[str]:
        words = "at work" if self._snapshot is None else progress_in_words(self._snapshot)
        if not leaving.draining:
            return ["WATCHDOG=1", f"STATUS={words}"]
        return ["WATCHDOG=1", "STOPPING=1", f"STATUS=waiting for the answers on their way: {words}", _more_time()]

    def _patience(self, seconds: float | None) -> list[str]:
        return [] if self._watchdog is None or seconds is None else [f"WATCHDOG_USEC={round(seconds * 1e6)}"]

    def _tell(self, *words: str) -> None:
        if self._address is None or not words:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.sendto("\n".join(words).encode(errors="replace"), self._address)


def _more_time() -> str:
    return f"EXTEND_TIMEOUT_USEC={round(MORE_SECONDS * 1e6)}"


def _address(name: str) -> str | None:
    """Of a socket in the file system, or an abstract one, which is written with `@`."""
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else None


def _watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    """How long the manager waits for a sign of life; `None` where it doesn't, or means another process."""
    told = environment.get("WATCHDOG_USEC", "")
    meant = environment.get("WATCHDOG_PID", str(os.getpid()))
    return int(told) / 1e6 if told.isdecimal() and int(told) and meant == str(os.getpid()) else None
