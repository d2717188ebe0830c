"""Keeps a second run off an output: `flock` on `OUT.lock`, which is never removed and is never OUT itself.

A lock on OUT would be lost when compaction replaces the file, a POSIX lock when any other handle on it is closed, and a
lock file that is removed lets a third run in beside the second. The kernel frees this one when its holder dies.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from batch_runner.failures import CannotStart, OutputBusy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def lock_path(output: Path) -> Path:
    """The lock file of an output whose symlinks have been resolved."""
    return output.with_name(output.name + ".lock")


@contextmanager
def lock(output: Path) -> Iterator[None]:
    """Hold the output. Raises `OutputBusy`, naming the holder, or `CannotStart` where no lock can be taken."""
    path = lock_path(output)
    holder = FileLock(path, timeout=0, thread_local=False, fallback_to_soft=False, preserve_lock_file=True)
    try:
        holder.acquire()
    except Timeout:
        raise OutputBusy(f"{output} is held by another run{_holder(path)}") from None
    except (OSError, NotImplementedError) as error:
        raise CannotStart(f"{path}: can't be locked: {error}") from None
    try:
        path.write_text(json.dumps(_me()), encoding="utf-8")
        yield
    finally:
        holder.release()


def _me() -> dict[str, object]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat(timespec="seconds")}


def _holder(path: Path) -> str:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return f" (process {told['pid']} on {told['host']} since {told['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
