"""CSV, TSV and Parquet rows as JSON lines: from here on a table is a JSONL file like any other."""

from __future__ import annotations

import base64
import csv
from collections import deque
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import orjson

from batch_runner.complaints import start_of
from batch_runner.failures import CannotStart
from batch_runner.files import MOST_LINE_BYTES, numbered_lines
from batch_runner.forms import BATCH_FIELDS, CONVERSATION, OURS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DELIMITERS = ",;\t|"
"""What spreadsheets put between cells: a semicolon where the comma is the decimal mark. At a tie the first counts."""

NOT_TEXT = frozenset({"messages", CONVERSATION, "params", "tools", "response_format", "max_completion_tokens", "body"})
"""Columns whose cells are JSON, if they can be read so."""

MAY_BE_EMPTY = OURS | BATCH_FIELDS | NOT_TEXT
"""Columns that mean something to us: an empty cell there is as good as none. In a column of the user's it is an empty text."""

PARQUET_ROWS_AT_ONCE = 1024

MOST_PUT_BACK = 1_000_000
"""Lines that are read again behind broken quotes, before the whole file is given up."""


class Record(NamedTuple):
    """One row of a table."""

    number: int
    """The line where it starts, in a Parquet file the row; both from 1."""
    line: bytes
    """The row as a JSON object; where there is a complaint, as it stands in the file."""
    complaint: str = ""
    """Why it can't be read."""


class _Read:
    """The lines of a CSV file as the reader takes them, those of the record at hand kept for a complaint."""

    def __init__(self, stream: IO[bytes], most: int, name: str) -> None:
        self._lines = numbered_lines(stream, most)
        self._name = name
        self._back: deque[bytes] = deque()
        self._put_back = 0
        self.number = 0
        """Of the line taken last."""
        self.taken: list[bytes] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.number += 1
        line = self._back.popleft() if self._back else self._next_line()
        self.taken.append(line)
        return line.decode("utf-8", "surrogateescape")

    def put_back(self, lines: list[bytes]) -> None:
        """Take `lines`, the last ones taken, once more."""
        self._put_back += len(lines)
        if self._put_back > MOST_PUT_BACK:
            raise CannotStart(f"{self._name}:{self.number}: too many quotes are left open; is it a CSV file?")
        self.number -= len(lines)
        self._back.extendleft(reversed(lines))

    def _next_line(self) -> bytes:
        try:
            _, line, length = next(self._lines)
        except StopIteration:
            self.number -= 1
            raise
        if length > MOST_LINE_BYTES:
            raise CannotStart(f"{self._name}:{self.number}: a line of {length:,} bytes; is it a CSV file?")
        return line


def csv_records(stream: IO[bytes], most: int, name: str, delimiter: str = "") -> Iterator[Record]:
    """The rows of a CSV file below its header. Raises `CannotStart` for a header that can't be one.

    A row that can't be read comes with its complaint.
    """
    csv.field_size_limit(MOST_LINE_BYTES)
    read = _Read(stream, most, name)
    first = next(read, "")
    told = first.strip().lower().removeprefix("sep=") if first.lower().startswith("sep=") else ""
    if told:  # Excel's own way to say it
        first = next(read, "")
    read.put_back(read.taken[-1:])
    reader = csv.reader(read, delimiter=told or delimiter or _likely_delimiter(first), strict=True)
    header = _header(reader, f"{name}:{max(read.number, 1)}")
    while True:
        read.taken.clear()
        start = read.number + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            if "field limit" in str(error):
                raise CannotStart(f"{name}:{start}: a quote opens in this row and isn't closed within 32 MiB") from None
            yield Record(start, b"".join(read.taken), _unread(read.taken, error))
            if len(header) > 1:  # rows of a single column couldn't be told from the rest of the broken one
                read.put_back(read.taken[1:])
            continue
        if cells is None:
            return
        if cells:
            yield _record(start, cells, header, read.taken)


def parquet_records(path: Path, name: str) -> Iterator[Record]:
    """The rows of a Parquet file, a thousand at a time. Raises `CannotStart` where pyarrow is missing or can't read it."""
    try:
        from pyarrow import parquet  # noqa: PLC0415 - an extra, 171 MB
    except ImportError:
        raise CannotStart(f"{name}: Parquet needs pyarrow: pip install 'batch-runner[parquet]'") from None
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=PARQUET_ROWS_AT_ONCE):
                for row in batch.to_pylist():
                    number += 1
                    yield Record(number, orjson.dumps(row, default=_as_json, option=orjson.OPT_NON_STR_KEYS))
    except (OSError, ValueError, TypeError) as error:
        raise CannotStart(f"{name}: can't be read beyond row {number}: {str(error).splitlines()[0]}") from None


def _likely_delimiter(header: str) -> str:
    """The one that splits the header into most cells."""

    def cells(mark: str) -> int:
        try:
            return len(next(csv.reader([header], delimiter=mark), []))
        except csv.Error:
            return 0

    return max(DELIMITERS, key=cells)


def _header(reader: Iterator[list[str]], place: str) -> list[str]:
    try:
        cells = next(reader, [])
    except csv.Error as error:
        raise CannotStart(f"{place}: the header can't be read: {error}") from None
    columns = [cell.strip() or f"column {number}" for number, cell in enumerate(cells, start=1)]
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise CannotStart(f"{place}: the header names {twice[0]!r} twice: each column needs a name of its own")
    if any("\udc80" <= character <= "\udcff" for column in columns for character in column):
        raise CannotStart(f"{place}: not UTF-8: save it as 'CSV UTF-8', or convert it: iconv -f CP1252 -t UTF-8")
    return columns


def _record(start: int, cells: list[str], header: list[str], taken: list[bytes]) -> Record:
    if len(cells) != len(header):
        many = f"{len(cells)} cell{'s' if len(cells) > 1 else ''}, the header names {len(header)}"
        return Record(start, b"".join(taken), f"{many}: a text with a delimiter or a line break needs quotes around it")
    row = {column: _cell(column, cell) for column, cell in zip(header, cells, strict=True) if cell or column not in MAY_BE_EMPTY}
    try:
        return Record(start, orjson.dumps(row))
    except TypeError:  # a byte that is no UTF-8 came along as a lone surrogate
        raw = b"".join(taken)
        return Record(start, raw, f"not UTF-8: save it as 'CSV UTF-8', or convert it with iconv: {start_of(raw)}")


def _cell(column: str, cell: str) -> Any:
    if column not in NOT_TEXT:
        return cell
    try:
        return orjson.loads(cell)
    except orjson.JSONDecodeError:
        return cell


def _unread(taken: list[bytes], error: csv.Error) -> str:
    if "unexpected end" in str(error):
        return f"a quote opens in this row and is never closed: {start_of(taken[0])}"
    return f"not CSV ({error}): {start_of(b''.join(taken))}"


def _as_json(value: Any) -> Any:
    """What JSON has no word for: bytes as text if they are, else in base64; numbers and times of other kinds as they print."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    return str(value)
