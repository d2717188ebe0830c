"""What the first pass over an input costs beside what nobody can do without: parsing each line and hashing what it asks.

    python -m benchmarks.first_pass [--rows 50000] [--rounds 15]

Both read the same file of prompts of about 470 bytes, with ids of their own. The rounds alternate, so that a busy machine
disturbs both alike; times are CPU seconds of this process. Beside them, what a plan holds for each row when it is done.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
import tracemalloc
import zlib
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from batch_runner.chat import Defaults
from batch_runner.identity import Again
from batch_runner.loader import InputFile, InputFiles
from batch_runner.output.history import History
from batch_runner.planner import make_plan

GOAL = 1.3
RUN = Defaults("o1-mini", None, {})


def write_rows(path: Path, rows: int) -> None:
    """Prompts of sixty made-up words, an id, and two fields of the row's own."""
    dice = random.Random(1)  # noqa: S311 - a test set
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(2, 10))) for _ in range(5000)]
    with path.open("wb") as file:
        for number in range(rows):
            prompt = " ".join(dice.choices(words, k=60))
            file.write(orjson.dumps({"id": f"row{number}", "prompt": prompt, "label": f"x{number % 7}", "score": dice.random()}))
            file.write(b"\n")


def parse_and_hash(path: Path) -> None:
    """Parse, hash the id and the request, and sum up the line."""
    with path.open("rb") as file:
        for line in file:
            row = orjson.loads(line)
            asked = {"messages": [{"content": row["prompt"], "role": "user"}], "model": "o1-mini"}
            blake2b(row["id"].encode(), digest_size=8).digest()
            blake2b(orjson.dumps(asked), digest_size=16).hexdigest()
            zlib.crc32(line)


def plan(path: Path) -> object:
    """The first pass of a run that finds no output."""
    return make_plan(InputFiles.of([InputFile(path, path.name)]), History(path.with_name("none")), run=RUN, again=Again())


def cpu_seconds(work: Callable[[Path], object], path: Path) -> float:
    """How long `work` computes."""
    start = time.process_time()
    work(path)
    return time.process_time() - start


def bytes_held(path: Path, rows: int) -> tuple[float, float]:
    """What a plan holds for each row, and the most that was held meanwhile beyond a plan of a hundredth of the rows."""
    tracemalloc.start()
    made = plan(path)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del made
    return held / rows, peak / rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=15)
    told = parser.parse_args()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        write_rows(path, told.rows)
        pairs = [(cpu_seconds(parse_and_hash, path), cpu_seconds(plan, path)) for _ in range(told.rounds)]
        held, peak = bytes_held(path, told.rows)
    ratios = sorted(ours / least for least, ours in pairs)
    least, ours = (statistics.median(column) / told.rows * 1e6 for column in zip(*pairs, strict=True))
    print(f"parse and hash {least:.1f} µs a row, first pass {ours:.1f} µs a row")
    print(f"ratio {statistics.median(ratios):.2f} (lowest {ratios[0]:.2f}, highest {ratios[-1]:.2f}; goal {GOAL})")
    print(f"{held:.1f} bytes a row are held, {peak:.0f} at the peak")


if __name__ == "__main__":
    main()
