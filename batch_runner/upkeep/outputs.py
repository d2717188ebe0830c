"""What the commands that look after outputs share: finding one, holding it, and its last run."""

from __future__ import annotations

import glob
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from batch_runner.failures import CannotStart
from batch_runner.loader import is_glob
from batch_runner.output.history import History, hold
from batch_runner.output.packed import packed_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from batch_runner.output.lines import Run


@contextmanager
def held_output(name: str | Path) -> Iterator[tuple[History, Run]]:
    """An output that is there, kept from every run, symlinks resolved; and its last run line.

    Raises `OutputBusy` while a run holds it, `CannotStart` when it isn't an output.
    """
    path = existing(name)
    with hold(path) as history:
        yield history, last_run(history)


def existing(name: str | Path) -> Path:
    """The file of that name, or the packed form of it, symlinks resolved. Raises `CannotStart` when there is neither."""
    path = Path(os.path.realpath(name))
    if not path.exists() and packed_path(path).is_file():
        return packed_path(path)
    if not path.is_file():
        raise CannotStart(f"{name}: {'that is no file' if path.exists() else 'there is no such output'}")
    return path


def named(words: Iterable[str]) -> list[str]:
    """The files that names and patterns mean, in order. Raises `CannotStart` for a pattern that no file goes by."""
    found: list[str] = []
    for word in words:
        matches = sorted(glob.glob(word, recursive=True)) if is_glob(word) else [word]  # noqa: PTH207 - as in loader
        if not matches:
            raise CannotStart(f"{word}: no file matches")
        found += matches
    return found


def last_run(history: History) -> Run:
    """The last run line. Raises `CannotStart` for an output that holds nothing."""
    if history.index.last_run is None:
        raise CannotStart(f"{history.path}: there is nothing in it")
    return history.index.last_run
