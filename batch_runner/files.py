"""An input file as numbered lines of UTF-8: unpacked, UTF-16 turned round, and refused by name when it is no text."""

from __future__ import annotations

import codecs
import gzip
import io
import sys
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from batch_runner.failures import CannotStart

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PACKED = (".gz", ".zst")
UTF8_BOM = codecs.BOM_UTF8
UTF16_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

MOST_LINE_BYTES = 32 * 1024 * 1024
"""A longer line is passed over unread: more than any service takes, and a file without line ends must not fill the memory."""

LONG_LINE_SHOWN = 4096

PIECE = 256 * 1024
"""So much of a file is read at once: what is made of it lies in the processor's cache still when it is needed."""

HEAD_BYTES = 8192
"""What is looked at to see what a file is."""

KINDS = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook: unpack it, or save the sheet as 'CSV UTF-8'"),
    (b"\x1f\x8b", "packed with gzip: give it a name that ends in .gz"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd: give it a name that ends in .zst"),
    (b"BZh", "packed with bzip2: unpack it first, or pipe it in: bzcat … | batch-runner run - -o OUT"),
    (b"\xfd7zXZ", "packed with xz: unpack it first, or pipe it in: xzcat … | batch-runner run - -o OUT"),
    (b"PAR1", "a Parquet file: give it a name that ends in .parquet"),
    (b"%PDF-", "a PDF: take its text out first"),
    (b"SQLite format 3", "an SQLite database: write its rows as JSON Lines first, sqlite3 -json … | jq -c '.[]'"),
)
"""How files open that people take for prompt files, and what to do with them."""


def open_input(path: Path) -> IO[bytes]:
    """A file as bytes, unpacked when its name ends in `.gz` or `.zst`."""
    if path.suffix == ".gz":
        return io.BufferedReader(gzip.open(path, "rb"))
    if path.suffix == ".zst":
        return io.BufferedReader(zstd.open(path, "rb"))
    return path.open("rb")


@contextmanager
def told_when_unreadable(name: str) -> Iterator[None]:
    """What a file system or an archive refuses is told in one line, as `CannotStart`."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise CannotStart(f"{name}: not {error.encoding} after all: {error.reason}; save it as UTF-8") from None
    except (OSError, EOFError, zlib.error, zstd.ZstdError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CannotStart(f"{name}: can't be read to its end: {reason}") from None


def kind_of(head: bytes) -> str | None:
    """What a file that opens with `head` is, if it is no text that can hold prompts, and what to do with it."""
    for opening, kind in KINDS:
        if head.startswith(opening):
            return kind
    if head.startswith(UTF16_BOMS):
        return None
    first = head.split(b"\n", 1)[0]
    if b"\0" in first:
        likely = first.count(b"\0") * 3 > len(first)
        return "UTF-16 without a mark: save it as UTF-8" if likely and first.isascii() else "a binary file: it has NUL bytes"
    return None


class Stretch(NamedTuple):
    """Lines that follow each other in a file, without their ends."""

    first: int
    """The number of the first."""
    lines: list[bytes]
    length: int = 0
    """Where it is one line beyond measure, of which the start is given: its bytes, its end included."""


def stretches(stream: IO[bytes], most: int = sys.maxsize) -> Iterator[Stretch]:
    r"""All lines, piece by piece, as far as the first `most` bytes reach: what `numbered_lines` gives one by one."""
    with _utf16(stream) as text:
        if text is None:
            yield from _stretches(stream.read, most)
        else:
            yield from _stretches(lambda size: text.read(size).encode(), sys.maxsize)


def _stretches(read: Callable[[int], bytes], left: int) -> Iterator[Stretch]:
    number, rest, let_go = 1, b"", 0
    while left > 0 and (piece := read(min(max(PIECE, len(rest)), left))):
        left -= len(piece)
        data = rest + (piece.removeprefix(UTF8_BOM) if number == 1 and not rest else piece)
        *lines, rest = data.split(b"\n")
        if let_go or len(data) >= MOST_LINE_BYTES:
            yield from _measured(number, lines, let_go)
        elif lines:
            yield Stretch(number, lines)
        number += len(lines)
        rest, let_go = _within_measure(rest, 0 if lines else let_go)
    ended = not rest
    while not ended and (piece := read(PIECE)):  # the end of a line that began in time
        head, end, _ = piece.partition(b"\n")
        rest, let_go = _within_measure(rest + head, let_go)
        ended = bool(end)
    if rest:
        yield from _measured(number, [rest], let_go)


def _within_measure(line: bytes, let_go: int) -> tuple[bytes, int]:
    """What has been read of a line, and how many bytes of it were let go: all but its start where it is beyond measure."""
    if len(line) < MOST_LINE_BYTES:
        return line, let_go
    return line[:LONG_LINE_SHOWN], let_go + len(line) - LONG_LINE_SHOWN


def _measured(number: int, lines: list[bytes], let_go: int) -> Iterator[Stretch]:
    """Each line by itself, of those beyond measure the start; `let_go` bytes of the first are gone already."""
    for place, line in enumerate(lines):
        length = len(line) + 1 + (0 if place else let_go)
        cut = length >= MOST_LINE_BYTES
        yield Stretch(number + place, [line[:LONG_LINE_SHOWN] if cut else line], length if cut else 0)


def numbered_lines(stream: IO[bytes], most: int = sys.maxsize) -> Iterator[tuple[int, bytes, int]]:
    r"""Each line with its number and its length in bytes, as far as the first `most` bytes reach.

    A line ends at `\\n` and nowhere else. Of one above `MOST_LINE_BYTES` only the start is given.
    """
    with _utf16(stream) as text:
        if text is None:
            yield from _numbered(stream.readline, most)
        else:
            yield from _numbered(lambda size: text.readline(size).encode(), sys.maxsize)


@contextmanager
def _utf16(stream: IO[bytes]) -> Iterator[io.TextIOWrapper | None]:
    """The text of a stream that opens as UTF-16 does; `None` for any other. The file is closed by whoever opened it."""
    buffered = cast("io.BufferedReader", stream)
    if buffered.peek(2)[:2] not in UTF16_BOMS:
        yield None
        return
    text = io.TextIOWrapper(buffered, "utf-16", newline="\n")
    try:
        yield text
    finally:
        text.detach()


def _numbered(read: Callable[[int], bytes], left: int) -> Iterator[tuple[int, bytes, int]]:
    number = 0
    while left > 0 and (line := read(MOST_LINE_BYTES)):
        number += 1
        if number == 1:
            line = line.removeprefix(UTF8_BOM)
        length = len(line)
        if length >= MOST_LINE_BYTES and not line.endswith(b"\n"):
            length += _passed_over(read)
            line = line[:LONG_LINE_SHOWN]
        left -= length
        yield number, line, length


def _passed_over(read: Callable[[int], bytes]) -> int:
    """Read to the end of the line; how many bytes that were."""
    length = 0
    while piece := read(MOST_LINE_BYTES):
        length += len(piece)
        if piece.endswith(b"\n"):
            break
    return length
