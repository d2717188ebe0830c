"""A run as events in a log, one a line, text or JSON: structlog writes them, the standard library's handlers keep the file.

A line is written in a thread of its own, so that a slow disk holds up nobody; a file that was moved away is opened anew
(`WatchedFileHandler`), so that logrotate needs neither a signal nor `copytruncate`.
"""

from __future__ import annotations

import logging
import queue
import sys
from contextlib import suppress
from logging.handlers import QueueHandler, QueueListener, WatchedFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from batch_runner.exits import ExitStatus
from batch_runner.failures import SLOW_DOWN
from batch_runner.notices.courier import Undelivered
from batch_runner.records import PromptRow, Status
from batch_runner.reporters.lines import LONG_PAUSE_SECONDS
from batch_runner.reporters.wording import one_line, printable
from batch_runner.settings.notices import STDERR

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch_runner.failures import Failure
    from batch_runner.progress import RunReport, Snapshot
    from batch_runner.records import Rejected, Result
    from batch_runner.settings.notices import LogSettings

MOST_WAITING = 10_000
"""Events that wait for a slow disk; more are dropped, and their number told."""
CLOSE_SECONDS = 10.0
PROGRESS_SECONDS = 60.0
MOST_MESSAGE = 1000
LONG_WAITS = frozenset({"space", "answers", "service"})
"""What is waited for long enough to be told, beside a long pause."""

EVENTS = {
    "run_started": ("info", "rows begin to be sent: `to_record` of them"),
    "progress": ("info", "once a minute: `recorded`, `to_record`, `rows_per_minute`, `tokens`, `in_flight`, `waiting_for`"),
    "waiting": (
        "info",
        "what is waited for has changed: `space`, `answers`, `service`, a `pause` of half a minute or more, or nothing",
    ),
    "attempt_failed": ("debug", "an attempt brought no answer, and another one follows in `wait_s`: `row_id`, `attempt`, `kind`"),
    "row_ok": ("debug", "a row is answered: `row_id`, `attempts`, `latency_s`, tokens"),
    "row_not_ok": ("warning", "a row has another last word: `row_id`, `status`, `kind`, `message`"),
    "limits": ("info", "a decision about limits, where `--explain-limits` asks for them: `decision`"),
    "stopping": ("error", "the service, or a cap, ends the run: `reason`"),
    "notice_failed": ("warning", "somebody couldn't be told: `reason`"),
    "run_ended": ("info", "`exit_status`, `reason`, rows by status, tokens; as a warning or an error where it isn't 0"),
    "run_refused": ("error", "the run didn't begin: `exit_status`, `reason`"),
}
"""Each event, its level, and what it tells beside `run_id`."""

GRAVE = frozenset({ExitStatus.OUTPUT_LOST, ExitStatus.BUG, ExitStatus.STOPPED_BY_SERVICE, ExitStatus.CANNOT_START})


class EventLog:
    """A reporter that writes events. Raises `Undelivered` for a file that can't be written."""

    def __init__(self, settings: LogSettings, name: str, say: Callable[[str], None]) -> None:
        self._texts = settings.log_texts
        self._file = _Reluctant(_handler(settings.log or STDERR), say)
        self._waiting: queue.Queue[logging.LogRecord] = queue.Queue(MOST_WAITING)
        self._listener = _Writer(self._waiting, self._file)
        self._log: Any = _logger(_Unhurried(self._waiting, self._file), settings).bind(name=name)
        self._next = PROGRESS_SECONDS
        self._waits = ""
        self._over = False
        self._listener.start()

    def close(self) -> None:
        """Write what is left."""
        self._listener.stop()
        self._file.close()

    def started(self, run_id: str, to_record: int) -> None:
        """The run begins."""
        self._log = self._log.bind(run_id=run_id)
        self._log.info("run_started", to_record=to_record)

    def update(self, snapshot: Snapshot) -> None:
        """Progress once a minute, and what is waited for as soon as that changes."""
        if (waits := self._long_wait(snapshot)) != self._waits:
            self._waits = waits
            self._log.info("waiting", waiting_for=self._waits, pause_left_s=round(snapshot.pause_left, 1))
        if snapshot.seconds >= self._next:
            self._next = snapshot.seconds + PROGRESS_SECONDS
            self._log.info("progress", **_progress(snapshot))

    def _long_wait(self, snapshot: Snapshot) -> str:
        """What is waited for, where that is worth a line: retries and short pauses come and go."""
        waits = snapshot.waiting_for
        if waits == "pause":
            return waits if snapshot.pause_left > LONG_PAUSE_SECONDS or self._waits == waits else ""
        return waits if waits in LONG_WAITS else ""

    def attempt_failed(self, row_id: str, failure: Failure, wait: float | None, attempt: int) -> None:
        """A retry is no error: what came of the row is told when it is recorded."""
        self._log.debug(
            "attempt_failed",
            row_id=row_id,
            attempt=attempt,
            kind=failure.kind.value,
            http_status=failure.http_status,
            message=one_line(failure.message, MOST_MESSAGE),
            wait_s=None if wait is None else round(wait, 1),
            slow_down=failure.kind in SLOW_DOWN,
        )

    def recorded(self, row: PromptRow | Rejected, result: Result) -> None:
        """A row's last word."""
        told = {"row_id": result.id, "attempts": sum(attempt.count for attempt in result.attempts)}
        texts = _texts(row, result) if self._texts else {}
        if result.status is Status.OK:
            usage = result.usage
            self._log.debug(
                "row_ok",
                **told,
                latency_s=None if result.latency_s is None else round(result.latency_s, 3),
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                **texts,
            )
            return
        why = {"kind": result.failure.value} if result.failure is not None else {}
        message = one_line(result.message, MOST_MESSAGE) if result.failure is not None or self._texts else ""  # else a refusal
        self._log.warning("row_not_ok", **told, status=result.status.value, **why, message=message, **texts)

    def decided(self, decision: str) -> None:
        """A decision about limits."""
        self._log.info("limits", decision=decision)

    def stopping(self, reason: str) -> None:
        """The service or a cap ends the run."""
        self._log.error("stopping", reason=one_line(reason, MOST_MESSAGE))

    def ended(self, report: RunReport) -> None:
        """The run is over."""
        self._over = True
        status = report.exit_status
        say = self._log.info if status is ExitStatus.OK else self._log.error if status in GRAVE else self._log.warning
        rows = {str(name): count for name, count in report.totals.rows.items() if count}
        say(
            "run_ended",
            exit_status=int(status),
            reason=one_line(report.reason, MOST_MESSAGE),
            rows=rows,
            attempts=report.run.attempts,
            slow_downs=report.run.slow_downs,
            tokens=report.run.spent.total_tokens,
            seconds=report.run.wall_ms / 1000,
        )

    def refused(self, status: ExitStatus, reason: str) -> None:
        """The run didn't begin."""
        if not self._over:
            self._log.error("run_refused", exit_status=int(status), reason=one_line(reason, MOST_MESSAGE))

    def notice_failed(self, reason: str) -> None:
        """Somebody couldn't be told."""
        self._log.warning("notice_failed", reason=reason)


class _Writer(QueueListener):
    """The thread that writes. The end of a run waits for it as long as a disk may take, and no longer."""

    def stop(self) -> None:
        """Write what waits, and end."""
        with suppress(queue.Full):
            self.queue.put(None, timeout=CLOSE_SECONDS)  # type: ignore[attr-defined]  # it is the queue given; None ends the thread
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)
            self._thread = None


class _Unhurried(QueueHandler):
    """Hands lines to the thread that writes them, and drops them when too many wait there: a run never waits for its log."""

    def __init__(self, waiting: queue.Queue[logging.LogRecord], file: _Reluctant) -> None:
        super().__init__(waiting)
        self._file = file

    def handleError(self, _record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        """The queue is full."""
        self._file.dropped += 1


class _Reluctant(logging.Handler):
    """Writes lines, and tells once, in one line, where it can't."""

    def __init__(self, handler: logging.StreamHandler[Any], say: Callable[[str], None]) -> None:
        super().__init__()
        self._handler = handler
        self._say = say
        self._told = False
        self.dropped = 0
        handler.handleError = self._tell  # type: ignore[method-assign, assignment]  # its own would print tracebacks
        handler.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self._handler.handle(record)

    def close(self) -> None:
        """Close the file, and tell what is missing in it."""
        if self.dropped:
            self._say(f"--log: {self.dropped:,} events were dropped: the disk was too slow for them")
        if isinstance(self._handler, WatchedFileHandler):
            with suppress(OSError):  # told already
                self._handler.close()
        super().close()

    def _tell(self, _record: logging.LogRecord) -> None:
        if not self._told:
            self._told = True
            error = sys.exception() if hasattr(sys, "exception") else sys.exc_info()[1]
            self._say(f"--log: can't be written: {getattr(error, 'strerror', None) or error}; the run goes on")


def _handler(name: str) -> logging.StreamHandler[Any]:
    if name == STDERR:
        return logging.StreamHandler(sys.stderr)
    try:
        path = Path(name).expanduser()
        path.parent.mkdir(parents=True, exist_ok=True)
        return WatchedFileHandler(path, encoding="utf-8")
    except (OSError, ValueError, RuntimeError) as error:  # a NUL in the name, `~nobody`
        raise Undelivered(f"can't be written: {getattr(error, 'strerror', None) or error}") from None


def _logger(handler: logging.Handler, settings: LogSettings) -> Any:
    """Structlog over a logger of our own, which nobody else's set-up touches."""
    sink = logging.Logger("batch_runner.events")  # noqa: LOG001 - no set-up of anybody's may reach it, nor two runs share it
    sink.addHandler(handler)
    as_json = settings.log_format == "json"
    renderer: Any = (
        structlog.processors.JSONRenderer(serializer=lambda event, **_options: orjson.dumps(event, default=str).decode())
        if as_json
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0, pad_level=False, sort_keys=False)
    )
    return structlog.wrap_logger(
        sink,
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
            *(() if as_json else (_printable,)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.log_level.upper())),
        context_class=dict,
    )


def _printable(_logger: object, _method: str, line: str) -> str:
    """A line without what commands a terminal: ids and messages are somebody else's words. JSON escapes them by itself."""
    return printable(line)


def _progress(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "recorded": snapshot.recorded,
        "to_record": snapshot.to_record,
        "rows_per_minute": round(snapshot.rows_per_minute, 1),
        "tokens": snapshot.totals.spent.total_tokens,
        "in_flight": snapshot.in_flight,
        "waiting_for": snapshot.waiting_for,
    }


def _texts(row: PromptRow | Rejected, result: Result) -> dict[str, Any]:
    """What was asked and answered, where somebody wants that in a log."""
    asked = row.asks.get("messages") if isinstance(row, PromptRow) else row.line.decode(errors="replace")
    return {"asked": asked, "answer": result.answer}
