import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from batch_runner.failures import CannotStart, OutputBusy
from batch_runner.output.lock import lock, lock_path

HOLD = """
import sys
from pathlib import Path
from batch_runner.output.lock import lock

with lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(output: Path) -> subprocess.Popen[str]:
    """Another process that holds `output` until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(output)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def try_lock(output: Path) -> None:
    with lock(output):
        pass


def test_another_process_is_kept_out_and_told_who_holds_the_output(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"

    with holder(output) as process:
        with pytest.raises(OutputBusy, match=rf"held by another run \(process {process.pid} on "):
            try_lock(output)
        process.communicate()

    try_lock(output)


def test_a_holder_that_is_killed_lets_go(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"

    with holder(output) as process:
        process.kill()
        process.wait()

        try_lock(output)


def test_the_same_process_is_kept_out_too(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"

    with lock(output), pytest.raises(OutputBusy):
        try_lock(output)


def test_a_lock_is_held_even_when_the_output_is_replaced(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    output.touch()

    with lock(output):
        (tmp_path / "new").touch()
        (tmp_path / "new").replace(output)

        with pytest.raises(OutputBusy):
            try_lock(output)


def test_the_lock_file_stays_and_names_its_last_holder(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"

    try_lock(output)

    told = json.loads(lock_path(output).read_text())
    assert told["pid"] == os.getpid()
    assert sorted(told) == ["host", "pid", "since"]


def test_the_output_itself_is_not_touched(tmp_path: Path) -> None:
    try_lock(tmp_path / "out.jsonl")

    assert [entry.name for entry in tmp_path.iterdir()] == ["out.jsonl.lock"]


@pytest.mark.parametrize("told", [pytest.param("", id="empty"), pytest.param("[]", id="a list"), pytest.param("{", id="torn")])
def test_a_lock_file_that_says_nothing_locks_as_well(tmp_path: Path, told: str) -> None:
    output = tmp_path / "out.jsonl"

    with lock(output):
        lock_path(output).write_text(told)

        with pytest.raises(OutputBusy, match=r"held by another run$"):
            try_lock(output)


def test_a_folder_without_room_for_a_lock_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(CannotStart, match="can't be locked"):
        try_lock(tmp_path / "file" / "out.jsonl")


def beat(output: Path, *, seconds_ago: float = 1.0, **facts: Any) -> None:
    """Leave a heartbeat beside `output`."""
    path = output.with_name(output.name + ".status.json")
    told = {"state": "running", "host": "elsewhere", "pid": 4711, "started": "2026-01-01T00:00:00.000Z"} | facts
    path.write_text(json.dumps(told))
    then = time.time() - seconds_ago
    os.utime(path, (then, then))


@pytest.mark.parametrize("by_kernel", [True, False], ids=["locked", "without locks"])
def test_a_run_that_beats_on_another_machine_keeps_this_one_off(tmp_path: Path, by_kernel: bool) -> None:  # noqa: FBT001
    output = tmp_path / "out.jsonl"
    beat(output)

    told = r"process 4711 on elsewhere since 2026.* last heard of \d s ago; .* free in 5\d s"
    with pytest.raises(OutputBusy, match=told), lock(output, by_kernel=by_kernel):
        pass


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({"seconds_ago": 61.0}, id="stale"),
        pytest.param({"state": "ended"}, id="ended"),
        pytest.param({"host": socket.gethostname()}, id="dead"),
        pytest.param({"host": None, "state": None}, id="says nothing"),
    ],
)
def test_a_run_that_is_over_keeps_nobody_off(tmp_path: Path, facts: dict[str, Any]) -> None:
    output = tmp_path / "out.jsonl"
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    beat(output, **{"pid": process.pid} | facts)

    with lock(output), pytest.raises(OutputBusy):
        try_lock(output)
    with lock(output, by_kernel=False):
        pass


def test_without_locks_a_run_that_beats_on_this_machine_keeps_another_off(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    beat(output, host=socket.gethostname(), pid=os.getpid())

    with pytest.raises(OutputBusy, match="held by another run"), lock(output, by_kernel=False):
        pass
    try_lock(output)  # the kernel knows better


def test_a_clock_that_is_wrong_here_makes_no_heartbeat_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out.jsonl"
    beat(output)
    monkeypatch.setattr(time, "time", lambda: 0.0)

    with pytest.raises(OutputBusy):
        try_lock(output)


def test_a_folder_where_no_file_can_be_made_is_told_as_such_and_not_as_a_run_at_work() -> None:
    with pytest.raises(CannotStart, match=r"/proc/x\.lock: can't be locked: No such file or directory"):
        try_lock(Path("/proc/x"))
