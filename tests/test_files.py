import codecs
import io
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner import files
from batch_runner.failures import CannotStart
from batch_runner.files import kind_of, numbered_lines, stretches, told_when_unreadable


def lines_of(data: bytes) -> list[tuple[int, bytes]]:
    return [(number, line) for number, line, _ in numbered_lines(io.BufferedReader(io.BytesIO(data)))]


@given(texts=st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=9), max_size=6))
@settings(max_examples=100, deadline=None)
def test_utf_16_is_read_like_utf_8(texts: list[str]) -> None:
    text = "\r\n".join(["first", *texts])

    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        assert lines_of(mark + text.encode(encoding)) == lines_of(codecs.BOM_UTF8 + text.encode())


def test_half_a_character_at_the_end_of_utf_16_is_told() -> None:
    with pytest.raises(CannotStart, match=r"in\.jsonl: not utf-16"), told_when_unreadable("in.jsonl"):
        lines_of(codecs.BOM_UTF16_LE + "ab".encode("utf-16-le")[:-1])


def test_of_a_line_beyond_measure_only_the_start_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_LINE_BYTES", 10)
    monkeypatch.setattr(files, "LONG_LINE_SHOWN", 4)

    read = list(numbered_lines(io.BufferedReader(io.BytesIO(b"a\n" + b"x" * 35 + b"\nb\n"))))

    assert read == [(1, b"a\n", 2), (2, b"xxxx", 36), (3, b"b\n", 2)]


@given(lines=st.lists(st.binary(max_size=30), max_size=6))
@settings(max_examples=100, deadline=None)
def test_numbers_count_every_line(lines: list[bytes]) -> None:
    data = b"\n".join(line.replace(b"\n", b"") for line in lines)
    if data.startswith(files.UTF16_BOMS):
        return

    numbers = [number for number, _ in lines_of(data)]

    assert all(later == earlier + 1 for earlier, later in pairwise(numbers))
    assert len(numbers) == data.count(b"\n") + bool(data.rpartition(b"\n")[2])


@given(
    data=st.lists(st.sampled_from([b"\n", b"\r\n", b"a", b"bc" * 9, codecs.BOM_UTF16_LE, b"\0"]), max_size=30),
    piece=st.integers(1, 12),
    most=st.integers(0, 60),
)
@settings(max_examples=300, deadline=None)
def test_lines_read_piece_by_piece_are_those_read_one_by_one(data: list[bytes], piece: int, most: int) -> None:
    text = b"".join(data)
    if text.startswith(files.UTF16_BOMS):
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "PIECE", piece)
        patch.setattr(files, "MOST_LINE_BYTES", 17)
        patch.setattr(files, "LONG_LINE_SHOWN", 5)

        found = list(stretches(io.BufferedReader(io.BytesIO(text)), most))
        one_by_one = list(numbered_lines(io.BufferedReader(io.BytesIO(text)), most))

    numbered = [(first + place, line) for first, lines, _ in found for place, line in enumerate(lines)]
    lengths = {first: length for first, _, length in found if length}
    assert [number for number, _ in numbered] == [number for number, _, _ in one_by_one]
    assert [line[:5] for _, line in numbered] == [line.removesuffix(b"\n")[:5] for _, line, _ in one_by_one]
    assert all(len(line) == 5 if number in lengths else len(line) < 17 for number, line in numbered)
    ended = {number: length for number, line, length in one_by_one if length >= 17}
    assert set(ended) <= set(lengths)
    assert all(lengths[number] - length in {0, 1} for number, length in ended.items())


@pytest.mark.parametrize(
    ("head", "said"),
    [
        pytest.param(b"PK\x03\x04rest", "Excel", id="a workbook"),
        pytest.param(b"\x1f\x8b\x08", ".gz", id="gzip"),
        pytest.param(b"\x28\xb5\x2f\xfd", ".zst", id="zstd"),
        pytest.param(b"PAR1", ".parquet", id="Parquet"),
        pytest.param(b"%PDF-1.7", "PDF", id="PDF"),
        pytest.param(b"ab\0cd\n", "binary", id="a NUL in the first line"),
        pytest.param('{"a":1}\n'.encode("utf-16-le"), "UTF-16 without a mark", id="UTF-16 without a mark"),
    ],
)
def test_a_file_that_is_no_text_is_called_by_its_name(head: bytes, said: str) -> None:
    assert said in (kind_of(head) or "")


@pytest.mark.parametrize(
    "head",
    [b'{"prompt":"hi"}\n', b"", "晚上好\n".encode(), '{"a":1}\n'.encode("utf-16"), b'{"a":1}\n{"b":"\0"}\n', b"\xff\xff\n"],
)
def test_a_text_is_a_text(head: bytes) -> None:
    assert kind_of(head) is None
