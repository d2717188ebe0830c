import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from batch_runner.exits import ExitStatus
from batch_runner.failures import Failure, FailureKind, Scope
from batch_runner.notices import log as log_module
from batch_runner.notices.courier import Undelivered
from batch_runner.notices.log import EVENTS, EventLog
from batch_runner.progress import Snapshot
from batch_runner.records import Attempt, PromptRow, Rejected, Result, Status, Usage
from batch_runner.settings import read_settings
from batch_runner.totals import Totals
from tests.notices.examples import a_report

ROW = PromptRow("r1", "in.jsonl:1", b"{}", {"messages": [{"role": "user", "content": "my secret question"}]})
OK = Result(
    "r1", Status.OK, "v1", "in.jsonl:1", "", "r", answer="my secret answer", usage=Usage(1, 0, 2, 0, 3), latency_s=1.23456
)
FAILED = Result(
    "r1",
    Status.FAILED,
    "v1",
    "in.jsonl:1",
    "",
    "r",
    failure=FailureKind.TIMEOUT,
    message="no answer\nwithin 5 s",
    attempts=(Attempt("", 1.0, "timeout", 2), Attempt("", 1.0, "server_error")),
)
LATE = Failure(FailureKind.TIMEOUT, Scope.ROW, "no answer within 5 s")
BUSY = Failure(FailureKind.RATE_LIMITED, Scope.EVERYONE, "slow down", http_status=429)


def a_snapshot(seconds: float, **changes: Any) -> Snapshot:
    facts: dict[str, Any] = {
        "recorded": 2,
        "to_record": 8,
        "standing": Counter(ok=2),
        "totals": Totals(attempts=3),
        "in_flight": 4,
        "pause_left": 0.0,
        "outage_seconds": 0.0,
        "held_by": "",
        "trouble": "",
        "draining": False,
    }
    return Snapshot(seconds=seconds, **(facts | changes))


def logged(path: Path, tell: Callable[[EventLog], object], **settings: Any) -> list[dict[str, Any]]:
    """The events that `tell` leaves in a log of JSON lines."""
    log = EventLog(read_settings({"log": str(path), "log_format": "json", **settings}).log, "nightly", pytest.fail)
    tell(log)
    log.close()
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def tell_all(log: EventLog) -> None:
    log.started("r", 8)
    log.update(a_snapshot(1.0))
    log.update(a_snapshot(2.0, outage_seconds=3.0))
    log.update(a_snapshot(61.0))
    log.attempt_failed("r1", BUSY, 1.26, 2)
    log.recorded(ROW, OK)
    log.recorded(ROW, FAILED)
    log.decided("in flight 8 -> 16")
    log.stopping("quota_exhausted: no money")
    log.notice_failed("--ping https://hc-ping.com/***: HTTP 404")
    log.refused(ExitStatus.CANNOT_START, "no key")
    log.ended(a_report(ExitStatus.ROWS_NOT_OK, ok=3, failed=1))


def test_each_event_is_a_line_that_names_the_run_and_the_row(tmp_path: Path) -> None:
    events = logged(tmp_path / "log", tell_all, log_level="debug")

    assert {event["event"] for event in events} == set(EVENTS)
    assert all(event["run_id"] == "r" and event["name"] == "nightly" for event in events)
    rows = [event for event in events if event["event"] in {"attempt_failed", "row_ok", "row_not_ok"}]
    assert [event["row_id"] for event in rows] == ["r1"] * 3
    assert rows[0] | {"timestamp": ""} == {
        "timestamp": "",
        "level": "debug",
        "event": "attempt_failed",
        "name": "nightly",
        "run_id": "r",
        "row_id": "r1",
        "attempt": 2,
        "kind": "rate_limited",
        "http_status": 429,
        "message": "slow down",
        "wait_s": 1.3,
        "slow_down": True,
    }
    assert (rows[2]["status"], rows[2]["kind"], rows[2]["attempts"]) == ("failed", "timeout", 3)


def test_the_levels_are_those_that_are_documented(tmp_path: Path) -> None:
    events = logged(tmp_path / "log", tell_all, log_level="debug")

    told = {event["event"]: event["level"] for event in events if event["event"] != "run_ended"}
    assert told == {name: level for name, (level, _) in EVENTS.items() if name != "run_ended"}


@pytest.mark.parametrize(
    ("status", "level"),
    [(ExitStatus.OK, "info"), (ExitStatus.ROWS_NOT_OK, "warning"), (ExitStatus.STOPPED_BY_SERVICE, "error")],
)
def test_how_grave_an_end_is_shows_in_its_level(tmp_path: Path, status: ExitStatus, level: str) -> None:
    (event,) = logged(tmp_path / "log", lambda log: log.ended(a_report(status, ok=3)))

    assert (event["level"], event["exit_status"], event["rows"]) == (level, int(status), {"ok": 3})


def test_a_retry_is_no_error_and_no_news_unless_one_asks(tmp_path: Path) -> None:
    def retry(log: EventLog) -> None:
        log.attempt_failed("r1", LATE, 2.0, 1)
        log.recorded(ROW, OK)

    assert logged(tmp_path / "log", retry) == []


@pytest.mark.parametrize(("asked", "there"), [(False, False), (True, True)])
def test_no_prompt_and_no_answer_is_logged_unless_asked(tmp_path: Path, *, asked: bool, there: bool) -> None:
    def both(log: EventLog) -> None:
        log.recorded(ROW, OK)
        log.recorded(Rejected("r1", "in.jsonl:1", b'{"my secret question"', "bad"), FAILED)

    events = logged(tmp_path / "log", both, log_level="debug", log_texts=asked)

    assert (b"secret" in orjson.dumps(events)) is there


def test_a_refusal_of_the_model_is_an_answer_too(tmp_path: Path) -> None:
    refused = Result("r1", Status.REFUSED, "v1", "in.jsonl:1", "", "r", message="I can't help with my secret question")

    (event,) = logged(tmp_path / "log", lambda log: log.recorded(ROW, refused))

    assert (event["event"], event["status"], event["message"]) == ("row_not_ok", "refused", "")


def test_what_is_waited_for_is_told_once_and_so_is_its_end(tmp_path: Path) -> None:
    def waits(log: EventLog) -> None:
        for pause in (0.0, 20.0, 0.0, 40.0, 10.0, 0.0, 0.0):
            log.update(a_snapshot(1.0, pause_left=pause))

    assert [event["waiting_for"] for event in logged(tmp_path / "log", waits)] == ["pause", ""]


def test_progress_comes_once_a_minute(tmp_path: Path) -> None:
    def minutes(log: EventLog) -> None:
        for seconds in range(0, 300, 5):
            log.update(a_snapshot(float(seconds)))

    assert [event["event"] for event in logged(tmp_path / "log", minutes)] == ["progress"] * 4


def test_a_text_line_can_be_read_and_commands_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = EventLog(read_settings({"log": str(path)}).log, "nightly", pytest.fail)
    log.started("r", 8)
    log.recorded(ROW, Result("r\x1b[2J\n2", Status.FAILED, "v1", "", "", "r", failure=FailureKind.TIMEOUT, message="a\nb"))
    log.close()

    first, second = path.read_text(encoding="utf-8").splitlines()
    assert "[info] run_started name=nightly run_id=r to_record=8" in first
    assert "[warning] row_not_ok" in second
    assert "\x1b" not in second
    assert "message='a b'" in second


def test_a_file_that_was_moved_away_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"

    def rotated(log: EventLog) -> None:
        log.started("r", 8)
        while not path.read_bytes():
            time.sleep(0.001)
        path.rename(tmp_path / "log.1")
        log.stopping("no key")

    events = logged(path, rotated)

    assert [event["event"] for event in events] == ["stopping"]
    assert b"run_started" in (tmp_path / "log.1").read_bytes()


def test_a_run_goes_on_when_its_log_can_not_be_written_and_says_so_once() -> None:
    told = list[str]()
    log = EventLog(read_settings({"log": "/dev/full"}).log, "nightly", told.append)

    for _ in range(3):
        log.stopping("no key")
    log.close()

    assert told == ["--log: can't be written: No space left on device; the run goes on"]


def test_events_that_a_disk_is_too_slow_for_are_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "MOST_WAITING", 5)
    told = list[str]()
    log = EventLog(read_settings({"log": str(tmp_path / "log")}).log, "nightly", told.append)
    assert log._file.lock is not None
    with log._file.lock:  # the disk hangs
        for _ in range(20):
            log.stopping("no key")
    log.close()

    assert len(told) == 1
    assert "events were dropped" in told[0]


@pytest.mark.parametrize("name", ["", "/", "no\0name"])
def test_a_log_that_can_not_be_opened_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(Undelivered, match="can't be written"):
        EventLog(read_settings({"log": name or str(tmp_path)}).log, "nightly", pytest.fail)
