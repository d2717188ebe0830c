import stat
from collections import Counter
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.output.compact import SMALL_BYTES, compact, is_due
from batch_runner.output.index import read_index
from batch_runner.output.lines import Run, row_line, run_line, totals_line
from batch_runner.records import Result, Status
from batch_runner.totals import Totals

AT = "2026-01-01T00:00:00.000Z"


def a_row(row_id: str, run_id: str = "r1", status: Status = Status.OK, answer: str = "") -> bytes:
    return row_line(Result(row_id, status, "v1:" + "ab" * 16, "in.jsonl:1", AT, run_id, answer=answer))


def a_run(run_id: str = "r1", endpoint: str = "api.example.com", attempts: int = 0) -> bytes:
    return run_line(Run(run_id, AT, endpoint), Totals(attempts=attempts))


def the_end(run_id: str = "r1", attempts: int = 0) -> bytes:
    return totals_line(run_id, AT, Totals(attempts=attempts), Totals())


def compacted(folder: Path, *lines: bytes) -> list[bytes]:
    path = folder / "out.jsonl"
    path.write_bytes(b"".join(lines))
    index = read_index(path)
    gone = compact(path, index)
    left = path.read_bytes().splitlines(keepends=True)
    assert gone == index.lines - len(left)
    return left


def test_only_the_last_line_of_each_row_is_left(tmp_path: Path) -> None:
    left = compacted(tmp_path, a_run(), a_row("a", status=Status.UNFINISHED), a_row("b"), a_row("a", answer="found"), the_end())

    assert left == [a_run(), a_row("b"), a_row("a", answer="found"), the_end()]


def test_a_run_line_stays_as_long_as_a_row_names_its_run(tmp_path: Path) -> None:
    first = [a_run("r1"), a_row("a", "r1"), a_row("b", "r1"), the_end("r1")]
    second = [a_run("r2"), a_row("b", "r2"), the_end("r2")]
    third = [a_run("r3"), a_row("c", "r3"), the_end("r3")]
    fourth = [a_run("r4"), a_row("c", "r4"), the_end("r4")]

    left = compacted(tmp_path, *first, *second, *third, *fourth)

    assert left == [a_run("r1"), a_row("a", "r1"), a_run("r2"), a_row("b", "r2"), a_run("r4"), a_row("c", "r4"), the_end("r4")]


def test_of_the_run_lines_of_one_run_the_last_stays(tmp_path: Path) -> None:
    left = compacted(tmp_path, a_run(attempts=1), a_row("a"), a_run(attempts=2), a_row("b"), the_end())

    assert left == [a_run(attempts=2), a_row("a"), a_row("b"), the_end()]


def test_the_last_run_line_stays_without_rows_of_its_own(tmp_path: Path) -> None:
    left = compacted(tmp_path, a_run("r1"), a_row("a"), the_end("r1"), a_run("r2"), the_end("r2", attempts=3))

    assert left == [a_run("r1"), a_row("a"), a_run("r2"), the_end("r2", attempts=3)]


def test_a_run_that_was_killed_stays_unclosed(tmp_path: Path) -> None:
    left = compacted(tmp_path, a_run("r1"), a_row("a"), the_end("r1"), a_run("r2", attempts=4), a_row("b", "r2"))

    assert left == [a_run("r1"), a_row("a"), a_run("r2", attempts=4), a_row("b", "r2")]


def test_made_up_answers_are_still_known_for_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    compacted(tmp_path, a_run("r1", "fake"), a_row("a"), a_row("b"), the_end(), a_run("r2"), a_row("b", "r2"), the_end("r2"))

    index = read_index(path)

    entries = {name: index.lookup(name) for name in "ab"}
    assert {name: entry.made_up for name, entry in entries.items() if entry is not None} == {"a": True, "b": False}


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(b"\x00garbage\n", id="garbage"),
        pytest.param(a_row("lost")[:-20] + b"\n", id="a row without its end"),
        pytest.param(a_row("lost").replace(b'"ok"', b'"scored"'), id="a status of another version"),
    ],
)
def test_lines_that_can_not_be_read_stay_and_the_file_stays_ours(tmp_path: Path, damaged: bytes) -> None:
    left = compacted(tmp_path, a_run(), damaged, a_row("a", status=Status.UNFINISHED), damaged, a_row("a"), the_end())

    assert left == [a_run(), damaged, damaged, a_row("a"), the_end()]
    assert read_index(tmp_path / "out.jsonl").living() == Counter(ok=1)


def test_a_torn_last_line_goes_and_a_whole_one_gets_its_end(tmp_path: Path) -> None:
    torn = compacted(tmp_path, a_run(), a_row("a"), a_row("b")[:-30])
    whole = compacted(tmp_path, a_run(), a_row("a"), a_row("b").rstrip(b"\n"))

    assert torn == [a_run(), a_row("a")]
    assert whole == [a_run(), a_row("a"), a_row("b")]


def test_compacting_twice_changes_nothing(tmp_path: Path) -> None:
    once = compacted(tmp_path, a_run(), a_row("a", status=Status.FAILED), a_row("a"), the_end())

    assert compacted(tmp_path, *once) == once


def test_the_mode_is_kept_and_nothing_is_left_beside(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(a_run() + a_row("a") + a_row("a"))
    path.chmod(0o640)

    compact(path, read_index(path))

    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.jsonl"]


runs = st.lists(
    st.tuples(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from(Status)), max_size=6), st.booleans()),
    min_size=1,
    max_size=4,
)


@given(history=runs)
@settings(max_examples=80, deadline=None)
def test_whatever_happened_exactly_the_last_line_of_each_row_is_left(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[list[tuple[str, Status]], bool]]
) -> None:
    lines, model = list[bytes](), dict[str, bytes]()
    for number, (records, ended) in enumerate(history):
        lines.append(a_run(f"r{number}"))
        for name, status in records:
            line = a_row(name, f"r{number}", status, answer=str(len(lines)))
            model[name] = line
            lines.append(line)
        lines += [the_end(f"r{number}")] if ended else []

    left = compacted(tmp_path_factory.mktemp("any"), *lines)

    parsed = [orjson.loads(line) for line in left]
    rows = [line for line, fields in zip(left, parsed, strict=True) if fields["status"] not in {"run", "totals"}]
    assert sorted(rows) == sorted(model.values())
    assert rows == [line for line in lines if line in rows]
    assert parsed[0]["status"] == "run"
    assert {fields["run_id"] for fields in parsed} == {
        *(fields["run_id"] for fields in parsed if fields["status"] == "run"),
    }
    assert [fields["status"] for fields in parsed].count("totals") == history[-1][1]


@pytest.mark.parametrize(
    ("size", "lines", "dead", "due"),
    [
        pytest.param(1_000, 10, 0, False, id="nothing dead"),
        pytest.param(1_000, 1_000, 1, True, id="a small file"),
        pytest.param(SMALL_BYTES, 1_000, 100, False, id="a large file, a tenth dead"),
        pytest.param(SMALL_BYTES, 1_000, 101, True, id="a large file, more than a tenth dead"),
    ],
)
def test_a_large_file_is_compacted_only_when_it_is_worth_it(size: int, lines: int, dead: int, *, due: bool) -> None:
    assert is_due(size, lines, dead) is due
