"""How long `--help` and `--version` take, beside `python -c 'import click'`: CPU of the process, in turn.

python -m benchmarks.start [--rounds 20]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.race.measuring import run

GOAL = 1.5
PYTHON = Path(sys.executable)
COMMANDS: dict[str, tuple[str | Path, ...]] = {
    "import click": (PYTHON, "-c", "import click"),
    "--version": (PYTHON.with_name("batch-runner"), "--version"),
    "--help": (PYTHON.with_name("batch-runner"), "--help"),
}


def main() -> None:
    """Print a line for each command; whether the goal is met is the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        rounds = [
            {name: run(command, os.environ, Path(folder, "log")).cpu for name, command in COMMANDS.items()}
            for _ in range(asked.rounds + 1)
        ][1:]  # the first warms the disk's cache
    worst = 0.0
    for name in COMMANDS:
        cpu = statistics.median(each[name] for each in rounds)
        ratio = statistics.median(each[name] / each["import click"] for each in rounds)
        worst = max(worst, ratio)
        print(f"{name:<14} {1000 * cpu:5.0f} ms CPU   {ratio:.2f} × import click")
    sys.exit(worst > GOAL)


if __name__ == "__main__":
    main()
