"""Keeps a second run off an output: `flock` on `OUT.lock`, which is never removed and is never OUT itself.

A lock on OUT would be lost when compaction replaces the file, a POSIX lock when any other handle on it is closed, and a
lock file that is removed lets a third run in beside the second. The kernel frees this one when its holder dies.

Some network file systems have no such lock, or one that other machines don't see. So the heartbeat is looked at besides.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from batch_runner.clock import timestamp
from batch_runner.failures import CannotStart, OutputBusy
from batch_runner.output.heartbeat import STALE_SECONDS, heartbeat_path, is_ours, may_live, read_heartbeat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})
"""What a file system without locks says."""


def lock_path(output: Path) -> Path:
    """The lock file of an output whose symlinks have been resolved."""
    return output.with_name(output.name + ".lock")


@contextmanager
def lock(output: Path, *, by_kernel: bool = True, what: str = "") -> Iterator[None]:
    """Hold the output, or `what` else. Raises `OutputBusy`, naming the holder, or `CannotStart` where no lock can be taken.

    `by_kernel=False`, for file systems without locks: only the heartbeat of another run keeps this one off.
    """
    path = lock_path(output)
    holder = FileLock(path, timeout=0, thread_local=False, fallback_to_soft=False, preserve_lock_file=True)
    try:
        _make(path)
        if by_kernel:
            holder.acquire()
    except Timeout:
        raise OutputBusy(f"{what or output} is held by another run{_holder(path)}") from None
    except (OSError, NotImplementedError) as error:
        raise CannotStart(_why_not(path, error)) from None
    try:
        _check_heartbeat(output, path, by_kernel=by_kernel)
        with suppress(OSError):  # on a full disk the holder has no name
            path.write_text(json.dumps(_me()), encoding="utf-8")
        yield
    finally:
        holder.release()


def _make(path: Path) -> None:
    """Make sure the lock file is there: what hinders that is an error here, and would be a time-out in filelock."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666))


def _why_not(path: Path, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno not in NO_LOCKS:
        return f"{path}: can't be locked: {error.strerror or error}"
    return (
        f"{path}: this file system has no locks ({getattr(error, 'strerror', None) or error}): make sure that no other run uses "
        "the output, on other machines too, and add --no-lock"
    )


def _check_heartbeat(output: Path, path: Path, *, by_kernel: bool) -> None:
    """Raise `OutputBusy` when a run that no lock keeps off beats still: on another machine, or without locks on this one."""
    beat = read_heartbeat(output)
    if not may_live(beat) or (is_ours(beat) and by_kernel):
        return
    age = _age(output, path)
    if age < STALE_SECONDS:
        raise OutputBusy(
            f"{output} is held by another run (process {beat.get('pid')} on {beat.get('host')} since {beat.get('started')}, "
            f"last heard of {max(0.0, age):.0f} s ago; if it is dead, its output is free in {STALE_SECONDS - age:.0f} s)"
        )


def _age(output: Path, path: Path) -> float:
    """Seconds since the heartbeat was written. Both times come from the file system: other machines' clocks may be wrong."""
    try:
        os.utime(path)
        return path.stat().st_mtime - heartbeat_path(output).stat().st_mtime
    except OSError:
        return STALE_SECONDS


def _me() -> dict[str, object]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": timestamp(time.time())}


def _holder(path: Path) -> str:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return f" (process {told['pid']} on {told['host']} since {told['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
