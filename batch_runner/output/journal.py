"""Appends lines to an output so that what was received is never lost.

`await journal.append(line)` returns when the line is written: a killed process loses nothing that was acknowledged. One
thread writes whatever has gathered in one `write`, then syncs it in one `fdatasync`, so a slow disk holds up lines and
never the event loop. Power loss costs at most `SYNC_SECONDS`; `append(line, synced=True)` waits for the disk.

After a failed write nothing more is written: what stands after a torn line can't be trusted. The next run cuts it off.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Self

from batch_runner.failures import CannotStart, OutputLost
from batch_runner.output.file import sync_folder, sync_to_disk

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

SYNC_SECONDS = 0.5


class Journal:
    """An output open for appending; a context manager. The caller holds its lock.

    `whole`: bytes up to the end of its last whole line, as its index tells; what stands after it is torn.
    """

    def __init__(self, path: Path, whole: int) -> None:
        self.path = path
        self._whole = whole
        self.lost: OSError | None = None
        """The error after which nothing could be written any more."""
        self.lines_lost = 0
        """Lines that were to be appended after that."""
        self._waiting: deque[tuple[bytes, bool, Future[None]]] = deque()
        self._something = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise CannotStart(f"{self.path}: can't be written: {error.strerror}") from None
        try:
            self._repair()
            sync_folder(self.path.parent)
        except (OSError, CannotStart) as error:
            os.close(self._file)
            raise CannotStart(f"{self.path}: {error}") from None
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._something:
            self._closing = True
            self._something.notify()
        self._thread.join()
        os.close(self._file)

    @property
    def in_place(self) -> bool:
        """False when the file that is written isn't the one at `path` any more."""
        try:
            return os.path.samestat(os.fstat(self._file), self.path.stat())
        except OSError:
            return False

    async def append(self, line: bytes, *, synced: bool = False) -> None:
        r"""Write `line`, which ends in `\\n`; with `synced`, wait until it is on the disk. Raises `OutputLost`."""
        written: Future[None] = Future()
        with self._something:
            self._waiting.append((line, synced, written))
            self._something.notify()
        await asyncio.wrap_future(written)

    def _repair(self) -> None:
        r"""Cut off what stands after the last whole line; give that line the `\n` it may lack."""
        size = os.fstat(self._file).st_size
        if size < self._whole:
            raise CannotStart("somebody else changed it since it was read: run again")
        if size > self._whole:
            os.ftruncate(self._file, self._whole)
        if self._whole and os.pread(self._file, 1, self._whole - 1) != b"\n":
            os.write(self._file, b"\n")

    def _work(self) -> None:
        unsynced_since: float | None = None
        while True:
            batch = self._next_batch(unsynced_since)
            if batch is None:
                break
            now = time.monotonic()
            if batch and self._write(batch) and unsynced_since is None:
                unsynced_since = now
            due = unsynced_since is not None and now - unsynced_since >= SYNC_SECONDS
            if due or any(synced for _, synced, _ in batch):
                self._sync()
                unsynced_since = None
            _settle([written for _, synced, written in batch if synced], self.lost)
        if unsynced_since is not None:
            self._sync()

    def _next_batch(self, unsynced_since: float | None) -> list[tuple[bytes, bool, Future[None]]] | None:
        """What has gathered; empty when a sync is due first; `None` when the journal closes."""
        with self._something:
            wait = None if unsynced_since is None else max(0.0, unsynced_since + SYNC_SECONDS - time.monotonic())
            self._something.wait_for(lambda: self._waiting or self._closing, wait)
            batch = list(self._waiting)
            self._waiting.clear()
            return batch if batch or not self._closing else None

    def _write(self, batch: list[tuple[bytes, bool, Future[None]]]) -> bool:
        if self.lost is None:
            try:
                _write_whole(self._file, b"".join(line for line, _, _ in batch))
            except OSError as error:
                self.lost = error
        if self.lost is not None:
            self.lines_lost += len(batch)
        _settle([written for _, synced, written in batch if not synced], self.lost)
        return self.lost is None

    def _sync(self) -> None:
        if self.lost is None:
            try:
                sync_to_disk(self._file)
            except OSError as error:
                self.lost = error


def _write_whole(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _settle(futures: list[Future[None]], lost: OSError | None) -> None:
    for future in futures:
        if not future.set_running_or_notify_cancel():
            continue  # whoever waited has left; the line is written all the same
        if lost is None:
            future.set_result(None)
        else:
            future.set_exception(OutputLost(lost.strerror or str(lost)))
