from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.records import Attempt, Bill, Result, Status, Usage
from batch_runner.upkeep.joining import Record, joined, last_word

EARLY, LATE = "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"


def tokens(count: int) -> Usage:
    return Usage(count, 0, 0, 0, count)


def at(moment: int, outcome: str = "timeout", count: int = 1) -> Attempt:
    return Attempt(f"2026-01-01T00:00:{moment:02}.000Z", 1.0, outcome, count)


def a_record(status: Status = Status.OK, finished_at: str = EARLY, *, made_up: bool = False, **changes: Any) -> Record:
    return Record(Result("a", status, "v1:" + "ab" * 16, "in.jsonl:1", finished_at, "r", model="o1", **changes), made_up)


@pytest.mark.parametrize(
    ("first", "second", "stands"),
    [
        pytest.param(a_record(), a_record(finished_at=LATE), 1, id="the later of two answers"),
        pytest.param(a_record(), a_record(Status.FAILED, LATE), 0, id="an answer before a later failure"),
        pytest.param(a_record(Status.TRUNCATED), a_record(Status.UNFINISHED, LATE), 0, id="half an answer before none"),
        pytest.param(a_record(Status.FAILED), a_record(Status.UNFINISHED, LATE), 1, id="the later of two failures"),
        pytest.param(a_record(Status.FAILED), a_record(made_up=True, finished_at=LATE), 0, id="a real word before a made-up one"),
        pytest.param(a_record(), a_record(), 0, id="the first of two alike"),
    ],
)
def test_which_record_stands(first: Record, second: Record, stands: int) -> None:
    assert last_word([first, second]) == stands


def test_a_record_that_goes_on_from_another_has_its_cost_already() -> None:
    first = a_record(Status.UNFINISHED, attempts=(at(1),), bill=Bill(tokens(5)))
    second = a_record(Status.OK, LATE, attempts=(at(1, count=2), at(3, "ok")), bill=Bill(tokens(12)))

    assert joined([first, second]) == joined([second, first]) == second.result


def test_rows_bought_twice_were_paid_twice() -> None:
    first = a_record(attempts=(at(2, "ok"),), bill=Bill(tokens(5)))
    second = a_record(finished_at=LATE, attempts=(at(1), at(3, "ok")), bill=Bill(tokens(7)), other_bills={"o3": Bill(tokens(2))})

    result = joined([first, second])

    assert (result.bill, result.other_bills) == (Bill(tokens(12)), {"o3": Bill(tokens(2))})
    assert result.attempts == (at(1), at(2, "ok"), at(3, "ok"))
    assert result.finished_at == LATE


def test_what_was_paid_twice_cost_both_sums() -> None:
    first = a_record(attempts=(at(2, "ok"),), bill=Bill(tokens(5)), cost_usd=0.25)
    second = a_record(finished_at=LATE, attempts=(at(3, "ok"),), bill=Bill(tokens(7)), cost_usd=0.5)

    assert joined([first, second]).cost_usd == 0.75


def test_what_goes_on_from_another_keeps_its_own_cost() -> None:
    first = a_record(Status.UNFINISHED, attempts=(at(1),), bill=Bill(tokens(5)), cost_usd=0.25)
    second = a_record(Status.OK, LATE, attempts=(at(1), at(3, "ok")), bill=Bill(tokens(12)), cost_usd=0.75)
    answer = a_record(Status.OK, attempts=(at(1),), bill=Bill(tokens(5)), cost_usd=0.25)
    failure = a_record(Status.FAILED, LATE, attempts=(at(1), at(3)), bill=Bill(tokens(12)), cost_usd=0.75)

    assert joined([first, second]).cost_usd == 0.75
    assert joined([answer, failure]).cost_usd == 0.75


def test_a_cost_that_one_side_does_not_tell_is_unknown_together() -> None:
    first = a_record(attempts=(at(2, "ok"),), bill=Bill(tokens(5)), cost_usd=0.25)
    second = a_record(finished_at=LATE, attempts=(at(3, "ok"),), bill=Bill(tokens(7)), cost_usd=None)

    assert joined([first, second]).cost_usd is None


def test_tokens_stay_with_the_model_that_was_asked() -> None:
    first = Record(
        Result("a", Status.FAILED, "v1:1", "", EARLY, "r", "o3", bill=Bill(tokens(3)), attempts=(at(1),)), made_up=False
    )
    second = a_record(finished_at=LATE, attempts=(at(2, "ok"),), bill=Bill(tokens(7)))

    result = joined([first, second])

    assert (result.model, result.bill, result.other_bills) == ("o1", Bill(tokens(7)), {"o3": Bill(tokens(3))})


def test_an_answer_keeps_its_place_and_learns_what_was_tried_after_it() -> None:
    answer = a_record(Status.TRUNCATED, attempts=(at(1, "truncated"),), bill=Bill(tokens(5)), answer="half")
    failed = a_record(Status.FAILED, LATE, attempts=(at(1, "truncated"), at(2)), bill=Bill(tokens(5), tokens(9)))

    result = joined([answer, failed])

    assert (result.status, result.answer, result.bill) == (Status.TRUNCATED, "half", Bill(tokens(5), tokens(9)))


def test_two_that_go_on_from_a_third_may_have_its_cost_in_both() -> None:
    left = a_record(attempts=(at(1), at(2, "ok")), bill=Bill(tokens(30)))
    right = a_record(finished_at=LATE, attempts=(at(1), at(3, "ok")), bill=Bill(tokens(20)))

    assert joined([left, right]).bill == Bill(tokens(30), tokens(20))


def test_a_real_row_pays_nothing_for_made_up_answers() -> None:
    made_up = a_record(made_up=True, finished_at=LATE, attempts=(at(1, "ok"),), bill=Bill(tokens(5)))
    real = a_record(attempts=(at(2, "ok"),), bill=Bill(tokens(7)))

    assert joined([made_up, real]) == real.result


costs = st.lists(st.integers(1, 50), max_size=3)


@given(common=costs, branches=st.lists(st.tuples(st.integers(0, 3), costs, st.sampled_from(Status)), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_what_was_spent_lies_between_and_no_attempt_is_lost(
    common: list[int], branches: Sequence[tuple[int, list[int], Status]]
) -> None:
    moments = iter(range(100))
    trunk = [(at(next(moments)), cost) for cost in common]
    records, true_cost = [], dict[Attempt, int]()
    for length, more, status in branches:
        story = [*trunk[:length], *((at(next(moments)), cost) for cost in more)]
        true_cost |= dict(story)
        bill = Bill(tokens(sum(cost for _, cost in story)))
        records.append(a_record(status, attempts=tuple(attempt for attempt, _ in story), bill=bill))

    result = joined(records)

    spent, owed = result.bill.spent.total_tokens or 0, result.bill.maybe_billed.total_tokens or 0
    assert spent <= sum(true_cost.values()) <= spent + owed
    assert set(result.attempts) == set(true_cost)
    if not trunk:
        assert owed == 0
