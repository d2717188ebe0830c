from pathlib import Path
from typing import Any

import orjson
import pytest

from batch_runner.output.lines import Run, row_line, run_line, totals_line
from batch_runner.output.lock import lock_path
from batch_runner.records import Attempt, Bill, Result, Status, Usage
from batch_runner.results.reading import read_results
from batch_runner.totals import Totals
from batch_runner.upkeep import merging
from batch_runner.upkeep.merging import Merged, merge

TEN = Usage(6, 0, 4, 0, 10)


def at(moment: int) -> str:
    return f"2026-01-01T00:00:{moment:02}.000Z"


def a_run(run_id: str, moment: int, endpoint: str = "api.example.com") -> bytes:
    return run_line(Run(run_id, at(moment), endpoint), Totals())


def a_result(row_id: str, run_id: str, moment: int, status: Status = Status.OK, **changes: Any) -> Result:
    facts: dict[str, Any] = {"model": "o1", "bill": Bill(TEN), "attempts": (Attempt(at(moment), 1.5, status),)} | changes
    return Result(row_id, status, "v1:" + "ab" * 16, "in.jsonl:1", at(moment), run_id, **facts)


def a_row(row_id: str, run_id: str, moment: int, status: Status = Status.OK, **changes: Any) -> bytes:
    return row_line(a_result(row_id, run_id, moment, status, **changes))


def the_end(run_id: str, moment: int) -> bytes:
    return totals_line(run_id, at(moment), Totals(), Totals())


def merged(folder: Path, *outputs: list[bytes]) -> tuple[Merged, list[dict[str, Any]]]:
    """What the outputs come to together, and the lines of the new one."""
    names = []
    for number, lines in enumerate(outputs):
        names.append(folder / f"{number}.jsonl")
        names[-1].write_bytes(b"".join(lines))
    done = merge(names, folder / "new.jsonl", clock=lambda: 0.0)
    return done, [orjson.loads(line) for line in done.output.read_bytes().splitlines()]


def told(lines: list[dict[str, Any]]) -> list[str]:
    return [line["id"] or f"{line['status']} {line['run_id']}" for line in lines]


def test_each_row_stands_behind_its_run_and_the_newest_run_is_the_last(tmp_path: Path) -> None:
    newer = [a_run("r2", 20), a_row("b", "r2", 21), the_end("r2", 22)]
    older = [a_run("r1", 10), a_row("a", "r1", 11), a_row("c", "r1", 12), the_end("r1", 13)]

    done, lines = merged(tmp_path, newer, older)

    assert told(lines) == ["run r1", "a", "c", "run r2", "b", "run r2", "totals r2"]
    assert (done.totals.rows, done.totals.spent, done.totals.attempts) == ({"ok": 3}, TEN + TEN + TEN, 3)
    assert lines[-1]["totals"]["job"] == lines[-2]["totals"]["job"] == done.totals.as_json()


def test_a_run_line_that_no_row_names_any_more_goes(tmp_path: Path) -> None:
    first = [a_run("r1", 10), a_row("a", "r1", 11, Status.FAILED), the_end("r1", 13)]
    second = [a_run("r2", 20), a_row("a", "r2", 21), the_end("r2", 22)]

    _, lines = merged(tmp_path, first, second)

    assert told(lines) == ["run r2", "a", "run r2", "totals r2"]


def test_made_up_answers_are_known_for_what_they_are_and_cost_nothing(tmp_path: Path) -> None:
    fake = [a_run("r1", 10, "fake"), a_row("a", "r1", 11), a_row("b", "r1", 11), the_end("r1", 13)]
    real = [a_run("r2", 20), a_row("a", "r2", 21, Status.FAILED), the_end("r2", 22)]

    done, lines = merged(tmp_path, fake, real)

    assert told(lines) == ["run r1", "b", "run r2", "a", "run r2", "totals r2"]
    assert (done.totals.rows, done.totals.spent) == ({"ok": 1, "failed": 1}, TEN)


def test_a_damaged_line_gives_way_to_a_whole_one_and_stays_where_it_is_alone(tmp_path: Path) -> None:
    spoil = {b'"answer":"': b'"answer":oops"'}
    damaged = [a_row(name, "r1", 11).replace(*next(iter(spoil.items()))) for name in "ab"]
    first = [a_run("r1", 10), *damaged, b"garbage\n", the_end("r1", 13)]
    second = [a_run("r2", 20), a_row("a", "r2", 21, Status.FAILED), the_end("r2", 22)]
    names = [tmp_path / "0.jsonl", tmp_path / "1.jsonl"]
    for name, lines in zip(names, (first, second), strict=True):
        name.write_bytes(b"".join(lines))

    done = merge(names, tmp_path / "new.jsonl", clock=lambda: 0.0)

    assert done.unreadable == 1
    assert done.totals.rows == {"failed": 1}
    assert damaged[1] in done.output.read_bytes()
    assert damaged[0] not in done.output.read_bytes()


@pytest.mark.parametrize("at_once", [1, 2, 512])
def test_three_outputs_of_one_row_are_one_line_in_any_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(merging, "LINES_AT_ONCE", at_once)
    outputs = [
        [a_run("r1", 10), a_row("x", "r1", 11), a_row("a", "r1", 12, Status.FAILED), the_end("r1", 13)],
        [a_run("r2", 20), a_row("a", "r2", 21), a_row("y", "r2", 21), the_end("r2", 22)],
        [a_run("r3", 30), a_row("a", "r3", 31, Status.UNFINISHED), the_end("r3", 32)],
    ]
    for number, order in enumerate(([0, 1, 2], [2, 1, 0], [1, 0, 2])):
        folder = tmp_path / str(number)
        folder.mkdir()

        done, _ = merged(folder, *(outputs[place] for place in order))

        rows = {result.id: result for result in read_results(done.output)}
        assert (rows["a"].status, rows["a"].bill.spent) == (Status.OK, TEN + TEN + TEN)
        assert [attempt.at for attempt in rows["a"].attempts] == [at(12), at(21), at(31)]
        assert (set(rows), done.repeated) == ({"a", "x", "y"}, 1)
        assert done.totals.attempts == 5


def test_no_lock_is_left_beside_inputs_that_have_none(tmp_path: Path) -> None:
    merged(tmp_path, [a_run("r1", 10), a_row("a", "r1", 11)], [a_run("r2", 20), a_row("b", "r2", 21)])

    assert not lock_path(tmp_path / "0.jsonl").exists()
    assert not lock_path(tmp_path / "1.jsonl").exists()
