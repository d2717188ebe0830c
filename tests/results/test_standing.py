import os
import re
import socket
from pathlib import Path
from typing import Any

import orjson
import pytest

from batch_runner.admission import Ceiling
from batch_runner.failures import CannotStart, FailureKind
from batch_runner.output.lines import Run, row_line, run_line, totals_line
from batch_runner.records import Bill, Result, Status, Usage
from batch_runner.reporters.heartbeat import heartbeat_path
from batch_runner.results.standing import read_standing, standing_document, standing_lines
from batch_runner.totals import Totals

AT = "2026-01-01T00:00:00.000Z"
TEN = Usage(10, 2, 5, 3, 15)
BEAT: dict[str, Any] = {
    "pid": os.getpid(),
    "host": socket.gethostname(),
    "run_id": "r",
    "state": "running",
    "recorded": 3,
    "to_record": 9,
    "seconds_left": 90,
    "updated": AT,
}


def a_run() -> bytes:
    return run_line(Run("r", AT, "api.example.com", job="nightly", ceiling=Ceiling(1, 100, 1000)), Totals())


def a_row(row_id: str, status: Status = Status.OK, failure: FailureKind | None = None) -> bytes:
    return row_line(
        Result(
            row_id, status, "v1:" + "ab" * 16, "in.jsonl:1", AT, "r", model="o1", bill=Bill(TEN), failure=failure, message="oops"
        )
    )


def the_end() -> bytes:
    totals = Totals(attempts=3)
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
    ],
)
def test_a_heartbeat_tells_whether_a_run_is_at_work(tmp_path: Path, changes: dict[str, Any], state: str) -> None:
    assert read_standing(written(tmp_path, a_run(), a_row("a"), beat=BEAT | changes)).state == state


def test_a_heartbeat_of_a_dead_process_counts_for_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, a_run(), a_row("a"), beat=BEAT | {"pid": nobodys_pid()})

    assert read_standing(path).state == "killed"


@pytest.mark.parametrize(
    "beat",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"pid":', id="torn"),
        pytest.param(b"[]", id="a list"),
        pytest.param({"run_id": "r", "state": "running", "host": socket.gethostname()}, id="without a process"),
        pytest.param({"run_id": "r", "state": "running", "host": socket.gethostname(), "pid": None}, id="null process"),
    ],
)
def test_an_odd_heartbeat_counts_for_nothing(tmp_path: Path, beat: Any) -> None:
    assert read_standing(written(tmp_path, a_run(), a_row("a"), beat=beat)).state == "killed"


def test_a_run_at_work_is_told_for_a_person(tmp_path: Path) -> None:
    standing = read_standing(written(tmp_path, a_run(), a_row("a"), beat=BEAT))

    first = next(standing_lines(standing, "out.jsonl"))

    assert first.startswith("out.jsonl: running: 3 of 9 rows of this run, 1 min 30 s left (process ")


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
