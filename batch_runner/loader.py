"""JSONL files -> PromptRow | Rejected, streaming. A row's id is its own, or made from what it asks."""

from __future__ import annotations

import glob
import gzip
import io
import os
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol

from batch_runner.failures import CannotStart
from batch_runner.forms import Unusable, read_line
from batch_runner.identity import id_from_content, id_from_line
from batch_runner.records import PromptRow, Rejected

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STDIN = "-"
PACKED = frozenset({".gz", ".zst"})
UTF8_BOM = b"\xef\xbb\xbf"
RUN_LINE_START = b'{"id":"","status":"run",'
"""How an output of ours opens; an input that opens so was meant for something else."""


class Line(NamedTuple):
    """One input line, not yet read."""

    text: bytes
    source: str
    id: str | None = None
    """Set where the row's id is known beforehand: a line kept in an output."""


class Draft(NamedTuple):
    """One input line, read. Where it brought no id of its own, the id is made from its content, not yet numbered."""

    row: PromptRow | Rejected
    own_id: bool


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
        """How many bytes the lines have together; `None` where a file is packed."""
        packed = any(file.path.suffix in PACKED for file in self.files)
        return None if packed else sum(self.sizes)

    def moved(self, path: Path, to: Path) -> InputFiles:
        """The same, after the file at `path` was moved."""
        return InputFiles(tuple(file._replace(path=to) if file.path == path else file for file in self.files), self.sizes)

    def lines(self) -> Iterator[Line]:
        """Every line that isn't blank."""
        for file, size in zip(self.files, self.sizes, strict=True):
            for number, text in _numbered_lines(file, size):
                yield Line(text, f"{file.name}:{number}")


def draft(line: Line) -> Draft:
    """Read one line."""
    asked = read_line(line.text)
    own_id = line.id or asked.id
    if isinstance(asked, Unusable):
        row_id = own_id or id_from_line(line.text)
        return Draft(Rejected(row_id, line.source, line.text, asked.reason), own_id is not None)
    row_id = own_id or id_from_content(asked.asks)
    return Draft(PromptRow(row_id, line.source, line.text, asked.asks, asked.as_written, asked.extra), own_id is not None)


def find_inputs(arguments: Iterable[str]) -> tuple[list[InputFile], list[str]]:
    """The files that `arguments` (paths and globs) name, each once, without outputs of ours, and the names of those left out.

    Raises `CannotStart` when an argument names nothing, and when nothing but outputs is named.
    """
    named = list({os.path.realpath(file.path): file for argument in arguments for file in _matches(argument)}.values())
    ours = [file for file in named if _opens_like_an_output(file.path)]
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


def open_input(path: Path) -> IO[bytes]:
    """A file as bytes, unpacked when its name ends in `.gz` or `.zst`."""
    if path.suffix == ".gz":
        return io.BufferedReader(gzip.open(path, "rb"))
    if path.suffix == ".zst":
        return io.BufferedReader(zstd.open(path, "rb"))
    return path.open("rb")


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


def _opens_like_an_output(path: Path) -> bool:
    try:
        with open_input(path) as file:
            return file.read(len(RUN_LINE_START)) == RUN_LINE_START
    except (OSError, EOFError, zlib.error, zstd.ZstdError) as error:
        raise CannotStart(f"{path}: can't be read: {error}") from None


def _size(file: InputFile) -> int:
    try:
        return file.path.stat().st_size
    except OSError as error:
        raise CannotStart(f"{file.name}: can't be read: {error.strerror}") from None


def _numbered_lines(file: InputFile, size: int) -> Iterator[tuple[int, bytes]]:
    try:
        with open_input(file.path) as stream:
            plain = file.path.suffix not in PACKED
            yield from _lines(stream, size if plain else sys.maxsize)
    except (OSError, EOFError, zlib.error, zstd.ZstdError) as error:
        raise CannotStart(f"{file.name}: can't be read to its end: {error}") from None


def _lines(stream: IO[bytes], left: int) -> Iterator[tuple[int, bytes]]:
    r"""Lines that aren't blank, with their numbers. A line ends at `\\n` and nowhere else; CRLF and a BOM are tolerated."""
    for number, line in enumerate(stream, start=1):
        if left <= 0:
            return  # what was added since the plan waits for the next run
        left -= len(line)
        text = line.removeprefix(UTF8_BOM) if number == 1 else line
        text = text.strip(b" \t\r\n")
        if text:
            yield number, text
