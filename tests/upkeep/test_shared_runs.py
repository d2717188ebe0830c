from pathlib import Path

import pytest

from batch_runner.admission import Ceiling
from batch_runner.output.index import Index, read_index
from batch_runner.output.lines import Run, run_line, totals_line
from batch_runner.records import Usage
from batch_runner.totals import Totals
from batch_runner.upkeep.shared_runs import groups_of, hidden_and_time

AT = "2026-01-01T00:00:00.000Z"
NOTHING = Usage()


def worst(attempts: int) -> Usage:
    return Usage(100 * attempts, 0, 1000 * attempts, 0, 1100 * attempts)


def a_run(run_id: str, wall_ms: int = 0, unclosed: Usage = NOTHING, attempts: int = 1) -> bytes:
    ceiling = Ceiling(attempts, 100 * attempts, 1000 * attempts)
    return run_line(Run(run_id, AT, "api.example.com", ceiling=ceiling), Totals(wall_ms=wall_ms, unclosed=unclosed))


def the_end(run_id: str, wall_ms: int, unclosed: Usage = NOTHING) -> bytes:
    return totals_line(run_id, AT, Totals(wall_ms=wall_ms, unclosed=unclosed), Totals())


@pytest.fixture
def indexed(tmp_path: Path) -> "Indexer":
    return Indexer(tmp_path)


class Indexer:
    """Makes indexes of lines."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def __call__(self, *lines: bytes) -> Index:
        self._count += 1
        path = self._folder / f"{self._count}.jsonl"
        path.write_bytes(b"".join(lines))
        return read_index(path)


def test_runs_of_different_outputs_add_up(indexed: Indexer) -> None:
    a = indexed(a_run("a"), the_end("a", 5))
    b = indexed(a_run("b"), the_end("b", 7), a_run("c", 7), the_end("c", 9))

    assert hidden_and_time([a, b]) == (NOTHING, 14)
    assert groups_of([a, b]) == [0, 1]


def test_a_run_in_both_outputs_counts_once(indexed: Indexer) -> None:
    a = indexed(a_run("a"), the_end("a", 5))
    b = indexed(a_run("a"), the_end("a", 5), a_run("b", 5), the_end("b", 9))

    assert hidden_and_time([a, b]) == hidden_and_time([b, a]) == (NOTHING, 9)
    assert groups_of([a, b]) == [0, 0]


def test_a_killed_run_is_charged_once_in_however_many_copies(indexed: Indexer) -> None:
    copies = [indexed(a_run("a", attempts=3)) for _ in range(3)]

    assert hidden_and_time(copies) == (worst(3), 0)


def test_killed_runs_of_different_outputs_are_charged_together(indexed: Indexer) -> None:
    assert hidden_and_time([indexed(a_run("a", attempts=3)), indexed(a_run("b"))]) == (worst(4), 0)


@pytest.mark.parametrize("order", [1, -1])
def test_a_run_that_ended_in_another_output_is_not_charged(indexed: Indexer, order: int) -> None:
    both = [indexed(a_run("a")), indexed(a_run("a"), the_end("a", 5))]

    assert hidden_and_time(both[::order]) == (NOTHING, 5)


@pytest.mark.parametrize("order", [1, -1])
def test_a_run_whose_kill_a_later_one_has_on_its_bill_is_charged_there(indexed: Indexer, order: int) -> None:
    both = [indexed(a_run("a")), indexed(a_run("a"), a_run("b", unclosed=worst(1)), the_end("b", 4, worst(1)))]

    assert hidden_and_time(both[::order]) == (worst(1), 4)


def test_outputs_are_of_a_group_by_way_of_a_third(indexed: Indexer) -> None:
    a, b, c = indexed(a_run("a")), indexed(a_run("b")), indexed(a_run("a"), a_run("b"))
    d = indexed(a_run("d"))

    groups = groups_of([a, b, d, c])

    assert groups[0] == groups[1] == groups[3] != groups[2]
