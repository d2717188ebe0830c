"""Disks that fail, for real: a small one, and system calls that strace makes fail, slow or deadly.

strace is a Debian package that injects faults into a living process by call, file and count
(https://man7.org/linux/man-pages/man1/strace.1.html, "Tampering"). Faults of the file system itself (libfiu, a FUSE module)
would need a library in the process or a daemon beside it, and could do no more here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


def can_trace() -> bool:
    """Whether strace is here and allowed."""
    strace = shutil.which("strace")
    return (
        strace is not None
        and subprocess.run([strace, "-qq", "-o", os.devnull, "true"], capture_output=True, check=False).returncode == 0
    )


needs_strace = pytest.mark.skipif(not can_trace(), reason="needs strace, and leave to trace")


def injecting(*faults: str, files: tuple[Path, ...] = ()) -> tuple[str, ...]:
    """A command that runs another with faults such as `fdatasync:error=EIO:when=2`, on `files` only."""
    calls = ",".join(fault.partition(":")[0] for fault in faults)
    quick = () if any("signal=" in fault for fault in faults) else ("--seccomp-bpf",)  # a signal needs the slow way
    paths = tuple(word for file in files for word in ("-P", str(file)))
    injected = tuple(word for fault in faults for word in ("-e", f"inject={fault}"))
    return ("strace", "-D", "-f", *quick, "-qq", "-o", os.devnull, *paths, "-e", f"trace={calls}", *injected)


class SmallDisk:
    """A file system of its own, in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resize(self, kilobytes: int) -> None:
        """Make it larger or smaller."""
        subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", self.folder], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk of 48 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("there is no mount here")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting isn't permitted here")
    yield SmallDisk(folder)
    subprocess.run(["umount", "-l", folder], check=True)
