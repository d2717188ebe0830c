"""A hundred thousand rows: none lost, none bought twice, none mixed up, and memory that stays where it was."""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from typing import TYPE_CHECKING

import orjson
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.end_to_end.conftest import Place, Served

ROWS = 100_000
MOST_MIB = 200
MOST_GROWTH_MIB = 40


def text_of(number: int) -> str:
    """A prompt that no other row has."""
    return f"{number} {hashlib.sha256(str(number).encode()).hexdigest()}"


def resident_mib(pid: int) -> float:
    with open(f"/proc/{pid}/statm") as file:  # noqa: PTH123 - not a file to read as one
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def watch(pid: int, out: Path) -> tuple[int, float, list[float]]:
    """Wait for a process to end: its status, its peak, and its resident size as its output grew."""
    sizes: list[float] = []
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), usage.ru_maxrss / 1024, sizes
        if out.exists() and out.stat().st_size > 1_000_000:
            sizes.append(resident_mib(pid))
        time.sleep(0.25)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_hundred_thousand_rows_are_each_answered_once_with_their_own_answer(
    place: Place, gateway_program: Callable[..., Served]
) -> None:
    with place.prompts.open("wb") as file:
        file.writelines(orjson.dumps({"id": f"r{n}", "prompt": text_of(n)}) + b"\n" for n in range(ROWS))
    gateway = gateway_program("Scenario(latency=Latency(seconds=Uniform(0.0, 0.05)))", echo=True)
    errors = (place.folder / "errors.txt").open("wb")

    with errors:
        started = place.start(
            "run", place.prompts, "--endpoint", gateway.url, "-c", "128", "--max-completion-tokens", "2000", stderr=errors
        )
        status, peak, sizes = watch(started.pid, place.out)
    started.process.returncode = status

    assert status == 0, (place.folder / "errors.txt").read_text()
    books = gateway.books(rows=False)
    assert books.requests == ROWS
    assert books.outcomes == {"ok": ROWS}
    seen: Counter[str] = Counter()
    tokens = 0
    with place.out.open("rb") as file:
        for line in file:
            row = orjson.loads(line)
            if row["status"] in {"run", "totals"}:
                continue
            seen[row["id"]] += 1
            tokens += row["spent"]["total_tokens"]
            assert row["status"] == "ok"
            assert text_of(int(row["id"][1:])) in row["answer"]
    assert len(seen) == ROWS
    assert seen.total() == ROWS
    assert tokens == books.billed["total_tokens"]
    assert peak < MOST_MIB
    early = sizes[len(sizes) // 4]
    assert sizes[-1] - early < MOST_GROWTH_MIB, f"{early:.0f} MiB early, {sizes[-1]:.0f} MiB at the end"
