import json
import os
import subprocess
import sys
from pathlib import Path

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
