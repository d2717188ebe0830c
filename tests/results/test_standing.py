import os
import re
import socket
import time
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from batch_runner.admission import Ceiling
from batch_runner.clock import timestamp
from batch_runner.failures import CannotStart, FailureKind
from batch_runner.output.heartbeat import heartbeat_path, process_since
from batch_runner.output.history import History
from batch_runner.output.lines import Run, row_line, run_line, totals_line
from batch_runner.records import Bill, Result, Status, Usage
from batch_runner.results.standing import Standing, standing_document, standing_lines, standing_of
from batch_runner.results.states import MEANINGS, OutputState
from batch_runner.totals import UNATTEMPTED, Totals

AT = "2026-01-01T00:00:00.000Z"
LONG_AGO, LATELY = 61.0, 40.0
TEN = Usage(10, 2, 5, 3, 15)
BEAT: dict[str, Any] = {
    "pid": os.getpid(),
    "host": socket.gethostname(),
    "run_id": "r",
    "state": "running",
    "recorded": 3,
    "to_record": 9,
    "seconds_left": 90,
}


def ago(seconds: float) -> str:
    return timestamp(time.time() - seconds)


def a_beat(*, age: float = 1.0, **changes: Any) -> dict[str, Any]:
    return BEAT | {"updated": ago(age)} | changes


def a_run(**known: int) -> bytes:
    about = Run("r", AT, "api.example.com", job="nightly", ceiling=Ceiling(1, 100, 1000))
    return run_line(about, Totals(rows=Counter(known)))


def a_row(row_id: str, status: Status = Status.OK, failure: FailureKind | None = None) -> bytes:
    return row_line(
        Result(
            row_id, status, "v1:" + "ab" * 16, "in.jsonl:1", AT, "r", model="o1", bill=Bill(TEN), failure=failure, message="oops"
        )
    )


def the_end(**known: int) -> bytes:
    totals = Totals(rows=Counter(known), attempts=3)
    totals.bill("o1", Bill(TEN))
    return totals_line("r", AT, totals, totals)


def written(folder: Path, *lines: bytes, beat: Any = None) -> Path:
    path = folder / "out.jsonl"
    path.write_bytes(b"".join(lines))
    if beat is not None:
        heartbeat_path(path).write_bytes(beat if isinstance(beat, bytes) else orjson.dumps(beat))
    return path


def read_standing(path: Path) -> Standing:
    with History(path) as history:
        return standing_of(history)


def nobodys_pid() -> int:
    """The id of a process that has ended."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child


def test_an_output_whose_run_has_ended(tmp_path: Path) -> None:
    path = written(tmp_path, a_run(), a_row("a"), a_row("b", Status.FAILED, FailureKind.TIMEOUT), the_end())

    standing = read_standing(path)

    assert (standing.state, standing.run.job, standing.job.attempts) == ("finished", "nightly", 3)
    assert standing.job.rows == {"ok": 1, "failed": 1}
    assert standing.failures == {"timeout": 1}
    assert "in.jsonl:1" in standing.examples["timeout"]
    assert standing.examples["timeout"].endswith(": oops")


def test_a_run_that_was_killed_is_charged_for_what_was_in_flight(tmp_path: Path) -> None:
    standing = read_standing(written(tmp_path, a_run(), a_row("a")))

    assert standing.state == "dead"
    assert standing.job.spent == TEN
    assert standing.job.maybe_billed == Usage(100, 0, 1000, 0, 1100)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        pytest.param({}, "running", id="at work"),
        pytest.param({"state": "draining"}, "draining", id="leaving"),
        pytest.param({"state": "ended"}, "dead", id="ended without a word in the output"),
        pytest.param({"run_id": "another"}, "dead", id="of another run"),
        pytest.param({"host": "elsewhere", "pid": 1}, "running", id="on another host"),
        pytest.param({"pid": "odd"}, "dead", id="odd process"),
        pytest.param({"pid": 10**12}, "dead", id="a process that can't be"),
        pytest.param({"pid": None}, "dead", id="null process"),
        pytest.param({"age": LATELY}, "running", id="a while ago"),
        pytest.param({"age": LONG_AGO}, "dead", id="long ago"),
        pytest.param({"age": LATELY, "host": "elsewhere"}, "running", id="a while ago on another host"),
        pytest.param({"age": LONG_AGO, "host": "elsewhere"}, "dead", id="long ago on another host"),
        pytest.param({"updated": "odd"}, "dead", id="odd time"),
        pytest.param({"updated": None}, "dead", id="null time"),
        pytest.param({"updated": 5}, "dead", id="a number as time"),
    ],
)
def test_a_heartbeat_tells_whether_a_run_is_at_work(tmp_path: Path, changes: dict[str, Any], state: str) -> None:
    assert read_standing(written(tmp_path, a_run(), a_row("a"), beat=a_beat(**changes))).state == state


def test_a_heartbeat_of_a_dead_process_counts_for_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, a_run(), a_row("a"), beat=a_beat(pid=nobodys_pid()))

    assert read_standing(path).state == "dead"


@pytest.mark.parametrize(
    "beat",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"pid":', id="torn"),
        pytest.param(b"[]", id="a list"),
    ],
)
def test_an_odd_heartbeat_counts_for_nothing(tmp_path: Path, beat: Any) -> None:
    assert read_standing(written(tmp_path, a_run(), a_row("a"), beat=beat)).state == "dead"


@pytest.mark.parametrize("missing", ["pid", "host", "run_id", "state", "updated"])
def test_a_heartbeat_that_lacks_something_counts_for_nothing(tmp_path: Path, missing: str) -> None:
    beat = {key: value for key, value in a_beat().items() if key != missing}

    assert read_standing(written(tmp_path, a_run(), a_row("a"), beat=beat)).state == "dead"


def test_a_run_at_work_is_told_for_a_person(tmp_path: Path) -> None:
    standing = read_standing(written(tmp_path, a_run(), a_row("a"), beat=a_beat()))

    first = next(standing_lines(standing, "out.jsonl"))

    assert first.startswith("out.jsonl: running: 3 of 9 rows of this run, 1 min 30 s left (process ")


@pytest.mark.parametrize(
    ("waits", "words"),
    [
        pytest.param({"outage_s": 75.0, "pause_left_s": 3.0, "trouble": "overloaded"}, "no answer for 1 min 15 s (overloaded)"),
        pytest.param({"outage_s": 0.0, "pause_left_s": 1800.0}, "told to wait 30 min 00 s"),
        pytest.param({"held_by": "--max-cost", "in_flight": 2}, "concurrency is held to 2 by --max-cost"),
    ],
    ids=["an outage", "a pause", "a cap"],
)
def test_what_a_run_at_work_waits_for_is_told(tmp_path: Path, waits: dict[str, Any], words: str) -> None:
    standing = read_standing(written(tmp_path, a_run(), a_row("a"), beat=a_beat(**waits)))

    assert words in next(standing_lines(standing, "out.jsonl"))


def test_failures_are_told_with_their_number_and_an_example(tmp_path: Path) -> None:
    path = written(tmp_path, a_run(), a_row("b", Status.FAILED, FailureKind.TIMEOUT), b"garbage\n", the_end())

    text = "\n".join(standing_lines(read_standing(path), "out.jsonl"))

    assert re.search(r"1 timeout: .*in\.jsonl:1.*: oops", text)
    assert "can't be read" in text


def test_the_document_says_the_same_for_a_program(tmp_path: Path) -> None:
    path = written(tmp_path, a_run(), a_row("a"), a_row("b", Status.FAILED, FailureKind.TIMEOUT), the_end())

    document = orjson.loads(orjson.dumps(standing_document(read_standing(path))))

    assert (document["schema"], document["state"], document["endpoint"]) == (1, "finished", "api.example.com")
    assert (document["rows"]["ok"], document["rows"]["failed"], document["rows"]["invalid"]) == (1, 1, 0)
    assert [failure["kind"] for failure in document["failures"]] == ["timeout"]


@pytest.mark.parametrize("data", [pytest.param(None, id="missing"), pytest.param(b"", id="empty")])
def test_no_output_is_told_in_one_line(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "out.jsonl"
    if data is not None:
        path.write_bytes(data)

    with pytest.raises(CannotStart, match="there is no such output, or nothing in it"):
        read_standing(path)


def test_rows_that_a_killed_run_did_not_come_to_are_unattempted(tmp_path: Path) -> None:
    standing = read_standing(written(tmp_path, a_run(unattempted=5), a_row("a"), a_row("b", Status.UNFINISHED)))

    assert standing.job.rows == {"ok": 1, "unfinished": 1, UNATTEMPTED: 3}
    assert standing_document(standing)["rows"][UNATTEMPTED] == 3


def test_rows_that_a_run_at_work_has_not_come_to_yet_are_unattempted(tmp_path: Path) -> None:
    standing = read_standing(written(tmp_path, a_run(unattempted=5), a_row("a"), beat=a_beat()))

    assert standing.state == "running"
    assert standing.job.rows == {"ok": 1, UNATTEMPTED: 4}


def test_rows_that_a_run_left_when_it_ended_are_unattempted(tmp_path: Path) -> None:
    standing = read_standing(written(tmp_path, a_run(unattempted=5), a_row("a"), the_end(ok=1, unattempted=4)))

    assert standing.state == "interrupted"
    assert standing.job.rows == {"ok": 1, UNATTEMPTED: 4}
    assert standing_document(standing)["rows"][UNATTEMPTED] == 4


def test_a_row_whose_line_is_damaged_inside_is_counted_and_breaks_nothing(tmp_path: Path) -> None:
    damaged = a_row("b", Status.FAILED, FailureKind.TIMEOUT).replace(b'"answer":"', b'"answer":,"')

    standing = read_standing(written(tmp_path, a_run(), a_row("a"), damaged, the_end()))

    assert (standing.job.rows["ok"], standing.job.rows["failed"]) == (1, 1)
    assert standing.failures == {}


MINE = {"pid_since": process_since(os.getpid())}


def test_a_process_that_is_there_and_does_not_beat_is_stuck(tmp_path: Path) -> None:
    standing = read_standing(written(tmp_path, a_run(unattempted=2), a_row("a"), beat=a_beat(age=LONG_AGO, **MINE)))

    first = next(standing_lines(standing, "out.jsonl"))
    assert (standing.state, standing.exit_status) == ("stuck", 22)
    assert "stuck: its process is there, and hasn't beaten for 1 min 0" in first
    assert standing.job.maybe_billed == Usage()  # what is in flight is nobody's loss yet


def test_another_process_of_the_same_number_is_not_the_run(tmp_path: Path) -> None:
    beats = [a_beat(pid_since=1), a_beat(age=LONG_AGO, pid_since=1)]

    assert [read_standing(written(tmp_path, a_run(), a_row("a"), beat=beat)).state for beat in beats] == ["dead", "dead"]


@pytest.mark.parametrize(
    ("told", "state"),
    [
        pytest.param({"silent_s": 661.0}, "stuck", id="silent for longer than a request may take"),
        pytest.param({"silent_s": 659.0}, "running", id="a long answer"),
        pytest.param({"silent_s": 9999.0, "waiting_for": "pause"}, "running", id="told to wait"),
        pytest.param({"silent_s": 9999.0, "waiting_for": "space"}, "running", id="waiting for the disk"),
        pytest.param({"silent_s": None}, "running", id="nobody tells"),
    ],
)
def test_a_run_that_beats_and_gets_nothing_back_is_stuck_unless_it_waits(
    tmp_path: Path, told: dict[str, Any], state: str
) -> None:
    beat = a_beat(timeout_s=600.0, waiting_for="") | told

    assert read_standing(written(tmp_path, a_run(), a_row("a"), beat=beat)).state == state


def test_a_run_that_ended_before_its_rows_was_interrupted_and_says_why(tmp_path: Path) -> None:
    beat = a_beat(state="ended", exit_status=4, reason="quota_exhausted: no money")
    standing = read_standing(written(tmp_path, a_run(unattempted=3), a_row("a"), the_end(ok=1, unattempted=2), beat=beat))

    first = next(standing_lines(standing, "out.jsonl"))
    assert (standing.state, standing.exit_status) == ("interrupted", 20)
    assert first.startswith("out.jsonl: interrupted: 2 rows left (quota_exhausted: no money); the same command goes on")


def test_a_row_without_a_last_word_leaves_the_output_interrupted(tmp_path: Path) -> None:
    standing = read_standing(written(tmp_path, a_run(), a_row("a", Status.UNFINISHED), the_end(unfinished=1)))

    assert standing.state == "interrupted"


@pytest.mark.parametrize(
    ("rows", "max_failed", "status"),
    [
        pytest.param({"ok": 1}, "0", 0, id="all ok"),
        pytest.param({"ok": 1, "failed": 1}, "0", 10, id="one failed"),
        pytest.param({"ok": 1, "failed": 1}, "50%", 0, id="as many as allowed"),
    ],
)
def test_a_finished_output_exits_as_its_last_run_did(tmp_path: Path, rows: dict[str, int], max_failed: str, status: int) -> None:
    about = run_line(Run("r", AT, "api.example.com", settings={"max_failed": max_failed}), Totals())
    failed = [a_row("b", Status.FAILED, FailureKind.TIMEOUT)] if "failed" in rows else []

    assert read_standing(written(tmp_path, about, a_row("a"), *failed, the_end(**rows))).exit_status == status


def test_what_was_killed_after_its_last_row_is_finished_once_a_run_found_nothing_to_send(tmp_path: Path) -> None:
    beat = a_beat(state="ended", run_id="", exit_status=0)

    standing = read_standing(written(tmp_path, a_run(unattempted=1), a_row("a"), beat=beat))

    assert standing.state == "finished"
    assert standing.last_good_end == beat["updated"]


@pytest.mark.parametrize(
    ("age", "max_age", "status"),
    [pytest.param(60.0, 90.0, 0, id="fresh"), pytest.param(60.0, 30.0, 23, id="too old")],
)
def test_the_age_of_the_last_good_end_can_be_asked_for(tmp_path: Path, age: float, max_age: float, status: int) -> None:
    ended = totals_line("r", ago(age), Totals(rows=Counter(ok=1)), Totals())
    standing = read_standing(written(tmp_path, a_run(), a_row("a"), ended))

    assert standing.exit_status_for(max_age, time.time()) == status


def test_rows_that_are_not_ok_make_no_good_end(tmp_path: Path) -> None:
    path = written(
        tmp_path, a_run(), a_row("b", Status.FAILED, FailureKind.TIMEOUT), totals_line("r", ago(1), Totals(), Totals())
    )

    assert read_standing(path).exit_status_for(3600.0, time.time()) == 23


def test_a_run_at_work_is_no_reason_for_an_alarm_and_a_dead_one_is(tmp_path: Path) -> None:
    at_work = read_standing(written(tmp_path, a_run(), a_row("a"), beat=a_beat()))
    dead = read_standing(written(tmp_path, a_run(), a_row("a"), beat=b""))

    assert (at_work.exit_status, at_work.exit_status_for(3600.0, time.time())) == (75, 23)  # none has ended well yet
    assert (dead.exit_status, dead.exit_status_for(3600.0, time.time())) == (21, 21)


def test_the_last_failed_attempt_of_a_run_at_work_is_told(tmp_path: Path) -> None:
    error = {"at": AT, "row": "r7", "kind": "timeout", "http_status": None, "message": "no answer within 600 s"}
    standing = read_standing(written(tmp_path, a_run(), a_row("a"), beat=a_beat(last_error=error)))

    assert "last failed attempt  row r7: timeout: no answer within 600 s" in "\n".join(standing_lines(standing, "out.jsonl"))


def test_every_state_has_a_meaning_and_those_one_acts_on_differ_in_status() -> None:
    assert set(MEANINGS) == set(OutputState)
    assert [MEANINGS[state][0] for state in OutputState] == [75, 75, 0, 20, 21, 22]
