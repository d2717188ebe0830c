"""How much memory rows take: bytes of resident memory a row, at the peak, above what the program takes by itself.

Made-up rows go through the real index and the real plan, each size and case in a process of its own:

    finished    the output holds an answer to every row; a run would send nothing
    new         the output holds none of them; a run would send all
    half        it holds every second one

    python -m benchmarks.memory                 a million and three million rows
    python -m benchmarks.memory 10_000_000      about a quarter of an hour
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import time
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from batch_runner.chat import defaults
from batch_runner.identity import Again
from batch_runner.output.file import READ_BYTES
from batch_runner.output.history import History
from batch_runner.planner import make_plan
from batch_runner.settings import read_settings
from benchmarks.made_up import Rows, Streamed, output_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

GOAL = 32
"""Bytes a row, at ten million of them."""
CASES = ("finished", "new", "half")
NOWHERE = Path("/nonexistent/out.jsonl")
STATUS = Path("/proc/self/status")


def peak_bytes() -> int:
    """The most this process has had in memory since `forget_peak`."""
    return next(int(line.split()[1]) * 1024 for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))


def forget_peak() -> None:
    """Linux: 5 resets the peak."""
    Path("/proc/self/clear_refs").write_text("5")


def measure(case: str, count: int) -> None:
    """Index and plan so many rows, and print what they took."""
    run = defaults(read_settings({}))
    history = History(NOWHERE)
    importlib.import_module("numpy")  # so many rows need it; it is the program's, not theirs
    make_plan(Rows(1000), history, run=run, again=Again())  # whatever is imported or kept on first use
    history = History(NOWHERE)
    forget_peak()
    before, began = peak_bytes(), time.process_time()
    if case != "new":
        with BufferedReader(Streamed(_held(case, count, run)), READ_BYTES) as file:
            history.index.read_on(file)
    indexed, at = peak_bytes() - before, time.process_time()
    plan = make_plan(Rows(count), history, run=run, again=Again())
    expected = {"finished": 0, "new": count, "half": count // 2}[case]
    assert plan.to_send == expected, (plan.to_send, expected)
    whole, end = peak_bytes() - before, time.process_time()
    figures = (
        f"{indexed / count:5.1f} | {whole / count:5.1f} | {before / 2**20:4.0f} MiB | {at - began:5.0f} s | {end - at:5.0f} s"
    )
    print(f"| {count:>10,} | {case:<8} | {figures} |", flush=True)
    if count >= 10_000_000 and whole / count > GOAL:
        sys.exit(f"more than {GOAL} bytes a row")


def _held(case: str, count: int, run: object) -> Iterator[bytes]:
    lines = output_lines(count, run)  # type: ignore[arg-type]
    if case == "finished":
        return lines
    return (line for number, line in enumerate(lines) if number % 2 == 0 or number == count)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("rows", type=int, nargs="*", default=[1_000_000, 3_000_000])
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--here", action="store_true", help="in this process")
    asked = parser.parse_args()
    cases = asked.case or CASES
    if asked.here:
        measure(cases[0], asked.rows[0])
        return
    print("| rows | case | index, peak B/row | index and plan, peak B/row | program | index, CPU | plan, CPU |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for rows in asked.rows:
        for case in cases:
            subprocess.run([sys.executable, "-m", "benchmarks.memory", str(rows), "--case", case, "--here"], check=True)


if __name__ == "__main__":
    main()
