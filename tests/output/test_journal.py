import asyncio
import os
import stat
import threading
from pathlib import Path

import pytest

from batch_runner.failures import CannotStart, OutputLost
from batch_runner.output.index import read_index
from batch_runner.output.journal import Journal
from batch_runner.output.lines import Run, row_line, run_line, totals_line
from batch_runner.records import Result, Status
from batch_runner.totals import Totals

AT = "2026-01-01T00:00:00.000Z"
RUN_LINE = run_line(Run("r", AT, "api.example.com"), Totals())
TOTALS_LINE = totals_line("r", AT, Totals(), Totals())


def a_row(row_id: str, status: Status = Status.OK) -> bytes:
    return row_line(Result(row_id, status, "v1:" + "ab" * 16, "in.jsonl:1", AT, "r", answer="好" * 3))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def read(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def open_and_close(path: Path) -> None:
    with Journal(path, read_index(path).size):
        pass


async def test_a_line_is_in_the_file_when_append_returns(path: Path) -> None:
    with Journal(path, read_index(path).size) as journal:
        await journal.append(RUN_LINE)
        assert read(path) == RUN_LINE

        await journal.append(a_row("a"), synced=True)
        assert read(path) == RUN_LINE + a_row("a")


async def test_many_appends_at_once_are_all_written_and_none_is_torn(path: Path) -> None:
    lines = [a_row(str(number)) for number in range(500)]

    with Journal(path, read_index(path).size) as journal:
        await journal.append(RUN_LINE)
        await asyncio.gather(*(journal.append(line, synced=number % 50 == 0) for number, line in enumerate(lines)))

    written = read(path).splitlines(keepends=True)
    assert written[0] == RUN_LINE
    assert sorted(written[1:]) == sorted(lines)


async def test_lines_keep_the_order_in_which_they_were_handed_over(path: Path) -> None:
    lines = [RUN_LINE, *(a_row(str(number)) for number in range(50))]

    with Journal(path, read_index(path).size) as journal:
        await asyncio.gather(*map(journal.append, lines))

    assert read(path) == b"".join(lines)


async def test_an_output_is_appended_to_and_never_overwritten(path: Path) -> None:
    write(path, RUN_LINE + a_row("a") + TOTALS_LINE)

    with Journal(path, read_index(path).size) as journal:
        await journal.append(RUN_LINE)

    assert read(path) == RUN_LINE + a_row("a") + TOTALS_LINE + RUN_LINE


ALL, SOME = 1, 53
"""Cut at every byte; at some, where a line is long and each cut waits for the disk."""


@pytest.mark.parametrize(
    ("last", "step"),
    [
        pytest.param(a_row("b", Status.UNFINISHED), ALL, id="row"),
        pytest.param(TOTALS_LINE, SOME, id="totals"),
        pytest.param(RUN_LINE, SOME, id="run"),
    ],
)
async def test_a_last_line_cut_anywhere_costs_no_other_line(path: Path, last: bytes, step: int) -> None:
    whole = RUN_LINE + a_row("a")
    for cut in (*range(0, len(last), step), len(last) - 1, len(last)):
        write(path, whole + last[:cut])
        index = read_index(path)

        with Journal(path, read_index(path).size) as journal:
            await journal.append(a_row("c"))

        kept = last if cut >= len(last) - 1 else b""
        assert read(path) == whole + kept + a_row("c"), cut
        assert index.size == len(whole + kept) - (cut == len(last) - 1), cut
        assert index.lookup("a") is not None, cut


@pytest.mark.parametrize("last", [pytest.param(TOTALS_LINE, id="totals"), pytest.param(RUN_LINE, id="run")])
def test_a_bookkeeping_line_cut_anywhere_is_no_line_yet(path: Path, last: bytes) -> None:
    whole = RUN_LINE + a_row("a")
    for cut in range(0, len(last) - 1, 7):
        write(path, whole + last[:cut])

        assert read_index(path).size == len(whole), cut


def test_a_first_line_cut_anywhere_leaves_an_empty_output(path: Path) -> None:
    for cut in range(0, len(RUN_LINE) - 1, SOME):
        write(path, RUN_LINE[:cut])

        open_and_close(path)

        assert read(path) == b"", cut


async def test_a_lone_run_line_that_lacks_only_its_end_can_be_gone_on_with(path: Path) -> None:
    write(path, RUN_LINE.rstrip(b"\n"))

    with Journal(path, read_index(path).size) as journal:
        await journal.append(RUN_LINE)
        await journal.append(a_row("a"))

    assert read_index(path).lookup("a") is not None


def test_what_stands_after_the_last_whole_line_is_cut_off_and_nothing_else(path: Path) -> None:
    write(path, RUN_LINE + a_row("a") + b'{"id":"torn')

    with Journal(path, len(RUN_LINE + a_row("a"))):
        pass

    assert read(path) == RUN_LINE + a_row("a")


@pytest.mark.parametrize("data", [pytest.param(b"", id="gone"), pytest.param(RUN_LINE, id="shorter")])
def test_an_output_that_somebody_else_cut_is_refused_and_stays(path: Path, data: bytes) -> None:
    write(path, data)

    with pytest.raises(CannotStart, match="somebody else changed it"), Journal(path, len(RUN_LINE) + 50):
        pass

    assert read(path) == data


def test_a_damaged_line_in_the_middle_is_left_alone(path: Path) -> None:
    data = RUN_LINE + b"\x00\x00garbage\n" + a_row("a")
    write(path, data)

    open_and_close(path)

    assert read(path) == data


def test_a_file_that_is_not_ours_is_refused_and_stays(path: Path) -> None:
    write(path, b'{"prompt":"mine"}\n{"prompt":')

    with pytest.raises(CannotStart, match="wasn't made by batch-runner"):
        open_and_close(path)

    assert read(path) == b'{"prompt":"mine"}\n{"prompt":'


def test_an_output_that_can_not_be_written_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").mkdir()

    with pytest.raises(CannotStart, match="can't be written"), Journal(tmp_path / "out.jsonl", 0):
        pass
    with pytest.raises(CannotStart, match="can't be read"):
        read_index(tmp_path / "out.jsonl")


async def test_a_cancelled_append_costs_nobody_else_their_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal(path, read_index(path).size) as journal:
        await journal.append(RUN_LINE)
        gone, write = threading.Event(), journal._write
        monkeypatch.setattr(journal, "_write", lambda batch: gone.wait(20) and write(batch))
        first, given_up, last = (asyncio.create_task(journal.append(a_row(name), synced=True)) for name in "abc")
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait([given_up])
        gone.set()  # the writer tells nobody of a line before the caller of one has gone

        async with asyncio.timeout(20):
            await asyncio.gather(first, last)

    assert given_up.cancelled()
    assert {a_row("a"), a_row("c")} <= set(read(path).splitlines(keepends=True))


async def test_after_a_failed_write_nothing_more_is_written(path: Path) -> None:
    with Journal(path, read_index(path).size) as journal:
        await journal.append(RUN_LINE)
        good = os.dup(journal._file)
        read_only = os.open(path, os.O_RDONLY)
        os.dup2(read_only, journal._file)
        with pytest.raises(OutputLost):
            await journal.append(a_row("a"))
        os.dup2(good, journal._file)
        with pytest.raises(OutputLost):
            await journal.append(a_row("b"), synced=True)
        os.close(good)
        os.close(read_only)

    assert read(path) == RUN_LINE
    assert journal.lines_lost == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is always full")  # noqa: PTH110 - a decorator
async def test_a_full_disk_loses_the_output_and_says_so() -> None:
    journal = Journal(Path("/dev/null"), 0)
    with journal:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, journal._file)
        os.close(full)

        with pytest.raises(OutputLost, match="No space left"):
            await journal.append(RUN_LINE)


def test_a_new_output_has_the_mode_that_the_user_gives_new_files(path: Path) -> None:
    other = path.with_name("other")
    other.touch()

    open_and_close(path)

    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_the_writer_thread_ends_with_its_journal(path: Path) -> None:
    journal = Journal(path, read_index(path).size)

    with journal:
        assert journal._thread.is_alive()

    assert not journal._thread.is_alive()
