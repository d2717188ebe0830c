"""What keeps a run cheap, as far as it can be counted: tasks, writes, and what is left of rows that are done."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from batch_runner import run_file, runner
from batch_runner.output.index import read_index
from batch_runner.output.journal import Journal
from batch_runner.output.lines import Run, run_line
from batch_runner.runner import Runner
from batch_runner.totals import Totals

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.end_to_end.conftest import Place, ServedHere

IN_FLIGHT, FEW = 4, 8
KEPT_A_MOMENT = {"batch_runner.admission.finder.values.Sent"}
"""What is kept for half a second, however many rows that are."""


async def test_a_task_serves_many_rows(place: Place, gateway: ServedHere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "FEWEST_OPEN_ROWS", FEW)
    place.write_questions(120)
    begun: Counter[str] = Counter()

    def counting(loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
        begun[work.__qualname__] += 1
        return asyncio.Task(work, loop=loop, **more)

    asyncio.get_running_loop().set_task_factory(counting)
    try:
        await run_file(place.prompts, endpoint=gateway.url, concurrency=IN_FLIGHT)
    finally:
        asyncio.get_running_loop().set_task_factory(None)

    assert len(place.rows()) == 120
    assert 0 < begun["Runner._work"] <= runner.OPEN_ROWS_PER_SLOT * IN_FLIGHT


async def test_nothing_is_left_of_rows_that_are_done(place: Place, gateway: ServedHere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "FEWEST_OPEN_ROWS", FEW)
    place.write_questions(600)
    alive: dict[int, Counter[str]] = {}
    count = Runner._count

    def looking(self: Runner, *more: Any) -> None:
        count(self, *more)
        if self._recorded in {100, 500}:
            gc.collect()
            alive[self._recorded] = Counter(_ours())

    monkeypatch.setattr(Runner, "_count", looking)

    await run_file(place.prompts, endpoint=gateway.url, concurrency=IN_FLIGHT)

    more = alive[500] - alive[100]
    assert {name: added for name, added in more.items() if added > 4 * FEW and name not in KEPT_A_MOMENT} == {}


def _ours() -> list[str]:
    """The kinds of all objects of ours that are alive, the embedded endpoint's aside."""
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in map(type, gc.get_objects()))
    return [name for name in names if name.startswith("batch_runner.") and ".fake_server." not in name]


async def test_lines_that_come_while_one_is_written_are_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go_on, write = threading.Event(), threading.Event(), os.write
    writes: list[int] = []

    def slow_write(file: int, data: Any) -> int:
        writes.append(len(data))
        began.set()
        go_on.wait()
        return write(file, data)

    monkeypatch.setattr(os, "write", slow_write)
    path = tmp_path / "out.jsonl"
    opening = run_line(Run("r", "2026-01-01T00:00:00.000Z", "api.example.com"), Totals())

    with Journal(path, read_index(path).size) as output:
        first = asyncio.create_task(output.append(opening))
        await asyncio.to_thread(began.wait)
        others = [asyncio.create_task(output.append(b'{"id":"%d"}\n' % number)) for number in range(300)]
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(first, *others)

    assert writes == [len(opening), sum(len(b'{"id":"%d"}\n' % number) for number in range(300))]
