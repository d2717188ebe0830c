"""How much of a told limit is used, and how much is refused, in real time: the whole program over HTTP, on the gateway's books.

    python -m benchmarks.limits_real [--seconds N] [--only WORDS] [--untold] [--free]

The same as `benchmarks.limits` for a few cells, and without its shortcuts: real clocks, sockets, files. Each cell has a process
of its own, the gateway in it too, as many at once as there are cores. A cell with tokens is counted after its first minute;
nothing tells how the service counts. With `--untold` the program is told no limit either: it is counted after the two minutes in
which it may find out, five where tokens are counted, and for so long that several probes are in it. *Loop late*: the share of the
time in which the event loop came more than 0.05 s too late, because the machine was busy elsewhere. What isn't sent then is not
caught up: that would be a burst. With `--free` there is no limit at all, and nobody tells: how long 2,000 rows take.
"""

import argparse
import asyncio
import json
import math
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batch_runner import ExitStatus, run_file
from batch_runner.fake_server import AnswerStyle, ConcurrencyLimit, FakeGateway, Fixed, Latency, LogNormal, RateLimit, Scenario
from batch_runner.fake_server.limits.values import SILENT

CAP = 4096
THOUGHT = LogNormal(600, sigma=0.8, most=3000)
"""Tokens of an answer: about a fifth of the cap."""

CONCURRENCY = 600
ROWS = 40_000
TOLD_TOKENS_WARM_UP, UNTOLD_WARM_UP, UNTOLD_TOKENS_WARM_UP = 60.0, 120.0, 300.0
TOLD_SECONDS, UNTOLD_SECONDS = 75.0, 300.0
"""What is counted, unless told."""

FREE_ROWS, FREE_ANSWERS = 2_000, (0.05, 0.1, 0.5, 5.0)
NOT_A_WORD = replace(SILENT, limit_named=False)
NAP, STALL = 0.01, 0.05
"""Seconds: how often the event loop is looked at, and how late is too late to catch up."""


@dataclass(frozen=True)
class Cell:
    """A service, and what it is told to be."""

    name: str
    limits: tuple[RateLimit | ConcurrencyLimit, ...]
    untold: bool = False

    @property
    def rpm(self) -> float | None:
        return self._told("requests")

    @property
    def tpm(self) -> float | None:
        return self._told("tokens")

    @property
    def warm_up(self) -> float:
        if self.untold:
            return UNTOLD_WARM_UP if self.tpm is None else UNTOLD_TOKENS_WARM_UP
        return 0.0 if self.tpm is None else TOLD_TOKENS_WARM_UP

    @property
    def seconds(self) -> float:
        return UNTOLD_SECONDS if self.untold else TOLD_SECONDS

    @property
    def scenario(self) -> Scenario:
        """Told nothing of how it counts, and no hint of when to come back."""
        latency = Latency(seconds=Fixed(0.3), per_token=0.005)
        return Scenario(limits=self.limits, answers=AnswerStyle(reasoning=THOUGHT), latency=latency, hints=NOT_A_WORD)

    def _told(self, what: str) -> float | None:
        rates = (limit for limit in self.limits if isinstance(limit, RateLimit))
        return next((limit.amount for limit in rates if limit.what == what), None)

    @property
    def told(self) -> dict[str, Any]:
        """What the program is told."""
        if self.untold:
            return {"no_learn": True}
        return {"rpm": self.rpm, "tpm": self.tpm, "concurrency": CONCURRENCY}


def cells() -> Iterator[Cell]:
    """Three ways to count requests, two to count tokens, and both at once."""
    yield Cell("600 requests/min, bucket of 1 s", (RateLimit("requests", 600, burst=10),))
    yield Cell("3,000 requests/min, sliding window of a minute", (RateLimit("requests", 3000, shape="sliding"),))
    yield Cell("1,800 requests/min, its own window each second", (RateLimit("requests", 1800, shape="fixed", quantum=1.0),))
    yield Cell("1 M tokens/min, counts prompt + cap", (RateLimit("tokens", 1_000_000),))
    yield Cell("1 M tokens/min, counts use", (RateLimit("tokens", 1_000_000, counting="use", burst=1_000_000 / 6),))
    both = (RateLimit("requests", 600, burst=10), RateLimit("tokens", 560_000, counting="use"))
    yield Cell("600 requests/min and 560 k tokens/min (use), both near", both)


def untold_cells() -> Iterator[Cell]:
    """One of each kind."""
    yield Cell("1,200 requests/min, bucket of 1 s", (RateLimit("requests", 1200, burst=20),), untold=True)
    yield Cell("1,200 requests/min, fixed window of a minute", (RateLimit("requests", 1200, shape="fixed"),), untold=True)
    yield Cell("1,200 requests/min, sliding window of a minute", (RateLimit("requests", 1200, shape="sliding"),), untold=True)
    yield Cell("40 at once", (ConcurrencyLimit(40),), untold=True)
    yield Cell("1 M tokens/min, counts use", (RateLimit("tokens", 1_000_000, counting="use"),), untold=True)


KEY_VARIABLE = "BATCH_RUNNER_API_KEY"


def write_prompts(folder: Path, count: int) -> Path:
    """An input of so many rows."""
    prompts = folder / "prompts.jsonl"
    rows = ({"id": str(number), "prompt": f"question {number}"} for number in range(count))
    prompts.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return prompts


async def measure(cell: Cell, folder: Path, seconds: float) -> dict[str, Any]:
    """The gateway's books of so many seconds after the warm-up, while the program has rows to spare."""
    prompts, stop = write_prompts(folder, ROWS), asyncio.Event()
    async with FakeGateway(cell.scenario) as gateway:
        told = {"max_completion_tokens": CAP, **cell.told}
        run = asyncio.create_task(run_file(prompts, endpoint=gateway.url, stop=stop, drain_timeout=30.0, **told))
        while not gateway.books.tally.requests:
            await asyncio.sleep(0.1)
        await asyncio.sleep(cell.warm_up)
        gateway.books.reset()
        late = await lateness(seconds)
        books = gateway.stats(rows=False)
        stop.set()
        report = await run
    assert report.exit_status is ExitStatus.INTERRUPTED, report.reason
    return books | {"late": late}


async def lateness(seconds: float) -> float:
    """The share of so many seconds in which the event loop came too late, because the machine was busy elsewhere."""
    clock = asyncio.get_running_loop().time
    began, lost = clock(), 0.0
    while (at := clock()) < began + seconds:
        await asyncio.sleep(NAP)
        late = clock() - at - NAP
        lost += late if late > STALL else 0.0
    return lost / seconds


def table_line(cell: Cell, books: dict[str, Any]) -> str:
    """One line of the table."""
    used = max(limit["used_share"] for limit in books["limits"])
    told = f"{cell.name} | {100 * used:.1f} % | {100 * books['totals']['refused_share']:.2f} %"
    if cell.rpm is None:
        return f"| {told} | | | {100 * books['late']:.1f} % |"
    second = books["totals"]["busiest_second"] - math.ceil(1.02 * cell.rpm / 60)
    minute = 100 * books["totals"]["busiest_minute"] / cell.rpm
    return f"| {told} | {second:+d} | {minute:.1f} % | {100 * books['late']:.1f} % |"


async def time_of_all(answers_take: float, folder: Path) -> float:
    """Seconds that a run takes at a service without limits."""
    prompts = write_prompts(folder, FREE_ROWS)
    async with FakeGateway(Scenario(latency=Latency(seconds=Fixed(answers_take)))) as gateway:
        began = time.monotonic()
        report = await run_file(prompts, endpoint=gateway.url, max_completion_tokens=CAP, no_learn=True)
    assert report.exit_status is ExitStatus.OK, report.reason
    return time.monotonic() - began


def play_free() -> None:
    """Print how long runs take without any limit."""
    print("| answers take | 2,000 rows take |")
    print("|---|---|")
    for answers_take in FREE_ANSWERS:
        with tempfile.TemporaryDirectory() as folder:
            print(f"| {answers_take:g} s | {asyncio.run(time_of_all(answers_take, Path(folder))):.1f} s |", flush=True)


def play_cell(task: tuple[Cell, float | None]) -> str:
    """One line of the table, in a process of its own."""
    cell, seconds = task
    with tempfile.TemporaryDirectory() as folder:
        return table_line(cell, asyncio.run(measure(cell, Path(folder), cell.seconds if seconds is None else seconds)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, help="what is counted, after the warm-up of each cell")
    parser.add_argument("--only", default="", help="cells whose name has this in it")
    parser.add_argument("--untold", action="store_true", help="tell the program nothing")
    parser.add_argument("--free", action="store_true", help="no limits: how long 2,000 rows take")
    asked = parser.parse_args()
    os.environ.setdefault(KEY_VARIABLE, "sk-rehearsal")
    if asked.free:
        play_free()
        return
    tasks = [(cell, asked.seconds) for cell in (untold_cells() if asked.untold else cells()) if asked.only in cell.name]
    print("| service | used | refused | worst second − share | worst minute | loop late |")
    print("|" + 6 * "---|")
    with ProcessPoolExecutor() as pool:
        for line in pool.map(play_cell, tasks):
            print(line, flush=True)


if __name__ == "__main__":
    main()
