from collections import Counter
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from batch_runner.failures import Failure, FailureKind, Scope
from batch_runner.output.journal import Stall
from batch_runner.pricing import Price, Prices, Rates
from batch_runner.progress import Snapshot
from batch_runner.records import Bill, Status, Usage
from batch_runner.reporters.lines import Lines, cost_so_far, failure_in_words, progress_in_words
from batch_runner.totals import Totals

PRICES = Prices({"o1": Price(Rates(Decimal(10), Decimal(5), Decimal(40)), listed=False)})


def a_snapshot(seconds: float = 30.0, recorded: int = 120, **changes: Any) -> Snapshot:
    totals = Totals(rows=Counter({Status.OK: 118, Status.FAILED: 2}))
    totals.bill("o1", Bill(Usage(50_000, 0, 6_100, 0, 56_100)))
    facts: dict[str, Any] = {
        "standing": Counter(ok=118),
        "totals": totals,
        "in_flight": 16,
        "pause_left": 0.0,
        "outage_seconds": 0.0,
        "held_by": "",
        "trouble": "",
        "draining": False,
    }
    return Snapshot(seconds=seconds, recorded=recorded, to_record=400, **(facts | changes))


def told(snapshot: Snapshot, width: int = 1000) -> str:
    return progress_in_words(snapshot, PRICES, width)


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (84, "120/400 rows, 118 ok, 2 failed, 56.1k tokens, $0.744 of about $2.48, 1 min 10 s left"),
        (72, "120/400 rows, 118 ok, 2 failed, $0.744 of about $2.48, 1 min 10 s left"),
        (62, "120/400 rows, 2 failed, $0.744 of about $2.48, 1 min 10 s left"),
        (48, "120/400 rows, 2 failed, $0.744, 1 min 10 s left"),
        (40, "120/400 rows, 2 failed, 1 min 10 s left"),
        (10, "120/400 rows, 2 failed, 1 min 10 s left"),
    ],
)
def test_a_narrow_terminal_shows_what_is_missed_most(width: int, shown: str) -> None:
    assert told(a_snapshot(), width) == shown


def test_money_that_nobody_knows_is_not_told_as_nothing() -> None:
    unpriced = Totals()
    unpriced.bill("nobody's", Bill(Usage(5, 0, 5, 0, 10)))

    assert cost_so_far(a_snapshot(totals=unpriced), Prices()) == ""
    assert cost_so_far(a_snapshot(totals=Totals()), PRICES) == ""
    assert cost_so_far(a_snapshot(recorded=400), PRICES) == "$0.744"


def test_progress_is_told_in_one_line() -> None:
    assert told(a_snapshot()) == "120/400 rows, 118 ok, 2 failed, 240/min, 56.1k tokens, $0.744 of about $2.48, 1 min 10 s left"


def test_before_the_first_row_nobody_knows_how_long_it_takes() -> None:
    words = told(a_snapshot(recorded=0, totals=Totals()))

    assert words == "0/400 rows, 0/min, 0 tokens"


def test_a_run_without_a_second_behind_it_has_no_pace() -> None:
    assert "0/min" in told(a_snapshot(seconds=0.0))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"draining": True, "pause_left": 9.0}, "leaving, 16 in flight", id="leaving"),
        pytest.param({"pause_left": 30.0}, "told to wait 30 s", id="told to wait"),
    ],
)
def test_what_holds_the_run_up_is_told(changes: dict[str, Any], said: str) -> None:
    assert told(a_snapshot(**changes)).endswith(said)


def test_a_full_disk_is_told_before_all_else() -> None:
    assert told(a_snapshot(stall=Stall("the disk is full", 3, 3552.0))) == (
        "120/400 rows, the disk is full: nothing is sent, 3 lines in memory; waiting for space, 59 min 12 s more at most"
    )


def test_a_log_tells_once_that_the_disk_is_full_and_once_that_it_has_room(capsys: pytest.CaptureFixture[str]) -> None:
    lines, full = Lines(PRICES, verbose=False), Stall("the disk is full", 1, 60.0)

    for stall in (None, full, full, None, None):
        lines.update(a_snapshot(seconds=1.0, stall=stall))

    told = capsys.readouterr().err.splitlines()
    assert [line.partition(" ")[2] for line in told] == [
        "the disk is full: nothing is sent, 1 line in memory; waiting for space, 1 min 00 s more at most",
        "the disk has room again: going on",
    ]


def test_trouble_is_told() -> None:
    assert "unreachable" in told(a_snapshot(trouble="unreachable"))


@pytest.mark.parametrize(
    ("status", "wait", "words"),
    [
        (500, 1.23, "row a: server_error (HTTP 500): oops; again in 1.2 s"),
        (None, None, "row a: server_error: oops; no further attempt"),
    ],
)
def test_a_failed_attempt_is_told(status: int | None, wait: float | None, words: str) -> None:
    failure = Failure(FailureKind.SERVER_ERROR, Scope.ROW, "oops", http_status=status)

    assert failure_in_words("a", failure, wait) == words


def test_lines_come_less_and_less_often(capsys: pytest.CaptureFixture[str]) -> None:
    lines, told_at = Lines(PRICES, verbose=False), list[int]()
    for second in range(4000):
        lines.update(a_snapshot(float(second)))
        if capsys.readouterr().err:
            told_at.append(second)

    gaps = [later - sooner for sooner, later in pairwise(told_at)]
    assert told_at[0] == 10
    assert gaps == sorted(gaps)
    assert max(gaps) <= 301
    assert len(told_at) < 30


def test_failed_attempts_are_told_only_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    failure = Failure(FailureKind.SERVER_ERROR, Scope.ROW, "oops")

    Lines(PRICES, verbose=False).attempt_failed("a", failure, None, 1)
    quiet = capsys.readouterr().err
    Lines(PRICES, verbose=True).attempt_failed("a", failure, None, 1)

    assert quiet == ""
    assert "row a: server_error: oops" in capsys.readouterr().err


@pytest.mark.parametrize("verbose", [True, False])
def test_why_the_service_ends_the_run_is_told_at_once_on_one_line(capsys: pytest.CaptureFixture[str], *, verbose: bool) -> None:
    Lines(PRICES, verbose=verbose).stopping("invalid_key: no\nsuch \x1b[31mkey")

    told = capsys.readouterr()
    assert told.err.endswith(" stopping: invalid_key: no such \\x1b[31mkey; waiting for the answers on their way\n")
    assert (told.err.count("\n"), told.out) == (1, "")
