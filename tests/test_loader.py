import gzip
import io
import os
import sys
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.failures import CannotStart
from batch_runner.files import MOST_LINE_BYTES, UTF8_BOM, open_input
from batch_runner.json_text import dumps
from batch_runner.loader import (
    RUN_LINE_START,
    InputFile,
    InputFiles,
    Line,
    copy_stdin,
    draft,
    find_inputs,
    form_of,
    is_glob,
)
from batch_runner.records import PromptRow, Rejected

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

HI = b'{"prompt":"hi"}'

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def lines_of(path: Path) -> list[tuple[bytes, str]]:
    files = InputFiles.of([InputFile(path, "in.jsonl")])
    return [(line.text, line.source) for line in files.lines()]


def row_of(line: bytes) -> PromptRow:
    row = draft(Line(line, "in.jsonl:1")).row
    assert isinstance(row, PromptRow), row
    return row


def rejected_of(line: bytes) -> Rejected:
    row = draft(Line(line, "in.jsonl:1")).row
    assert isinstance(row, Rejected), row
    return row


# lines


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        pytest.param(b"a\nb\n", [(b"a", 1), (b"b", 2)], id="two lines"),
        pytest.param(b"a\nb", [(b"a", 1), (b"b", 2)], id="no end of line at the end"),
        pytest.param(b"a\r\nb\r\n", [(b"a", 1), (b"b", 2)], id="CRLF"),
        pytest.param(UTF8_BOM + b"a\nb\n", [(b"a", 1), (b"b", 2)], id="BOM"),
        pytest.param(b"\n  \n\t\r\na\n\n", [(b"a", 4)], id="blank lines count but give no row"),
        pytest.param(b"a\rb\n", [(b"a\rb", 1)], id="a lone CR ends no line"),
        pytest.param("a\u2028b\x85c\x0cd\n".encode(), [("a\u2028b\x85c\x0cd".encode(), 1)], id="nor do Unicode's line ends"),
        pytest.param(b"", [], id="empty file"),
        pytest.param(UTF8_BOM, [], id="nothing but a BOM"),
    ],
)
def test_a_line_ends_at_a_newline_and_nowhere_else(tmp_path: Path, data: bytes, texts: list[tuple[bytes, int]]) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(data)

    assert lines_of(path) == [(text, f"in.jsonl:{number}") for text, number in texts]


@given(data=st.binary(max_size=60))
@settings(max_examples=100, deadline=None)
def test_no_line_is_lost_whatever_the_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "in.jsonl"
    path.write_bytes(data)
    expected = [text for line in data.removeprefix(UTF8_BOM).split(b"\n") if (text := line.strip(b" \t\r"))]

    assert [text for text, _ in lines_of(path)] == expected


def test_files_are_read_one_after_the_other_under_the_names_they_were_given(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).write_bytes(HI + b"\n")
    files = InputFiles.of([InputFile(tmp_path / "b", "b"), InputFile(tmp_path / "a", "./a")])

    assert [line.source for line in files.lines()] == ["b:1", "./a:1"]


def test_what_is_appended_after_the_first_look_waits_for_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"a\nb\n")
    files = InputFiles.of([InputFile(path, "in.jsonl")])
    path.write_bytes(b"a\nb\nc\n")

    assert [line.text for line in files.lines()] == [b"a", b"b"]


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_packed_files_are_unpacked(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"in.jsonl{ending}"
    data = b"a\nb\n" * 1000
    path.write_bytes(gzip.compress(data) if ending == ".gz" else zstd.compress(data))

    assert [text for text, _ in lines_of(path)] == [b"a", b"b"] * 1000


@pytest.mark.parametrize("ending", [".gz", ".zst"])
@pytest.mark.parametrize("keep", [pytest.param(0.5, id="half"), pytest.param(0.98, id="nearly all")])
def test_a_packed_file_that_is_cut_off_can_not_be_read_to_its_end(tmp_path: Path, ending: str, keep: float) -> None:
    path = tmp_path / f"in.jsonl{ending}"
    data = b"".join(b'{"prompt":"%d"}\n' % (number * 7919) for number in range(3000))
    packed = gzip.compress(data) if ending == ".gz" else zstd.compress(data)
    path.write_bytes(packed[: int(len(packed) * keep)])

    with pytest.raises(CannotStart, match=r"in\.jsonl: can't be read to its end"):
        lines_of(path)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"in\.jsonl: can't be read"):
        InputFiles.of([InputFile(tmp_path / "gone", "in.jsonl")])


# drafts


@given(line=st.binary(max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_bytes_become_a_row_or_a_rejected_line_and_keep_their_text(line: bytes) -> None:
    row = draft(Line(line, "in.jsonl:1")).row

    assert row.id
    assert row.line == line
    assert row.source == "in.jsonl:1"


@given(value=json_values, column=st.text(max_size=8))
@settings(max_examples=200, deadline=None)
def test_any_json_value_becomes_a_row_or_a_rejected_line(value: object, column: str) -> None:
    for line in (value, {column: value}, {"prompt": "hi", column: value}, {"prompt": value}, {"prompt": "hi", "params": value}):
        row = draft(Line(orjson.dumps(line), "in.jsonl:1")).row

        assert row.id


@pytest.mark.parametrize("depth", [10, 253, 300, 900])
def test_a_deeply_nested_column_travels_to_the_output(depth: int) -> None:
    nested = "[" * depth + "]" * depth

    row = row_of(f'{{"prompt":"hi","tree":{nested}}}'.encode())

    assert dumps(row.extra).decode() == f'{{"tree":{nested}}}'


def test_columns_of_the_rows_own_travel_as_values() -> None:
    row = row_of('{"prompt":"hi","label":"好","n":1.0}'.encode())

    assert row.extra == {"label": "好", "n": 1.0}
    assert isinstance(row.extra["n"], float)
    assert row_of(HI).extra == {}


def test_a_line_that_is_nested_too_deeply_beside_a_long_number_is_rejected() -> None:
    nested = "[" * 1010 + "]" * 1010

    assert rejected_of(f'{{"prompt":"hi","n":{2**70},"tree":{nested}}}'.encode()).reason


@pytest.mark.parametrize("number", [2**63, 2**64, 2**70, -(2**70), 10**40])
def test_an_integer_beyond_64_bits_is_not_rounded(number: int) -> None:
    assert row_of(f'{{"prompt":"hi","n":[{number}]}}'.encode()).extra == {"n": [number]}


def test_an_edited_label_buys_nothing() -> None:
    assert row_of(b'{"prompt":"hi","label":"a"}').id == row_of(b'{"label":"b","prompt":"hi"}').id


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b'{"text":"hi"}', id="text"),
        pytest.param(b'{ "question" : "hi" }', id="question, spaced"),
        pytest.param(b'{"messages":[{"role":"user","content":"hi"}]}', id="messages"),
        pytest.param(b'{"prompt":[{"content":"hi","role":"user"}]}', id="prompt as messages"),
        pytest.param(b'{"prompt":"\\u0068i"}', id="escaped"),
    ],
)
def test_the_same_request_in_other_words_is_the_same_row(line: bytes) -> None:
    assert row_of(line).id == row_of(HI).id


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b'{"prompt":"hi "}', id="text"),
        pytest.param(b'{"prompt":"hi","model":"o3"}', id="model"),
        pytest.param(b'{"prompt":"hi","max_completion_tokens":5}', id="cap"),
        pytest.param(b'{"prompt":"hi","params":{"seed":1}}', id="params"),
    ],
)
def test_an_edited_request_is_a_new_row(line: bytes) -> None:
    assert row_of(line).id != row_of(HI).id


def test_an_id_made_from_content_is_told_apart_from_one_of_the_rows_own() -> None:
    made, own = draft(Line(HI, "a:1")), draft(Line(b'{"id":7,"prompt":"hi"}', "a:2"))

    assert (made.own_id, own.own_id) == (False, True)
    assert made.row.id.startswith("row-")
    assert len(made.row.id) == 20
    assert own.row.id == "7"


def test_a_line_kept_in_an_output_goes_by_the_id_it_has_there() -> None:
    made = draft(Line(HI, "a:1", "row-1234-2"))

    assert made.own_id
    assert made.row.id == "row-1234-2"


def test_a_line_that_can_not_be_read_goes_by_its_bytes() -> None:
    assert rejected_of(b"{").id == rejected_of(b"{").id
    assert rejected_of(b"{").id != rejected_of(b"{{").id


def test_a_line_that_can_not_be_sent_keeps_its_own_id() -> None:
    assert rejected_of(b'{"id":"a","prompt":3}').id == "a"


# other files


def write(path: Path, data: bytes) -> InputFiles:
    path.write_bytes(data)
    return InputFiles.of([InputFile(path, path.name)])


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.jsonl", "jsonl"),
        ("a.txt", "txt"),
        ("a.TXT", "txt"),
        ("a.csv.gz", "csv"),
        ("a.tsv.zst", "tsv"),
        ("a.parquet", "parquet"),
        ("a", "jsonl"),
        ("a.gz", "jsonl"),
        ("txt", "jsonl"),
        ("OUT.input.jsonl.zst", "jsonl"),
    ],
)
def test_the_name_says_what_a_file_holds(name: str, form: str) -> None:
    assert form_of(Path(name)) == form


def test_each_line_of_a_text_file_is_a_prompt(tmp_path: Path) -> None:
    files = write(tmp_path / "in.txt", 'say "hi"\r\n\n  晚上好\n{"not": "the first"}'.encode())

    assert [(line.text.decode(), line.source) for line in files.lines()] == [
        ('"say \\"hi\\""', "in.txt:1"),
        ('"晚上好"', "in.txt:3"),
        ('"{\\"not\\": \\"the first\\"}"', "in.txt:4"),
    ]


def test_json_lines_in_a_text_file_are_json_lines(tmp_path: Path) -> None:
    files = write(tmp_path / "in.txt", b'{"prompt":"a"}\n{"prompt":"b"}\n')

    assert [line.text for line in files.lines()] == [b'{"prompt":"a"}', b'{"prompt":"b"}']


def test_a_line_of_a_text_file_that_is_not_utf_8_is_rejected_and_the_others_are_not(tmp_path: Path) -> None:
    rows = [draft(line).row for line in write(tmp_path / "in.txt", b"a\ncaf\xe9\nb").lines()]

    assert [type(row) for row in rows] == [PromptRow, Rejected, PromptRow]
    assert isinstance(rows[1], Rejected)
    assert rows[1].reason.startswith("not UTF-8 at byte 4")


@pytest.mark.parametrize("name", ["in.jsonl", "in.txt"])
def test_a_line_beyond_measure_is_rejected_unread_and_the_next_one_is_read(tmp_path: Path, name: str) -> None:
    long = b'"' + b"x" * MOST_LINE_BYTES + b'"'

    rows = [draft(line).row for line in write(tmp_path / name, b'"a"\n' + long + b'\n"b"\n').lines()]

    assert [(type(row), row.source) for row in rows] == [
        (PromptRow, f"{name}:1"),
        (Rejected, f"{name}:2"),
        (PromptRow, f"{name}:3"),
    ]
    assert isinstance(rows[1], Rejected)
    assert "33,554,435 bytes, 32 MiB is the most" in rows[1].reason
    assert len(rows[1].line) < 5000


@given(data=st.binary(max_size=60), name=st.sampled_from(["a.jsonl", "a.txt", "a.csv", "a.tsv"]))
@settings(max_examples=200, deadline=None)
def test_any_bytes_under_any_name_are_rows_or_one_refusal(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str
) -> None:
    files = write(tmp_path_factory.getbasetemp() / name, data)

    try:
        rows = [draft(line).row for line in files.lines()]
    except CannotStart as refusal:
        assert str(refusal).startswith(name)  # noqa: PT017 - both ends are right
        return
    numbers = [int(row.source.rpartition(":")[2]) for row in rows]
    assert numbers == sorted(set(numbers))
    assert all(1 <= number <= data.count(b"\n") + 1 for number in numbers)


# finding inputs


def test_a_pipe_can_not_be_read_twice_and_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(CannotStart, match="pipe"):
        find_inputs([str(tmp_path / "pipe")])


def test_a_glob_names_its_files_in_order(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", "c.txt"):
        (tmp_path / name).write_bytes(HI)
    (tmp_path / "d.jsonl").mkdir()

    files, left_out = find_inputs([f"{tmp_path}/*.jsonl"])

    assert [file.path.name for file in files] == ["a.jsonl", "b.jsonl"]
    assert left_out == []


def test_a_file_whose_name_looks_like_a_glob_is_taken_literally(tmp_path: Path) -> None:
    path = tmp_path / "a[1].jsonl"
    path.write_bytes(HI)

    assert not is_glob(str(path))
    assert [file.path for file in find_inputs([str(path)])[0]] == [path]


def test_an_output_among_inputs_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(HI)
    (tmp_path / "a.results.jsonl").write_bytes(RUN_LINE_START + b'"x":1}\n')

    files, left_out = find_inputs([f"{tmp_path}/*.jsonl"])

    assert [file.path.name for file in files] == ["a.jsonl"]
    assert left_out == [f"{tmp_path}/a.results.jsonl"]


def test_an_output_alone_is_refused_with_the_command_that_was_meant(tmp_path: Path) -> None:
    (tmp_path / "a.results.jsonl").write_bytes(RUN_LINE_START + b'"x":1}\n')

    with pytest.raises(CannotStart, match=r"batch-runner retry .*a\.results\.jsonl"):
        find_inputs([f"{tmp_path}/a.results.jsonl"])


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        pytest.param("gone.jsonl", "there is no such file", id="missing"),
        pytest.param("*.gone", "no file matches", id="empty glob"),
        pytest.param("folder", "is a folder", id="folder"),
        pytest.param("damaged.gz", "can't be read", id="not gzip"),
        pytest.param("broken.gz", "can't be read", id="gzip with a damaged body"),
        pytest.param("damaged.zst", "can't be read", id="not zstd"),
    ],
)
def test_what_can_not_be_an_input_is_told_in_one_line(tmp_path: Path, argument: str, said: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "damaged.gz").write_bytes(HI)
    (tmp_path / "damaged.zst").write_bytes(HI)
    packed = gzip.compress(HI * 1000)
    (tmp_path / "broken.gz").write_bytes(packed[:10] + b"\xff" * 20 + packed[30:])

    with pytest.raises(CannotStart, match=said) as raised:
        find_inputs([str(tmp_path / argument)])

    assert "\n" not in str(raised.value)


def test_standard_input_can_be_read_again_from_its_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\nb\n")))

    file = copy_stdin(tmp_path / "out.jsonl.input.jsonl.zst")

    assert file.name == "stdin"
    with open_input(file.path) as copy:
        assert copy.read() == b"a\nb\n"
