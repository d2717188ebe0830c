"""How long a resume takes to know what a finished output holds, beside `orjson.loads` on each of its lines.

Both read the same file in turn, so that a busy machine disturbs both alike. At the end a run of the same input is planned,
as a resume would: it must find nothing to send.

    python -m benchmarks.index
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import orjson

from batch_runner.chat import defaults
from batch_runner.identity import Again
from batch_runner.output.file import READ_BYTES
from batch_runner.output.history import History
from batch_runner.output.index import read_index
from batch_runner.planner import make_plan
from batch_runner.settings import read_settings
from benchmarks.made_up import Rows, output_lines

if TYPE_CHECKING:
    from collections.abc import Callable

GOAL = 0.6


def parse_all(path: Path) -> None:
    """What is compared with."""
    with path.open("rb", buffering=READ_BYTES) as file:
        for line in file:
            orjson.loads(line)


def seconds(work: Callable[[Path], object], path: Path) -> float:
    """CPU seconds of this process."""
    began = time.process_time()
    work(path)
    return time.process_time() - began


def compare(rows: int, rounds: int) -> bool:
    """Print a line for each round; whether the goal is met."""
    run = defaults(read_settings({}))
    with TemporaryDirectory() as folder:
        path = Path(folder, "out.jsonl")
        with path.open("wb") as file:
            file.writelines(output_lines(rows, run))
        print(f"{rows:,} lines of {path.stat().st_size / rows:,.0f} bytes", flush=True)
        ratios = []
        for _ in range(rounds):
            loads, index = seconds(parse_all, path), seconds(read_index, path)
            ratios.append(index / loads)
            print(f"orjson.loads {loads:6.2f} s   index {index:6.2f} s   ratio {index / loads:.2f}", flush=True)
        with History(path) as history:
            plan = make_plan(Rows(rows), history, run=run, again=Again())
    print(f"a resume would send {plan.to_send:,} rows of {plan.rows:,}")
    print(f"median {statistics.median(ratios):.2f}, highest {max(ratios):.2f}; the goal is at most {GOAL}")
    return plan.nothing_to_do and statistics.median(ratios) <= GOAL


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    sys.exit(not compare(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
