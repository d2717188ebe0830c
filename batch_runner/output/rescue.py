"""Where answers go when their output takes them no more: a rescue file, and the way back from it.

A rescue file is an output like any other: a run line, rows, totals. The next run of the same output takes it in by itself.
"""

from __future__ import annotations

import glob
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batch_runner.output.file import opens_as_ours, repair, sync_folder, sync_to_disk, whole_lines, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MARK = ".rescue-"
ENDING = ".jsonl"
TAKEN_IN = ".taken-in"
"""What a rescue file's name ends in once all of it stands in its output."""


def rescue_folders(output: Path, named: str | None) -> tuple[Path, ...]:
    """Where a rescue file of `output` may stand, the best place first: as `named` or beside the output, at home, with the
    temporary files.
    """
    first = output.parent if named is None else Path(named).expanduser().absolute()
    folders = [first]
    with suppress(RuntimeError):  # somebody without a home
        folders.append(Path.home())
    with suppress(FileNotFoundError):  # no temporary folder takes a file
        folders.append(Path(tempfile.gettempdir()))
    return tuple(dict.fromkeys(folders))


@dataclass(frozen=True, slots=True)
class Rescue:
    """Where the lines of one run go when `output` can't take them."""

    output: Path
    run_id: str
    folders: tuple[Path, ...]

    def places(self, *, mistrusted: int | None) -> Iterator[Path]:
        """Files to try, in this order; those on the device `mistrusted` last."""
        for folder in sorted(self.folders, key=lambda folder: _device(folder) == mistrusted):
            yield folder / f"{self.output.name}{MARK}{self.run_id}{ENDING}"


def create(path: Path, beginning: Iterable[bytes]) -> int:
    """Make a rescue file that opens with these bytes, and get it onto the disk; its descriptor, for appending.

    Only its owner can read it: the folder may be everybody's. Raises `OSError`, and leaves nothing, when that fails.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        for piece in beginning:
            write_whole(file, piece)
        sync_to_disk(file)
        sync_folder(path.parent)
    except OSError:
        os.close(file)
        path.unlink(missing_ok=True)
        raise
    return file


def find_rescued(output: Path, run_id: str | None, folders: Iterable[Path]) -> list[Path]:
    """The rescue files of a run of `output`, or of any (`None`), that nobody has taken in, in the order they were written; only
    our own, other people may write to some folders.
    """
    which = "*" if run_id is None else glob.escape(run_id)
    pattern = f"{glob.escape(output.name)}{MARK}{which}{ENDING}"
    found = [path for folder in folders if os.path.isdir(folder) for path in folder.glob(pattern) if _is_mine(path)]  # noqa: PTH112 - Path.is_dir raises where nobody may look
    return sorted(found, key=lambda path: path.lstat().st_mtime)


def take_in(output: Path, whole: int, rescued: Path) -> int:
    """Append the lines of `rescued` to `output`, of which `whole` bytes are good; how many. The caller holds the lock.

    The rescue file stays, under a name of its own. Raises `OSError` when the output still takes nothing; then it can be tried
    again.
    """
    file = os.open(output, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        repair(file, whole)
        before = os.fstat(file).st_size
        try:
            taken = _append(file, rescued)
            sync_to_disk(file)
        except OSError:
            os.ftruncate(file, before)
            raise
    finally:
        os.close(file)
    rescued.rename(rescued.with_name(rescued.name.removesuffix(ENDING) + TAKEN_IN))
    return taken


def _append(file: int, rescued: Path) -> int:
    taken = 0
    with rescued.open("rb") as lines:
        if opens_as_ours(lines, rescued):
            for _, line in whole_lines(lines):
                write_whole(file, line if line.endswith(b"\n") else line + b"\n")
                taken += 1
    return taken


def _device(folder: Path) -> int | None:
    try:
        return folder.stat().st_dev
    except OSError:
        return None


def _is_mine(path: Path) -> bool:
    with suppress(OSError):
        return path.lstat().st_uid == os.getuid() and path.is_file() and not path.is_symlink()
    return False
