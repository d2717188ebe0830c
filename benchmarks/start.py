"""What starting takes, in CPU of the process, in turn: `--help` and `--version` beside `python -c 'import click'`, and a run of
one row beside the bare loop's (which needs nginx, see `race`).

python -m benchmarks.start [--rounds 20]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.race.measuring import Took, run
from benchmarks.race.runners import BARE, OURS, Task
from benchmarks.race.scenes import write_rows
from benchmarks.race.server import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.race.runners import Runner

GOAL = 1.5
IN_FLIGHT = 256
PYTHON = Path(sys.executable)
COMMANDS: dict[str, tuple[str | Path, ...]] = {
    "import click": (PYTHON, "-c", "import click"),
    "--version": (PYTHON.with_name("batch-runner"), "--version"),
    "--help": (PYTHON.with_name("batch-runner"), "--help"),
}


def in_turn(rounds: int, runs: Mapping[str, Callable[[], Took]]) -> float:
    """Print a line for each of `runs`, beside the first of them; the worst ratio."""
    took = [{name: start() for name, start in runs.items()} for _ in range(rounds + 1)][1:]  # the first warms the disk's cache
    first, worst = next(iter(runs)), 0.0
    for name in runs:
        cpu = statistics.median(each[name].cpu for each in took)
        peak = statistics.median(each[name].peak for each in took)
        ratio = statistics.median(each[name].cpu / each[first].cpu for each in took)
        worst = max(worst, ratio)
        print(f"{name:<14} {1000 * cpu:5.0f} ms CPU   {ratio:.2f} × {first}   {peak / 2**20:3.0f} MiB", flush=True)
    return worst


def one_row(url: str, folder: Path) -> dict[str, Callable[[], Took]]:
    """A run of one row, by the bare loop and by this program."""
    rows, output = folder / "rows.jsonl", folder / "out.jsonl"
    write_rows(rows, 1)
    task = Task(f"{url}/instant/v1", rows, output, IN_FLIGHT)

    def start(runner: Runner) -> Took:
        for left in folder.glob("out.jsonl*"):
            left.unlink()
        return run(runner.command(runner.programs, task), runner.environment(folder), folder / "log")

    return {runner.name: partial(start, runner) for runner in (BARE, OURS)}


def main() -> None:
    """Print a line for each command; whether the goal for the first ones is met is the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    asked = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        worst = in_turn(
            asked.rounds,
            {title: partial(run, command, os.environ, folder / "log") for title, command in COMMANDS.items()},
        )
        print("\na run of one row:")
        with serving(folder) as url:
            in_turn(asked.rounds, one_row(url, folder))
    sys.exit(worst > GOAL)


if __name__ == "__main__":
    main()
