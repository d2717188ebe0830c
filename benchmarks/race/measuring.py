"""Runs a command and tells what it took: its own clock, CPU and memory, read when it has ended."""

from __future__ import annotations

import os
import re
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ANSWERED = re.compile(rb"Answer to (\d+)\.")


@dataclass(frozen=True)
class Took:
    """What one run of a command came to."""

    wall: float
    cpu: float
    """User and system seconds of the process and what it started."""
    peak: int
    """Most bytes in memory."""
    status: int
    missed: int = 0
    """Rows without an answer of their own, or with two."""


def run(command: Sequence[str | Path], environment: Mapping[str, str], log: Path) -> Took:
    """Run a command to its end, what it prints into `log`."""
    with log.open("wb") as printed:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=printed, stderr=printed)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)  # it has been waited for already
    return Took(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, process.returncode)


def missed(output: Path, rows: int) -> int:
    """How many of the rows 0, 1, 2 … have no answer of their own in `output`, or more than one."""
    times = bytearray(rows)
    if output.exists():
        with output.open("rb") as lines:
            for line in lines:
                for number in {int(found) for found in ANSWERED.findall(line)}:
                    times[number] = min(times[number] + 1, 2)
    return rows - times.count(1)
