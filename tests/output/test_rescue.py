import asyncio
import errno
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from batch_runner.failures import OutputLost
from batch_runner.output import journal as journals
from batch_runner.output.index import read_index
from batch_runner.output.journal import Journal
from batch_runner.output.lines import Run, row_line, run_line
from batch_runner.output.rescue import Rescue, find_rescued, rescue_folders, take_in
from batch_runner.records import Result, Status
from batch_runner.results.reading import read_results
from batch_runner.totals import Totals

AT = "2026-01-01T00:00:00.000Z"
RUN_LINE = run_line(Run("r1", AT, "api.example.com"), Totals())


def a_row(row_id: str) -> bytes:
    return row_line(Result(row_id, Status.OK, "v1:" + "ab" * 16, "in.jsonl:1", AT, "r1", answer="好"))


def failing(times: int, error: int, work: Callable[..., int | None] | None = None) -> Callable[..., int | None]:
    """A system call that fails the first `times` times, then does `work`."""
    left = [times]

    def call(*arguments: object) -> int | None:
        if left[0]:
            left[0] -= 1
            raise OSError(error, os.strerror(error))
        return work(*arguments) if work is not None else None

    return call


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "answers").mkdir()
    return tmp_path / "answers" / "out.jsonl"


@pytest.fixture
def refuge(out: Path, tmp_path: Path) -> Rescue:
    (tmp_path / "home").mkdir()
    return Rescue(out, "r1", (tmp_path / "nowhere", tmp_path / "home"))


@pytest.fixture
def rescued(tmp_path: Path) -> Path:
    return tmp_path / "home" / "out.jsonl.rescue-r1.jsonl"


def read(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def remove(path: Path) -> None:
    path.unlink()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def there(path: Path) -> bool:
    return path.exists()


def ids(path: Path) -> list[str]:
    return [result.id for result in read_results(path)]


async def test_after_a_failed_sync_every_line_since_the_last_good_one_goes_elsewhere(
    out: Path, refuge: Rescue, rescued: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal(out, 0, refuge=refuge) as journal:
        await journal.append(RUN_LINE, synced=True)
        await journal.append(a_row("safe"), synced=True)
        await journal.append(a_row("unsafe"))
        monkeypatch.setattr(journals, "sync_to_disk", failing(1, errno.EIO))
        await journal.append(a_row("late"), synced=True)
        await journal.append(a_row("later"))

    assert ids(rescued) == ["unsafe", "late", "later"]
    assert journal.rescues == [rescued]
    assert (journal.lost is not None, journal.lines_lost, journal.lines_doubtful) == (True, 0, 0)
    assert mode(rescued) == 0o600


async def test_after_a_failed_write_only_what_could_not_be_written_goes_elsewhere_and_no_torn_line_stays(
    out: Path, refuge: Rescue, rescued: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = os.write

    def half(file: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", failing(1, errno.EFBIG, really))
        return really(file, data[: len(data) // 2])

    with Journal(out, 0, refuge=refuge) as journal:
        await journal.append(RUN_LINE, synced=True)
        await journal.append(a_row("a"))
        monkeypatch.setattr(os, "write", half)
        await journal.append(a_row("b"))

    assert read(out) == RUN_LINE + a_row("a")
    assert read(rescued) == RUN_LINE + a_row("b")


@pytest.mark.parametrize("call", ["write", "sync"])
async def test_before_the_run_line_is_on_the_disk_nothing_was_sent_and_nothing_is_rescued(
    out: Path, refuge: Rescue, rescued: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    if call == "write":
        monkeypatch.setattr(os, "write", failing(99, errno.ENOSPC))
    else:
        monkeypatch.setattr(journals, "sync_to_disk", failing(1, errno.ENOSPC))

    with Journal(out, 0, refuge=refuge, patience=60) as journal, pytest.raises(OutputLost, match="No space left"):
        await journal.append(RUN_LINE, synced=True)

    assert (journal.lines_lost, journal.lines_doubtful) == (0, 0)
    assert not there(rescued)


async def test_a_full_disk_is_tried_until_there_is_room(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "SPACE_SECONDS", 0.001)
    with Journal(out, 0, patience=60) as journal:
        await journal.append(RUN_LINE, synced=True)
        monkeypatch.setattr(os, "write", failing(5, errno.EDQUOT, os.write))
        await journal.append(a_row("a"))

        async with asyncio.timeout(20):
            while journal.unwritten:  # the writer lets go of a line only after it has told of it
                await asyncio.sleep(0.001)
        assert (journal.stall, journal.lost) == (None, None)
    assert read(out) == RUN_LINE + a_row("a")


async def test_whoever_is_told_not_to_wait_leaves_a_full_disk_at_once(
    out: Path, refuge: Rescue, rescued: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal(out, 0, refuge=refuge, patience=3600) as journal:
        await journal.append(RUN_LINE, synced=True)
        full = threading.Event()

        def refuse(_file: int, _data: bytes) -> int:
            monkeypatch.setattr(os, "write", real)
            full.set()
            raise OSError(errno.ENOSPC, "No space left on device")

        real = os.write
        monkeypatch.setattr(os, "write", refuse)
        journal.wait_no_longer()
        await journal.append(a_row("a"))

    assert full.is_set()
    assert ids(rescued) == ["a"]


async def test_a_bug_in_the_writer_ends_every_wait(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal(out, 0) as journal:
        await journal.append(RUN_LINE, synced=True)
        monkeypatch.setattr(os, "write", lambda _file, _data: "not a number")

        with pytest.raises(TypeError):
            await journal.append(a_row("a"))
        with pytest.raises(TypeError):
            await journal.append(a_row("b"))


async def test_a_removed_output_is_saved_whole(out: Path, refuge: Rescue, rescued: Path) -> None:
    write(out, RUN_LINE + a_row("a"))
    with Journal(out, read_index(out).size, refuge=refuge) as journal:
        await journal.append(RUN_LINE, synced=True)
        remove(out)
        await journal.append(a_row("b"))

    assert read(rescued) == RUN_LINE + a_row("a") + RUN_LINE + a_row("b")
    assert journal.removed


def test_a_disk_that_failed_comes_last(tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm")  # noqa: S108 - a folder on another device, nothing is written
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one device only")
    refuge = Rescue(tmp_path / "out.jsonl", "r1", (tmp_path, elsewhere))

    places = [path.parent for path in refuge.places(mistrusted=tmp_path.stat().st_dev)]

    assert places == [elsewhere, tmp_path]
    assert [path.parent for path in refuge.places(mistrusted=None)] == [tmp_path, elsewhere]


def test_answers_go_beside_the_output_then_home_then_to_the_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/tmp")  # noqa: S108 - a name

    beside = rescue_folders(tmp_path / "out.jsonl", None)
    named = rescue_folders(tmp_path / "out.jsonl", "~/safe")

    assert beside == (tmp_path, tmp_path / "home", Path("/tmp"))  # noqa: S108
    assert named == (tmp_path / "home" / "safe", tmp_path / "home", Path("/tmp"))  # noqa: S108


def test_without_a_home_and_a_temporary_folder_there_is_still_the_output_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: raising(RuntimeError()))
    monkeypatch.setattr("tempfile.gettempdir", lambda: raising(FileNotFoundError()))

    assert rescue_folders(tmp_path / "out.jsonl", None) == (tmp_path,)


def raising(error: Exception) -> Path:
    raise error


def test_what_was_rescued_is_taken_in_once_and_its_file_stays_under_another_name(out: Path) -> None:
    out.write_bytes(RUN_LINE + a_row("a") + b'{"id":"torn')
    rescued = out.with_name("out.jsonl.rescue-r1.jsonl")
    rescued.write_bytes(RUN_LINE + a_row("b"))

    taken = take_in(out, read_index(out).size, rescued)

    assert taken == 2
    assert out.read_bytes() == RUN_LINE + a_row("a") + RUN_LINE + a_row("b")
    assert find_rescued(out, "r1", [out.parent]) == []
    assert rescued.with_name("out.jsonl.rescue-r1.taken-in").read_bytes() == RUN_LINE + a_row("b")


def test_only_files_of_the_run_and_of_our_own_are_taken_in(out: Path) -> None:
    mine = out.with_name("out.jsonl.rescue-r1.jsonl")
    mine.write_bytes(RUN_LINE)
    out.with_name("out.jsonl.rescue-r2.jsonl").write_bytes(RUN_LINE)
    out.with_name("other.jsonl.rescue-r1.jsonl").write_bytes(RUN_LINE)

    assert find_rescued(out, "r1", (out.parent, out.parent / "gone")) == [mine]
    mine.rename(out.with_name("elsewhere"))
    mine.symlink_to(out.with_name("elsewhere"))
    assert find_rescued(out, "r1", (out.parent,)) == []


def test_an_output_that_still_takes_nothing_is_left_as_it_was(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out.write_bytes(RUN_LINE + a_row("a"))
    rescued = out.with_name("out.jsonl.rescue-r1.jsonl")
    rescued.write_bytes(RUN_LINE + a_row("b"))
    monkeypatch.setattr("batch_runner.output.rescue.sync_to_disk", failing(1, errno.EIO))

    with pytest.raises(OSError, match="Input/output"):
        take_in(out, read_index(out).size, rescued)

    assert out.read_bytes() == RUN_LINE + a_row("a")
    assert rescued.exists()
