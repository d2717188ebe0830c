"""The output as a file: opening it, its whole lines, getting it onto the disk."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING

import orjson

from batch_runner.failures import CannotStart
from batch_runner.loader import RUN_LINE_START

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NUL = b"\0"
INPUT_ENDINGS = (".zst", ".gz", ".jsonl", ".ndjson", ".json", ".txt", ".csv", ".tsv", ".parquet")
"""What the name of an output leaves out of its input's, in this order."""

sync_to_disk = getattr(os, "fdatasync", os.fsync)
"""macOS has no `fdatasync`."""

READ_BYTES = 256 * 1024
"""How much of an output is read at once."""


def open_output(path: Path) -> IO[bytes] | None:
    """The output at `path`, open for reading; `None` when there is none. Raises `CannotStart` when it can't be read."""
    try:
        return path.open("rb", buffering=READ_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CannotStart(f"{path}: can't be read: {error.strerror}") from None


def default_output(source: Path) -> Path:
    """`NAME.results.jsonl` beside an input."""
    stem = source.name
    for ending in INPUT_ENDINGS:
        stem = stem.removesuffix(ending)
    return source.with_name(f"{stem}.results.jsonl")


def opens_as_ours(file: IO[bytes], path: Path) -> bool:
    """False for a file without one whole line of ours: empty, or torn while its first line was written.

    Raises `CannotStart` for any other file that doesn't open with a run line. Leaves `file` at its start.
    """
    first = file.readline()
    file.seek(0)
    if not first.strip(NUL):  # a crashed file system can leave a file its length and nothing else
        return False
    if first.startswith(RUN_LINE_START) and first.endswith(b"\n"):
        return True
    if first.startswith(RUN_LINE_START) or RUN_LINE_START.startswith(first):
        return False
    beside = default_output(path)
    hint = f"did you mean {beside}?" if beside.exists() else "name another output"
    raise CannotStart(f"{path} wasn't made by batch-runner, so it stays as it is: {hint}")


def whole_lines(file: IO[bytes], offset: int = 0) -> Iterator[tuple[int, bytes]]:
    r"""Every line from `offset` on, with the offset it starts at. A last line without its `\n` counts when it parses, else
    it is torn.
    """
    file.seek(offset)
    for line in file:
        if is_torn(line):
            return
        yield offset, line
        offset += len(line)


def is_torn(line: bytes) -> bool:
    r"""True for the last line of a file when it lacks more than its `\n`."""
    if line.endswith(b"\n"):
        return False
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return True
    return False


def ended(line: bytes) -> bytes:
    r"""A line with the `\n` it may lack."""
    return line if line.endswith(b"\n") else line + b"\n"


def is_sound(line: bytes) -> bool:
    """False for a line that a disk has damaged in a way that shows without parsing it: NULs, or text that isn't UTF-8."""
    if NUL in line:
        return False
    if line.isascii():
        return True
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def repair(file: int, whole: int) -> None:
    r"""Cut off what stands after the last whole line, `whole` bytes into the file; give that line the `\n` it may lack.

    Raises `CannotStart` when the file is shorter than that.
    """
    size = os.fstat(file).st_size
    if size < whole:
        raise CannotStart("somebody else changed it since it was read: run again")
    if size > whole:
        os.ftruncate(file, whole)
    if whole and os.pread(file, 1, whole - 1) != b"\n":
        write_whole(file, b"\n")


def write_whole(file: int, data: bytes) -> None:
    """Write all of `data`: one `write` may take less."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def sync_folder(path: Path) -> None:
    """Make sure that the names of the files in a folder survive a power loss too."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
