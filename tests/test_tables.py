import csv
import io

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner import tables
from batch_runner.failures import CannotStart
from batch_runner.tables import Record, csv_records

cells = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=6)


def records(data: str | bytes, delimiter: str = "") -> list[Record]:
    raw = data.encode() if isinstance(data, str) else data
    return list(csv_records(io.BufferedReader(io.BytesIO(raw)), len(raw), "t.csv", delimiter))


def rows(data: str | bytes, delimiter: str = "") -> list[tuple[int, object]]:
    read = records(data, delimiter)
    assert not any(record.complaint for record in read), read
    return [(record.number, orjson.loads(record.line)) for record in read]


def complaints(data: str | bytes) -> list[tuple[int, str]]:
    return [(record.number, record.complaint) for record in records(data) if record.complaint]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param("a,b\n1,2\n3,4\n", [(2, {"a": "1", "b": "2"}), (3, {"a": "3", "b": "4"})], id="commas"),
        pytest.param("a;b\r\n1,5;2\r\n", [(2, {"a": "1,5", "b": "2"})], id="semicolons, CRLF"),
        pytest.param("sep=;\na;b\n1;2\n", [(3, {"a": "1", "b": "2"})], id="Excel's own hint"),
        pytest.param("a\tb\n1\t2", [(2, {"a": "1", "b": "2"})], id="tabs, no end of line"),
        pytest.param("text\nhello\n", [(2, {"text": "hello"})], id="one column"),
        pytest.param('a,b\n"x\n\ny",2\n3,4\n', [(2, {"a": "x\n\ny", "b": "2"}), (5, {"a": "3", "b": "4"})], id="line breaks"),
        pytest.param('a,b\n"say ""hi""",\n', [(2, {"a": 'say "hi"', "b": ""})], id="quotes, an empty text"),
        pytest.param("a,b\n\n1,2\n\n", [(3, {"a": "1", "b": "2"})], id="blank lines"),
        pytest.param("\ufeffa,b\n1,2\n", [(2, {"a": "1", "b": "2"})], id="a mark"),
        pytest.param(",a\n0,1\n", [(2, {"column 1": "0", "a": "1"})], id="a column without a name"),
        pytest.param("a,id,model\n1,,\n", [(2, {"a": "1"})], id="empty cells of columns that mean something"),
        pytest.param("a,max_completion_tokens\n1,50\n", [(2, {"a": "1", "max_completion_tokens": 50})], id="a number of ours"),
        pytest.param('a,params\n1,"{""n"": 2}"\n', [(2, {"a": "1", "params": {"n": 2}})], id="JSON in a column of ours"),
        pytest.param("", [], id="empty"),
        pytest.param("a,b\n", [], id="a header only"),
    ],
)
def test_each_row_becomes_an_object_with_the_line_it_starts_on(data: str, expected: list[tuple[int, object]]) -> None:
    assert rows(data) == expected


def test_a_tsv_takes_quotes_and_commas_as_they_are() -> None:
    assert rows("a\tb\nx, y\tz;\n", "\t") == [(2, {"a": "x, y", "b": "z;"})]


@pytest.mark.parametrize(
    ("data", "line", "said"),
    [
        pytest.param("a,b\n1,2\n1,2,3\n", 3, "3 cells, the header names 2", id="too many cells"),
        pytest.param("a,b\n1\n", 2, "1 cell, the header names 2", id="too few cells"),
        pytest.param('a,b\n"x"y,2\n', 2, "not CSV", id="text behind a quote"),
        pytest.param('a,b\n1,2\n"open,2\n3,4\n', 3, "opens in this row and is never closed: '\"open,2", id="a quote left open"),
        pytest.param(b"a,b\ncaf\xe9,2\n", 2, "not UTF-8: save it as 'CSV UTF-8'", id="Latin-1"),
    ],
)
def test_a_row_that_can_not_be_read_is_told_by_the_line_it_starts_on(data: str | bytes, line: int, said: str) -> None:
    ((number, complaint),) = complaints(data)

    assert number == line
    assert said in complaint


@pytest.mark.parametrize(
    ("data", "bad", "good"),
    [
        pytest.param('a,b\n"open,2\n3,4\n5,6\n', [2], [3, 4], id="never closed"),
        pytest.param('a,b\n"open,2\n3,4\n5,"six"\n7,8\n', [2], [3, 4, 5], id="closed by another row's quote"),
        pytest.param('a,b\n"open,2\n"open,2\n"open,2\n3,4\n', [2, 3, 4], [5], id="one after the other"),
        pytest.param('a\n"open\nmore\n', [2], [], id="a single column"),
    ],
)
def test_a_quote_left_open_costs_its_own_row_only(data: str, bad: list[int], good: list[int]) -> None:
    read = records(data)

    assert [record.number for record in read if record.complaint] == bad
    assert [record.number for record in read if not record.complaint] == good


def test_quotes_that_never_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_PUT_BACK", 10)

    with pytest.raises(CannotStart, match="too many quotes are left open"):
        records("a,b\n" + '"open,2\n' * 20)


def test_rows_after_a_bad_one_are_read() -> None:
    read = records('a,b\n"x"y,2\n1,2\n')

    assert [record.number for record in read] == [2, 3]
    assert read[1] == Record(3, b'{"a":"1","b":"2"}')


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param("a,a\n1,2\n", r"t\.csv:1: the header names 'a' twice", id="a name twice"),
        pytest.param(b"caf\xe9,b\n1,2\n", r"t\.csv:1: not UTF-8", id="Latin-1"),
        pytest.param('a,"b\n1,2\n', r"t\.csv:1: the header can't be read", id="a quote left open"),
    ],
)
def test_a_header_that_can_not_be_one_is_told(data: str | bytes, said: str) -> None:
    with pytest.raises(CannotStart, match=said):
        records(data)


@given(table=st.lists(st.lists(cells, min_size=2, max_size=2), max_size=5), delimiter=st.sampled_from(",;\t"))
@settings(max_examples=150, deadline=None)
def test_what_a_csv_writer_writes_is_read_back(table: list[list[str]], delimiter: str) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([["first", "second"], *table])

    read = rows(text.getvalue())

    assert [list(row.values()) for _, row in read if isinstance(row, dict)] == table
    lines = text.getvalue().split("\n")
    assert all(lines[number - 1].startswith('"') for number, _ in read)


@given(data=st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_rows_complaints_or_one_refusal(data: bytes) -> None:
    try:
        read = records(b"a,b\n" + data)
    except CannotStart as refusal:
        assert str(refusal).startswith("t.csv")  # noqa: PT017 - both ends are right
        return
    numbers = [record.number for record in read]
    assert numbers == sorted(set(numbers))
    assert all(record.complaint or set(orjson.loads(record.line)) == {"a", "b"} for record in read)
