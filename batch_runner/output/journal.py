"""Appends lines to an output so that what was received is never lost.

`await journal.append(line)` returns when the line is written: a killed process loses nothing that was acknowledged. One
thread writes whatever has gathered in one `write`, then syncs it in one `fdatasync`, so a slow disk holds up lines and
never the event loop. Power loss costs at most `SYNC_SECONDS`; `append(line, synced=True)` waits for the disk.

A full disk is waited for; meanwhile lines stay in memory, and so does whoever handed them over. After any other error, or
when that wait is over, the output is left alone and everything that isn't safe in it goes on in a rescue file.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, Self

from batch_runner.failures import CannotStart
from batch_runner.loader import RUN_LINE_START
from batch_runner.output import rescue
from batch_runner.output.file import repair, sync_folder, sync_to_disk
from batch_runner.output.underway import Line, tell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from types import TracebackType

SYNC_SECONDS = 0.5

SPACE_SECONDS = 1.0
"""A full disk is tried again this often."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors that end when somebody makes room."""

COPY_BYTES = 1024 * 1024


class Stall(NamedTuple):
    """The disk is full: so many lines wait in memory, for so long at most."""

    reason: str
    lines: int
    seconds_left: float


class Journal:
    """An output open for appending; a context manager. The caller holds its lock.

    `whole`: bytes up to the end of its last whole line, as its index tells; what stands after it is torn. `refuge`: where
    lines go that the output can't take. `patience`: seconds that a full disk is waited for.
    """

    def __init__(self, path: Path, whole: int, *, refuge: rescue.Rescue | None = None, patience: float = 0.0) -> None:
        self.path = path
        self._whole = whole
        self.lost: OSError | None = None
        """The error after which nothing more was written to the output."""
        self.rescues: list[Path] = []
        """Where lines went after that; the last one is written now."""
        self.lines_lost = 0
        """Lines that were handed over and stand nowhere."""
        self.lines_doubtful = 0
        """Lines that were written, and never reached the disk for sure."""
        self._nowhere = False
        self._bug: Exception | None = None
        self._patience = patience
        self._deadline: float | None = None
        self._refuge = refuge
        self._opening = b""
        """The last run line that is on the disk: a rescue file opens with it. Before there is one, nothing has been sent."""
        self._run_line = b""
        """The last one that was written."""
        self._unsynced: list[bytes] = []
        self._unsynced_since: float | None = None
        self._gathered: list[Line] = []  # the event loop's
        self._waiting: deque[Line] = deque()
        self._at_hand: list[Line] = []
        self._lock = threading.Lock()
        self._something = threading.Condition(self._lock)
        self._asleep = self._closing = False
        self._no_more_waiting = threading.Event()
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise CannotStart(f"{self.path}: can't be written: {error.strerror}") from None
        try:
            repair(self._file, self._whole)
            sync_folder(self.path.parent)
            self._end = os.fstat(self._file).st_size
        except OSError as error:
            os.close(self._file)
            raise CannotStart(f"{self.path}: can't be written: {error.strerror}") from None
        except CannotStart as error:
            os.close(self._file)
            raise CannotStart(f"{self.path}: {error}") from None
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.wait_no_longer()  # whoever could wait has left
        self._hand_over()
        with self._lock:
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

    @property
    def removed(self) -> bool:
        """True when the output was lost because its file has no name any more."""
        return isinstance(self.lost, FileNotFoundError)

    @property
    def stall(self) -> Stall | None:
        """What waits while the disk is full."""
        deadline = self._deadline
        if deadline is None:
            return None
        return Stall("the disk is full", self.unwritten, max(0.0, deadline - time.monotonic()))

    @property
    def unwritten(self) -> int:
        """Lines that were handed over and aren't written yet."""
        with self._lock:
            return sum(bool(line.text) for line in (*self._at_hand, *self._waiting, *self._gathered))

    async def append(self, line: bytes, *, synced: bool = False) -> None:
        r"""Write `line`, which ends in `\\n`; with `synced`, wait until it is on the disk.

        Raises `OutputLost` when it could be kept nowhere.
        """
        loop = asyncio.get_running_loop()
        written = loop.create_future()
        if not self._gathered:
            loop.call_soon(self._hand_over)  # lines that come in one turn of the event loop wake the thread once
        self._gathered.append(Line(line, synced, written))
        await written

    def _hand_over(self) -> None:
        lines, self._gathered = self._gathered, []
        with self._lock:
            self._waiting += lines
            if self._asleep:
                self._asleep = False
                self._something.notify()
        if self._bug is not None:
            tell(lines, self._bug)

    async def room(self) -> None:
        """Wait until everything handed over so far is written: at once, but for a full disk. Raises as `append` does."""
        if self.stall is not None:
            await self.append(b"")

    def wait_no_longer(self) -> None:
        """From now on a full disk is an error like any other."""
        self._no_more_waiting.set()

    def _work(self) -> None:
        try:
            self._write_all()
        except Exception as bug:  # noqa: BLE001 - a thread that dies in silence would let the run wait for ever
            with self._lock:
                self._bug = bug
            tell([*self._at_hand, *self._waiting], bug)

    def _write_all(self) -> None:
        while (batch := self._next_batch()) is not None:
            kept = self._write(batch)
            if kept and (self._sync_is_due() or any(line.synced for line in batch)):
                kept = self._sync()
            tell(self._at_hand, None if kept else self.lost)
            self._at_hand = []
        self._sync()

    def _next_batch(self) -> list[Line] | None:
        """What has gathered; empty when a sync is due first; `None` when the journal closes."""
        with self._lock:
            since = self._unsynced_since
            wait = None if since is None else max(0.0, since + SYNC_SECONDS - time.monotonic())
            self._asleep = True
            self._something.wait_for(lambda: self._waiting or self._closing, wait)
            self._asleep = False
            self._at_hand = batch = list(self._waiting)
            self._waiting.clear()
            return batch if batch or not self._closing else None

    def _sync_is_due(self) -> bool:
        return self._unsynced_since is not None and time.monotonic() - self._unsynced_since >= SYNC_SECONDS

    def _write(self, batch: list[Line]) -> bool:
        """Write a batch, here or in a rescue file; False when it stands nowhere."""
        texts = [line.text for line in batch if line.text]
        if self._nowhere:
            self.lines_lost += len(texts)
            return False
        if not texts:
            return True
        try:
            self._check_not_removed()
            self._write_patiently(b"".join(texts))
        except OSError as error:
            if not self._move(error, texts, synced=error.errno != errno.EIO):
                return False
        else:
            self._run_line = next((text for text in reversed(texts) if text.startswith(RUN_LINE_START)), self._run_line)
            self._unsynced += texts
            self._unsynced_since = self._unsynced_since or time.monotonic()
        tell([line for line in batch if not line.synced])
        self._at_hand = [line for line in batch if line.synced]
        return True

    def _write_patiently(self, data: bytes) -> None:
        """Write all of `data`. A full disk is waited for, from where the last `write` came to."""
        view = memoryview(data)
        try:
            while view:
                try:
                    view = view[os.write(self._file, view) :]
                except OSError as error:
                    if error.errno not in FULL or not self._waited_for_space():
                        raise
        finally:
            self._deadline = None
        self._end += len(data)

    def _waited_for_space(self) -> bool:
        """Wait a little; False when it has been long enough, or was never worth it: before the first request."""
        now = time.monotonic()
        self._deadline = self._deadline or now + self._patience
        if not self._opening or self.lost is not None or now >= self._deadline:
            return False
        return not self._no_more_waiting.wait(min(SPACE_SECONDS, self._deadline - now))

    def _sync(self) -> bool:
        """Get what was written onto the disk; False when it stands nowhere.

        After an error nobody knows what a file holds, and the next sync would say that all is well (the kernel forgets): so
        all lines since the last good one go elsewhere.
        """
        if self._unsynced_since is None:
            return True
        try:
            sync_to_disk(self._file)
        except OSError as error:
            return self._move(error, [], synced=False)
        self._all_synced()
        return True

    def _all_synced(self) -> None:
        self._unsynced, self._unsynced_since = [], None
        self._opening = self._run_line

    def _check_not_removed(self) -> None:
        if os.fstat(self._file).st_nlink == 0 and self._opening:
            raise FileNotFoundError(errno.ENOENT, "it was removed while the run went on")

    def _move(self, error: OSError, texts: list[bytes], *, synced: bool) -> bool:
        """Go on in a rescue file that holds `texts` and whatever else isn't safe; False when there is no place for one.

        `synced`: one more sync may be believed.
        """
        self.lost = self.lost or error
        self._untear()
        if synced and self._synced_once_more():
            self._all_synced()
        lines = [*self._unsynced, *texts]
        for path in self._places(error):
            try:
                file = rescue.create(path, self._beginning(lines))
            except OSError:
                continue
            os.close(self._file)
            self._file, self._end = file, os.fstat(file).st_size
            self.rescues.append(path)
            self._all_synced()
            return True
        self._nowhere = True
        if self._opening:
            self.lines_lost += len(texts)
            self.lines_doubtful += len(self._unsynced)
        self._unsynced, self._unsynced_since = [], None
        return False

    def _places(self, error: OSError) -> Iterator[Path]:
        """Files to try; none before anything was sent."""
        if self._refuge is None or not self._opening:
            return iter(())
        mistrusted = os.fstat(self._file).st_dev if error.errno == errno.EIO else None
        return self._refuge.places(mistrusted=mistrusted)

    def _beginning(self, lines: list[bytes]) -> Iterable[bytes]:
        """What a rescue file opens with: a run line and `lines`; or all of a file that has no name any more."""
        if os.fstat(self._file).st_nlink == 0:
            return chain(self._pieces(), lines)
        return lines if lines and lines[0].startswith(RUN_LINE_START) else [self._opening, *lines]

    def _pieces(self) -> Iterator[bytes]:
        """The whole file, piece by piece."""
        place = 0
        while piece := os.pread(self._file, min(COPY_BYTES, self._end - place), place):
            yield piece
            place += len(piece)

    def _untear(self) -> None:
        """Take back the part of a line that a failed write left, if nothing else was written after it."""
        try:
            if os.fstat(self._file).st_size > self._end:
                os.ftruncate(self._file, self._end)
        except OSError:
            pass  # the next run cuts it off

    def _synced_once_more(self) -> bool:
        try:
            sync_to_disk(self._file)
        except OSError:
            return False
        return True
