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


def opens_as_ours(file: IO[bytes], path: Path) -> bool:
    """False for a file without one whole line of ours: empty, or torn while its first line was written.

    Raises `CannotStart` for any other file that doesn't open with a run line. Leaves `file` at its start.
    """
    first = file.readline()
    file.seek(0)
    if first.startswith(RUN_LINE_START) and first.endswith(b"\n"):
        return True
    if first.startswith(RUN_LINE_START) or RUN_LINE_START.startswith(first):
        return False
    raise CannotStart(f"{path} wasn't made by batch-runner, so it stays as it is: name another output with -o")


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


def sync_folder(path: Path) -> None:
    """Make sure that the names of the files in a folder survive a power loss too."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
