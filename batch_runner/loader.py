"""Input files -> PromptRow | Rejected, streaming. A row's id is its own, or made from what it asks."""

from __future__ import annotations

import glob
import os
import sys
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol, Self

import orjson

from batch_runner.blocks import in_blocks
from batch_runner.complaints import start_of
from batch_runner.failures import CannotStart
from batch_runner.files import HEAD_BYTES, MOST_LINE_BYTES, PACKED, kind_of, open_input, stretches, told_when_unreadable
from batch_runner.forms import AS_IT_COMES, Unusable, read_line
from batch_runner.identity import id_from_content, id_from_line
from batch_runner.json_text import loads_leniently
from batch_runner.records import PromptRow, Rejected
from batch_runner.tables import csv_records, parquet_records

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from batch_runner.forms import Asked, Shape

STDIN = "-"

BLOCK_LINES = 1024
BLOCK_BYTES = 4 * 1024 * 1024

RUN_LINE_START = b'{"id":"","status":"run",'
"""How an output of ours opens; an input that opens so was meant for something else."""


class Line(NamedTuple):
    """One input line, not yet read."""

    text: bytes
    source: str
    id: str | None = None
    """Set where the row's id is known beforehand: a line kept in an output."""
    complaint: str = ""
    """Why it is no row, where its file already shows that."""


class Block(NamedTuple):
    """Lines that follow each other, not yet read: as many as come at once."""

    texts: list[bytes]
    name: str = ""
    """Of the file in which they stand."""
    numbers: Sequence[int] = ()
    known: list[Line] | None = None
    """The lines, where there is more to tell of one than its text and its place."""

    @classmethod
    def of(cls, lines: list[Line]) -> Self:
        """A block of such lines."""
        return cls([line.text for line in lines], known=lines)

    def line(self, place: int) -> Line:
        """One of them."""
        return Line(self.texts[place], f"{self.name}:{self.numbers[place]}") if self.known is None else self.known[place]

    def lines(self) -> list[Line]:
        """All of them."""
        if self.known is not None:
            return self.known
        return [Line(text, f"{self.name}:{number}") for text, number in zip(self.texts, self.numbers, strict=True)]

    def first(self, most: int) -> Block:
        """The first `most` of them."""
        return Block(self.texts[:most], self.name, self.numbers[:most], None if self.known is None else self.known[:most])


class Draft(NamedTuple):
    """One input line, read. Where it brought no id of its own, the id is made from its content, not yet numbered."""

    line: Line
    asked: Asked | Unusable
    id: str
    own_id: bool

    @property
    def row(self) -> PromptRow | Rejected:
        """The row that the line is."""
        line, asked = self.line, self.asked
        if isinstance(asked, Unusable):
            return Rejected(self.id, line.source, line.text, asked.reason)
        text = asked.asks["messages"][0]["content"] if asked.plain else None
        return PromptRow(self.id, line.source, line.text, asked.asks, asked.as_written, asked.extra, text)


class RowSource(Protocol):
    """Something that gives the lines of a run, in the same order each time it is asked: once to plan, once to send."""

    def lines(self) -> Iterator[Line]:
        """Every line that isn't blank."""
        ...


class InputFile(NamedTuple):
    """A file of prompts and the name it goes by in results and messages."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class InputFiles:
    """The rows of files, one file after the other. Each file is read as far as it reached when it was first looked at."""

    files: tuple[InputFile, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, files: Iterable[InputFile]) -> InputFiles:
        """Look at `files`; raises `CannotStart` when one can't be read."""
        files = tuple(files)
        return cls(files, tuple(_size(file) for file in files))

    @property
    def plain_bytes(self) -> int | None:
        """How many bytes the lines have together; `None` where a file isn't made of them, or is packed."""
        plain = all(form_of(file.path) in {"jsonl", "txt"} and file.path.suffix not in PACKED for file in self.files)
        return sum(self.sizes) if plain else None

    def moved(self, path: Path, to: Path) -> InputFiles:
        """The same, after the file at `path` was moved."""
        return InputFiles(tuple(file._replace(path=to) if file.path == path else file for file in self.files), self.sizes)

    def lines(self) -> Iterator[Line]:
        """Every line that isn't blank."""
        for block in self.blocks():
            yield from block.lines()

    def blocks(self) -> Iterator[Block]:
        """The same, as many at once as come together."""
        for file, size in zip(self.files, self.sizes, strict=True):
            with told_when_unreadable(file.name):
                yield from _blocks(file, size)


def draft(line: Line, shape: Shape = AS_IT_COMES) -> Draft:
    """Read one line."""
    asked = Unusable(None, line.complaint) if line.complaint else read_line(line.text, shape)
    if (own_id := line.id or asked.id) is not None:
        return Draft(line, asked, own_id, True)
    made = id_from_line(line.text) if isinstance(asked, Unusable) else id_from_content(asked.known_by)
    return Draft(line, asked, made, False)


def find_inputs(arguments: Iterable[str]) -> tuple[list[InputFile], list[str]]:
    """The files that `arguments` (paths and globs) name, each once, without outputs of ours, and the names of those left out.

    Raises `CannotStart` when an argument names nothing, and when nothing but outputs is named.
    """
    named = list({os.path.realpath(file.path): file for argument in arguments for file in _matches(argument)}.values())
    ours = [file for file in named if _opens_like_an_output(file)]
    if ours and len(ours) == len(named):
        raise CannotStart(f"{ours[0].name} is an output of batch-runner, not an input; to send its failed rows again: batch-runner retry {ours[0].name}")  # fmt: skip # noqa: E501
    return [file for file in named if file not in ours], [file.name for file in ours]


def is_glob(argument: str) -> bool:
    """True for a pattern that no file goes by literally."""
    return glob.has_magic(argument) and not Path(argument).exists()


def copy_stdin(copy: Path) -> InputFile:
    """Take standard input whole into `copy` (zstd), so that it can be read twice. Raises `CannotStart` when nothing comes."""
    taken = 0
    with zstd.open(copy, "wb") as target:
        while block := sys.stdin.buffer.read(1 << 20):
            taken += target.write(block)
    if not taken:
        raise CannotStart("standard input is empty")
    return InputFile(copy, "stdin")


def _matches(argument: str) -> list[InputFile]:
    if is_glob(argument):
        found = sorted(path for path in glob.glob(argument, recursive=True) if Path(path).is_file())  # noqa: PTH207 - a pattern may be absolute
        if not found:
            raise CannotStart(f"{argument}: no file matches")
        return [InputFile(Path(path), path) for path in found]
    path = Path(argument)
    if path.is_dir():
        raise CannotStart(f"{argument} is a folder; to send what is in it: '{argument.rstrip('/')}/*.jsonl'")
    if not path.exists():
        raise CannotStart(f"{argument}: there is no such file")
    if not path.is_file():
        raise CannotStart(f"{argument} isn't a file that can be read twice; pipe it in: … | batch-runner run - -o OUT")
    return [InputFile(path, argument)]


def _opens_like_an_output(file: InputFile) -> bool:
    """Look at how a file begins: true for an output of ours. Raises `CannotStart` for what can't be a prompt file."""
    form = form_of(file.path)
    if form == "parquet":
        return False
    with told_when_unreadable(file.name), open_input(file.path) as stream:
        head = stream.read(HEAD_BYTES)
    if (kind := kind_of(head)) is not None:
        raise CannotStart(f"{file.name} is {kind}")
    if form == "jsonl" and (start := head.split(b"\n", 1)[0].strip()) in {b"[", b"{"}:
        query = ".[]" if start == b"[" else "."
        raise CannotStart(
            f"{file.name} is one JSON text over many lines; a row is a line: jq -c '{query}' {file.name} > rows.jsonl",
        )
    return head.startswith(RUN_LINE_START)


def _size(file: InputFile) -> int:
    try:
        return sys.maxsize if file.path.suffix in PACKED else file.path.stat().st_size
    except OSError as error:
        raise CannotStart(f"{file.name}: can't be read: {error.strerror}") from None


def form_of(path: Path) -> str:
    """What a file holds, by its name without `.gz` or `.zst`: `jsonl` unless that ends in .txt, .csv, .tsv or .parquet."""
    suffix = Path(path.stem).suffix if path.suffix in PACKED else path.suffix
    form = suffix.lower().removeprefix(".")
    return form if form in {"txt", "csv", "tsv", "parquet"} else "jsonl"


def _blocks(file: InputFile, size: int) -> Iterator[Block]:
    form = form_of(file.path)
    if form == "parquet":
        if file.path.suffix in PACKED:
            raise CannotStart(f"{file.name}: a Parquet file is packed inside already: unpack it first")
        yield from _tabled(parquet_records(file.path, file.name), file.name)
        return
    with open_input(file.path) as stream:
        if form == "jsonl":
            yield from _json_blocks(stream, size, file.name)
        elif form == "txt":
            yield from blocks_of(_text_lines(stream, size, file.name))
        else:
            yield from _tabled(csv_records(stream, size, file.name, "\t" if form == "tsv" else ""), file.name)


def _tabled(records: Iterable[tuple[int, bytes, str]], name: str) -> Iterator[Block]:
    return blocks_of(Line(row, f"{name}:{number}", None, complaint) for number, row, complaint in records)


def blocks_of(lines: Iterable[Line]) -> Iterator[Block]:
    """Lines by the hundred, fewer where they are long."""
    return map(Block.of, in_blocks(lines, lambda line: len(line.text), most=BLOCK_LINES, most_bytes=BLOCK_BYTES))


def _json_blocks(stream: IO[bytes], size: int, name: str) -> Iterator[Block]:
    """Lines that aren't blank; CRLF is tolerated."""
    for first, lines, length in stretches(stream, size):
        texts = [line.strip(b" \t\r") for line in lines]
        if length:
            yield Block.of([Line(texts[0], f"{name}:{first}", None, _too_long(texts[0], length))])
        elif all(texts):
            yield Block(texts, name, range(first, first + len(texts)))
        elif any(texts):
            numbers = [number for number, text in enumerate(texts, start=first) if text]
            yield Block([text for text in texts if text], name, numbers)


def _text_lines(stream: IO[bytes], size: int, name: str) -> Iterator[Line]:
    """Each line that isn't blank as a JSON text; a file whose first line is a JSON object is JSON Lines under another name."""
    rows = chain.from_iterable(map(Block.lines, _json_blocks(stream, size, name)))
    first = next(rows, None)
    if first is None:
        return
    if first.text.startswith(b"{") and isinstance(loads_leniently(first.text), dict):
        yield from chain([first], rows)
        return
    for row in chain([first], rows):
        if row.complaint:
            yield row
            continue
        try:
            yield row._replace(text=orjson.dumps(row.text.decode()))
        except UnicodeDecodeError as wrong_byte:
            where = f"not UTF-8 at byte {wrong_byte.start + 1}: convert the file with iconv: {start_of(row.text)}"
            yield row._replace(complaint=where)


def _too_long(start: bytes, length: int) -> str:
    most = MOST_LINE_BYTES // 1024**2
    return f"the line has {length:,} bytes, {most} MiB is the most; is a line end missing? It starts {start_of(start)}"
