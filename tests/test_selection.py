from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.chat import Defaults
from batch_runner.condition import Condition
from batch_runner.failures import CannotStart
from batch_runner.identity import Again
from batch_runner.loader import Line
from batch_runner.output.history import History
from batch_runner.plan import Plan
from batch_runner.planner import make_plan
from batch_runner.records import Rejected
from batch_runner.selection import Selection, ends_like_a_copy

NOWHERE = Path("/nowhere/at/all")


@dataclass(frozen=True)
class Given:
    """A row source of lines at hand."""

    texts: Sequence[str]

    def lines(self) -> Iterator[Line]:
        for number, text in enumerate(self.texts, start=1):
            yield Line(text.encode(), f"in.jsonl:{number}")


def planned(texts: Sequence[str], selection: Selection) -> Plan:
    with History(NOWHERE) as history:
        return make_plan(Given(texts), history, run=Defaults("o1-mini", None, {}), again=Again(), selection=selection)


def sent(texts: Sequence[str], selection: Selection) -> list[str]:
    plan = planned(texts, selection)
    rows = [row for row, _ in plan.items(Given(texts))]
    assert len(rows) == plan.to_record == plan.rows
    return [row.id for row in rows]


def rows(count: int) -> list[str]:
    return [f'{{"id":"r{number}","prompt":"{number}","even":{str(number % 2 == 0).lower()}}}' for number in range(count)]


EVEN = Condition("even")


def test_rows_for_which_the_condition_fails_are_left_out_and_counted() -> None:
    plan = planned(rows(5), Selection(where=EVEN))

    assert sent(rows(5), Selection(where=EVEN)) == ["r0", "r2", "r4"]
    assert (plan.left_out, plan.standing.total()) == (2, 3)


def test_the_limit_counts_the_rows_that_are_left() -> None:
    assert sent(rows(9), Selection(where=EVEN, limit=2)) == ["r0", "r2"]
    assert planned(rows(9), Selection(where=EVEN, limit=2)).rows == 2


def test_a_line_that_can_not_be_read_is_told_whatever_the_condition_says() -> None:
    plan = planned(["{", *rows(2)], Selection(where=EVEN))

    assert (plan.rejected, plan.bad, plan.left_out) == (1, 1, 1)


def test_a_field_that_no_row_has_is_a_slip_of_the_pen() -> None:
    with pytest.raises(CannotStart, match=r"no row has a field 'evn'"):
        planned(rows(3), Selection(where=Condition("evn != true")))


def test_a_field_that_only_one_row_has_is_none() -> None:
    assert sent([*rows(2), '{"id":"x","prompt":"x","odd":1}'], Selection(where=Condition("odd == 1"))) == ["x"]


@given(count=st.integers(0, 30), size=st.integers(1, 40), seed=st.integers(0, 5), data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_sample_has_its_size_and_does_not_depend_on_the_order(count: int, size: int, seed: int, data: st.DataObject) -> None:
    selection = Selection(sample=size, seed=seed)
    shuffled = data.draw(st.permutations(rows(count)))

    picked = sent(rows(count), selection)

    assert len(picked) == min(size, count)
    assert set(sent(shuffled, selection)) == set(picked)


def test_another_seed_picks_other_rows() -> None:
    assert len({tuple(sent(rows(40), Selection(sample=5, seed=seed))) for seed in range(5)}) == 5


def test_every_row_can_be_picked() -> None:
    picked = {row_id for seed in range(60) for row_id in sent(rows(10), Selection(sample=3, seed=seed))}

    assert len(picked) == 10


def test_added_rows_push_few_of_a_sample_out() -> None:
    before = set(sent(rows(100), Selection(sample=20)))
    after = set(sent(rows(110), Selection(sample=20)))

    assert len(before & after) >= 15


def test_a_larger_sample_holds_the_smaller_one() -> None:
    assert set(sent(rows(50), Selection(sample=5))) < set(sent(rows(50), Selection(sample=10)))


def test_like_rows_without_ids_are_picked_one_by_one() -> None:
    assert len(sent(['{"prompt":"a"}'] * 20, Selection(sample=7))) == 7


def test_a_sample_is_picked_of_the_rows_that_the_condition_leaves_and_limited_last() -> None:
    selection = Selection(where=EVEN, sample=4, limit=3)

    picked = sent(rows(30), selection)

    assert len(picked) == 3
    assert all(int(row_id[1:]) % 2 == 0 for row_id in picked)
    assert planned(rows(30), selection).rows == 3


def test_each_row_is_sent_as_often_as_asked() -> None:
    texts = ['{"id":"a","prompt":"a"}', '{"prompt":"b"}', '{"prompt":"b"}']
    plain = sent(texts[1:], Selection())

    assert sent(texts, Selection(repeat=2)) == ["a#1", "a#2", *(f"{each}#{copy}" for each in plain for copy in (1, 2))]
    assert planned(texts, Selection(repeat=2)).rows == 6


def test_a_line_that_can_not_be_sent_is_told_once_however_often_rows_are_repeated() -> None:
    plan = planned(["{", '{"id":"a","prompt":"a"}'], Selection(repeat=3))

    recorded = [row for row, _ in plan.items(Given(["{", '{"id":"a","prompt":"a"}']))]

    assert (plan.rows, plan.bad) == (4, 1)
    assert [isinstance(row, Rejected) for row in recorded] == [True, False, False, False]
    assert recorded[0].id.endswith("#1")


def test_the_limit_counts_rows_and_not_their_copies() -> None:
    assert sent(rows(3), Selection(repeat=2, limit=1)) == ["r0#1", "r0#2"]


def test_an_id_that_ends_like_a_copy_is_refused_where_there_are_copies() -> None:
    texts = ['{"id":"a#1","prompt":"a"}']

    assert sent(texts, Selection()) == ["a#1"]
    with pytest.raises(CannotStart, match=r"in\.jsonl:1: the id 'a#1' ends as the copies"):
        planned(texts, Selection(repeat=2))


@pytest.mark.parametrize(
    ("row_id", "like"),
    [("a#1", True), ("a#12", True), ("#1", True), ("a#", False), ("a", False), ("a#1b", False), ("a#1#x", False), ("a-1", False)],
)
def test_a_copy_is_told_by_the_end_of_its_id(row_id: str, *, like: bool) -> None:
    assert ends_like_a_copy(row_id) is like


def test_a_field_that_only_later_rows_have_is_no_slip_where_a_limit_stops_before_them() -> None:
    assert sent([*rows(2), '{"id":"x","prompt":"x","odd":1}'], Selection(where=Condition("even or odd == 1"), limit=1)) == ["r0"]
