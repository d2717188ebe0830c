from pathlib import Path

import pytest

from batch_runner.failures import CannotStart
from batch_runner.output.lines import Run, row_line, run_line, totals_line
from batch_runner.records import Result, Status
from batch_runner.results.reading import read_results
from batch_runner.totals import Totals

AT = "2026-01-01T00:00:00.000Z"
RUN_LINE = run_line(Run("r", AT, "fake"), Totals())
TOTALS_LINE = totals_line("r", AT, Totals(), Totals())


def a_result(row_id: str, status: Status = Status.OK, answer: str = "") -> Result:
    return Result(row_id, status, "v1:" + "ab" * 16, "in.jsonl:1", AT, "r", answer=answer)


def written(folder: Path, *lines: bytes) -> Path:
    path = folder / "out.jsonl"
    path.write_bytes(b"".join(lines))
    return path


def test_each_row_gives_its_last_result_in_the_order_of_the_file(tmp_path: Path) -> None:
    first, second, last = a_result("a", Status.UNFINISHED), a_result("b"), a_result("a", answer="好")
    path = written(tmp_path, RUN_LINE, row_line(first), row_line(second), RUN_LINE, row_line(last), TOTALS_LINE)

    assert list(read_results(path)) == [second, last]
    assert list(read_results(str(path))) == [second, last]


def test_lines_that_can_not_be_read_are_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, RUN_LINE, b"garbage\n", row_line(a_result("a")), row_line(a_result("b"))[:-9])

    assert list(read_results(path)) == [a_result("a")]


def test_a_link_is_followed(tmp_path: Path) -> None:
    path = written(tmp_path, RUN_LINE, row_line(a_result("a")))
    (tmp_path / "link").symlink_to(path)

    assert list(read_results(tmp_path / "link")) == [a_result("a")]


def test_an_output_without_rows_gives_none(tmp_path: Path) -> None:
    assert list(read_results(written(tmp_path, RUN_LINE, TOTALS_LINE))) == []


def test_what_is_no_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotStart):
        list(read_results(written(tmp_path, b'{"prompt":"hi"}\n')))
