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
from batch_runner.output.heartbeat import heartbeat_path
from batch_runner.output.lines import Run, row_line, run_line, totals_line
from batch_runner.records import Bill, Result, Status, Usage
from batch_runner.results.standing import read_standing, standing_document, standing_lines
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

    assert (standing.state, standing.run.job, standing.job.attempts) == ("ended", "nightly", 3)
    assert standing.job.rows == {"ok": 1, "failed": 1}
    assert standing.failures == {"timeout": 1}
    assert "in.jsonl:1" in standing.examples["timeout"]
    assert standing.examples["timeout"].endswith(": oops")


def test_a_run_that_was_killed_is_charged_for_what_was_in_flight(tmp_path: Path) -> None:
    standing = read_standing(written(tmp_path, a_run(), a_row("a")))

    assert standing.state == "killed"
    assert standing.job.spent == TEN
    assert standing.job.maybe_billed == Usage(100, 0, 1000, 0, 1100)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        pytest.param({}, "running", id="at work"),
        pytest.param({"state": "draining"}, "draining", id="leaving"),
        pytest.param({"state": "ended"}, "killed", id="ended without a word in the output"),
        pytest.param({"run_id": "another"}, "killed", id="of another run"),
        pytest.param({"host": "elsewhere", "pid": 1}, "running", id="on another host"),
        pytest.param({"pid": "odd"}, "killed", id="odd process"),
        pytest.param({"pid": 10**12}, "killed", id="a process that can't be"),
        pytest.param({"pid": None}, "killed", id="null process"),
        pytest.param({"age": LATELY}, "running", id="a while ago"),
        pytest.param({"age": LONG_AGO}, "killed", id="long ago"),
        pytest.param({"age": LATELY, "host": "elsewhere"}, "running", id="a while ago on another host"),
        pytest.param({"age": LONG_AGO, "host": "elsewhere"}, "killed", id="long ago on another host"),
        pytest.param({"updated": "odd"}, "killed", id="odd time"),
        pytest.param({"updated": None}, "killed", id="null time"),
        pytest.param({"updated": 5}, "killed", id="a number as time"),
    ],
)
def test_a_heartbeat_tells_whether_a_run_is_at_work(tmp_path: Path, changes: dict[str, Any], state: str) -> None:
    assert read_standing(written(tmp_path, a_run(), a_row("a"), beat=a_beat(**changes))).state == state


def test_a_heartbeat_of_a_dead_process_counts_for_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, a_run(), a_row("a"), beat=a_beat(pid=nobodys_pid()))

    assert read_standing(path).state == "killed"


@pytest.mark.parametrize(
    "beat",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"pid":', id="torn"),
        pytest.param(b"[]", id="a list"),
    ],
)
def test_an_odd_heartbeat_counts_for_nothing(tmp_path: Path, beat: Any) -> None:
    assert read_standing(written(tmp_path, a_run(), a_row("a"), beat=beat)).state == "killed"


@pytest.mark.parametrize("missing", ["pid", "host", "run_id", "state", "updated"])
def test_a_heartbeat_that_lacks_something_counts_for_nothing(tmp_path: Path, missing: str) -> None:
    beat = {key: value for key, value in a_beat().items() if key != missing}

    assert read_standing(written(tmp_path, a_run(), a_row("a"), beat=beat)).state == "killed"


def test_a_run_at_work_is_told_for_a_person(tmp_path: Path) -> None:
    standing = read_standing(written(tmp_path, a_run(), a_row("a"), beat=a_beat()))

    first = next(standing_lines(standing, "out.jsonl"))

    assert first.startswith("out.jsonl: running: 3 of 9 rows of this run, 1 min 30 s left (process ")


@pytest.mark.parametrize(
    ("waits", "words"),
    [
        pytest.param({"outage_s": 75.0, "pause_left_s": 3.0, "trouble": "overloaded"}, "no answer for 1 min 15 s (overloaded)"),
        pytest.param({"outage_s": 0.0, "pause_left_s": 1800.0}, "told to wait 30 min 00 s"),
    ],
    ids=["an outage", "a pause"],
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

    assert (document["schema"], document["state"], document["endpoint"]) == (1, "ended", "api.example.com")
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

    assert standing.state == "ended"
    assert standing.job.rows == {"ok": 1, UNATTEMPTED: 4}
    assert standing_document(standing)["rows"][UNATTEMPTED] == 4


def test_a_row_whose_line_is_damaged_inside_is_counted_and_breaks_nothing(tmp_path: Path) -> None:
    damaged = a_row("b", Status.FAILED, FailureKind.TIMEOUT).replace(b'"answer":"', b'"answer":,"')

    standing = read_standing(written(tmp_path, a_run(), a_row("a"), damaged, the_end()))

    assert (standing.job.rows["ok"], standing.job.rows["failed"]) == (1, 1)
    assert standing.failures == {}
