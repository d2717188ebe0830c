import sys
from pathlib import Path

import pytest

from batch_runner.failures import CannotStart
from batch_runner.forms import AS_IT_COMES
from batch_runner.loader import InputFile, InputFiles, Line, draft
from batch_runner.output.history import History
from batch_runner.output.kept_inputs import Joined, KeptInputs, stdin_copy_path
from batch_runner.output.lines import Run, row_line, run_line
from batch_runner.records import Result, Status
from batch_runner.totals import Totals

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

AT = "2026-01-01T00:00:00.000Z"
RUN_LINE = run_line(Run("r", AT, "api.example.com"), Totals())
RETRIED = frozenset({Status.FAILED, Status.UNFINISHED})


def a_row(row_id: str, status: Status, line: str = "", source: str = "in.jsonl:1") -> bytes:
    return row_line(Result(row_id, status, "v1:" + "ab" * 16, source, AT, "r", input=line))


def kept(folder: Path, *lines: bytes, states: frozenset[Status] = RETRIED) -> list[Line]:
    path = folder / "out.jsonl"
    path.write_bytes(RUN_LINE + b"".join(lines))
    with History(path) as records:
        return list(KeptInputs(records, states).lines())


def test_rows_of_the_states_asked_for_are_given_as_they_were_read(tmp_path: Path) -> None:
    lines = kept(
        tmp_path,
        a_row("a", Status.FAILED, '{"prompt":"好"}', "in.jsonl:7"),
        a_row("b", Status.OK),
        a_row("c", Status.TRUNCATED, '{"prompt":"c"}'),
        a_row("d", Status.UNFINISHED, '{"prompt":"d"}'),
    )

    assert lines == [
        Line('{"prompt":"好"}'.encode(), "in.jsonl:7", "a"),
        Line(b'{"prompt":"d"}', "in.jsonl:1", "d"),
    ]


def test_the_last_line_of_a_row_counts(tmp_path: Path) -> None:
    lines = kept(
        tmp_path,
        a_row("a", Status.FAILED, '{"prompt":"old"}'),
        a_row("b", Status.OK),
        a_row("b", Status.FAILED, '{"prompt":"b"}'),
        a_row("a", Status.OK),
    )

    assert [line.id for line in lines] == ["b"]


def test_a_repeated_row_keeps_the_id_it_has_in_the_output(tmp_path: Path) -> None:
    (line,) = kept(tmp_path, a_row("row-12-2", Status.FAILED, '{"prompt":"a"}'))

    assert draft(line).row.id == "row-12-2"


def test_asking_twice_gives_the_same(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(RUN_LINE + a_row("a", Status.FAILED, '{"prompt":"a"}'))

    with History(path) as records:
        source = KeptInputs(records, RETRIED)
        first = list(source.lines())
        with path.open("ab") as out:
            out.write(a_row("b", Status.FAILED, '{"prompt":"b"}'))

        assert list(source.lines()) == first


def test_a_line_too_long_to_be_kept_comes_from_where_it_was_read(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'{"prompt":"a"}\n\n{"id":"a","prompt":"long"}\n')

    (line,) = kept(tmp_path, a_row("a", Status.FAILED, source=f"{tmp_path}/in.jsonl:3"))

    assert line.text == b'{"id":"a","prompt":"long"}'


def test_a_line_of_standard_input_comes_from_its_copy(tmp_path: Path) -> None:
    with zstd.open(stdin_copy_path(tmp_path / "out.jsonl"), "wb") as copy:
        copy.write(b'{"prompt":"a"}\n{"id":"a","prompt":"long"}\n')

    (line,) = kept(tmp_path, a_row("a", Status.FAILED, source="stdin:2"))

    assert line.text == b'{"id":"a","prompt":"long"}'


@pytest.mark.parametrize(
    ("source", "said"),
    [
        pytest.param("gone.jsonl:3", "that file isn't here", id="file gone"),
        pytest.param("{folder}/in.jsonl:9", "no such line any more", id="line gone"),
    ],
)
def test_a_line_that_is_nowhere_any_more_is_told(tmp_path: Path, source: str, said: str) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'{"prompt":"a"}\n')

    with pytest.raises(CannotStart, match=said):
        kept(tmp_path, a_row("a", Status.FAILED, source=source.format(folder=tmp_path)))


def joined(folder: Path, text: str, *lines: bytes) -> list[str]:
    """The ids, or the texts of rows without one, of an input and behind it of what an earlier output kept."""
    earlier, now = folder / "out.jsonl", folder / "in.jsonl"
    earlier.write_bytes(RUN_LINE + b"".join(lines))
    now.write_text(text, encoding="utf-8")
    with History(earlier) as records:
        kept_rows = KeptInputs(records, RETRIED, long_ones=False)
        source = Joined(InputFiles.of([InputFile(now, "in.jsonl")]), kept_rows, AS_IT_COMES)
        first = [line.id or line.text.decode() for line in source.lines()]
        assert [line.id or line.text.decode() for line in source.lines()] == first
        return first


def test_rows_kept_come_behind_an_input_that_does_not_hold_them(tmp_path: Path) -> None:
    rows = joined(
        tmp_path,
        '{"id":"new","prompt":"n"}\n{"id":"both","prompt":"b"}\n',
        a_row("old", Status.FAILED, '{"id":"old","prompt":"o"}'),
        a_row("both", Status.FAILED, '{"id":"both","prompt":"b"}'),
        a_row("fine", Status.OK),
    )

    assert rows == ['{"id":"new","prompt":"n"}', '{"id":"both","prompt":"b"}', "old"]


def test_a_row_known_by_its_content_is_known_again(tmp_path: Path) -> None:
    made = draft(Line(b'{"prompt":"same"}', "in.jsonl:1")).id

    rows = joined(
        tmp_path,
        '{"prompt":"same"}\n',
        a_row(made, Status.FAILED, '{"prompt":"same"}'),
        a_row(f"{made}-2", Status.FAILED, '{"prompt":"same"}'),
    )

    assert rows == ['{"prompt":"same"}']


def test_a_line_too_long_to_be_kept_holds_no_later_night_up(tmp_path: Path) -> None:
    assert joined(tmp_path, '{"id":"new","prompt":"n"}\n', a_row("long", Status.FAILED, "", "gone.jsonl:1")) == [
        '{"id":"new","prompt":"n"}'
    ]


def test_an_output_that_is_rewritten_meanwhile_gives_what_it_gave(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(RUN_LINE + a_row("a", Status.FAILED, '{"prompt":"a"}'))
    with History(path) as records:
        new = tmp_path / "new"
        new.write_bytes(RUN_LINE)
        new.replace(path)

        assert [line.id for line in KeptInputs(records, RETRIED).lines()] == ["a"]
