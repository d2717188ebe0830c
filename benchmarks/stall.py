"""How late the event loop is while the disk takes 50 ms for each sync, and while it takes no time: a whole run in this process.

    python -m benchmarks.stall [--rows 1500]

Answers come at all times, as those of `benchmarks.race` with the heavy tail do, about 250 a second; a task that sleeps 5 ms over
and over tells how late it is woken.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from batch_runner import run_file
from batch_runner.output import journal
from benchmarks.race.scenes import write_rows
from benchmarks.race.server import serving

GOAL, NAP, SYNC = 0.005, 0.005, 0.05


async def lateness(late: list[float]) -> None:
    clock = asyncio.get_running_loop().time
    while True:
        began = clock()
        await asyncio.sleep(NAP)
        late.append(clock() - began - NAP)


async def measure(url: str, rows: Path) -> list[float]:
    """How late the loop was, at each look, in ascending order."""
    late: list[float] = []
    looking = asyncio.create_task(lateness(late))
    await run_file(rows, endpoint=url, model="o1-mini", concurrency=128, fresh=True)
    looking.cancel()
    with suppress(asyncio.CancelledError):
        await looking
    return sorted(late)


def told(name: str, late: list[float]) -> float:
    """Print a line; the 99th percentile."""
    half, most = (late[int(share * (len(late) - 1))] for share in (0.5, 0.99))
    print(f"{name:<18} late by {1000 * half:.2f} ms (median), {1000 * most:.1f} ms (99 %), {1000 * late[-1]:.0f} ms (most)")
    return most


def main() -> None:
    """Print both lines; whether the goal is met is the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1500)
    asked = parser.parse_args()
    os.environ.setdefault("BATCH_RUNNER_API_KEY", "sk-benchmark")
    with TemporaryDirectory() as name, serving(Path(name)) as url:
        rows = Path(name, "rows.jsonl")
        write_rows(rows, asked.rows)
        told("as the disk is", uvloop.run(measure(f"{url}/heavy/v1", rows)))
        journal.sync_to_disk = lambda _file: time.sleep(SYNC)  # type: ignore[attr-defined]
        sys.exit(told("50 ms a sync", uvloop.run(measure(f"{url}/heavy/v1", rows))) > GOAL)


if __name__ == "__main__":
    main()
