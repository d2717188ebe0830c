from collections import Counter
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.exits import ExitStatus
from batch_runner.records import NO_PAST, NO_USAGE, UNTOLD_USAGE, Bill, Past, Result, Status, Usage
from batch_runner.totals import LATENCY_EDGES, NOT_IN_INPUT, ROW_COUNTS, UNATTEMPTED, Totals, as_rows_deserve, row_counts

counts = st.integers(0, 10**12)
told = st.none() | counts
usages = st.builds(Usage, counts, counts, counts, counts, counts)
booked = st.lists(
    st.tuples(st.text(max_size=4), st.builds(Bill, st.builds(Usage, told, told, told, told, told), usages)), max_size=3
)


@st.composite
def totals(draw: st.DrawFn) -> Totals:
    """What a run might have come to, gathered as a run gathers it."""
    made = Totals(
        rows=Counter(draw(st.dictionaries(st.sampled_from(ROW_COUNTS), st.integers(1, 10**6)))),
        attempts=draw(counts),
        failures=Counter(draw(st.dictionaries(st.text(max_size=4), st.integers(1, 99)))),
        unclosed=draw(usages),
        wall_ms=draw(counts),
    )
    for model, bill in draw(booked):
        made.bill(model, bill)
    for model, usage in draw(st.lists(st.tuples(st.text(max_size=4), usages), max_size=3)):
        made.vain({model: Bill(usage)}, model[::-1], Usage(1, 0, 1, 0, 2))
        made.stands(draw(st.sampled_from(Status)), model, usage)
    for model, seconds in draw(st.lists(st.tuples(st.text(max_size=4), st.floats(0, 10**5)), max_size=4)):
        made.answered(model, model[::-1], seconds, usage_known=draw(st.booleans()))
    return made


@given(a=totals(), b=totals())
@settings(max_examples=60, deadline=None)
def test_totals_can_be_merged_in_any_order(a: Totals, b: Totals) -> None:
    assert a.merge(b) == b.merge(a)


@given(a=totals(), b=totals(), c=totals())
@settings(max_examples=60, deadline=None)
def test_totals_can_be_merged_in_any_groups(a: Totals, b: Totals, c: Totals) -> None:
    assert a.merge(b).merge(c) == a.merge(b.merge(c))


@given(a=totals())
@settings(max_examples=60, deadline=None)
def test_merging_nothing_changes_nothing(a: Totals) -> None:
    assert a.merge(Totals()) == a == Totals().merge(a)


@given(a=totals(), b=totals())
@settings(max_examples=40, deadline=None)
def test_merging_leaves_both_as_they_were(a: Totals, b: Totals) -> None:
    before = orjson.dumps([a.as_json(), b.as_json()])

    a.merge(b).bill("x", Bill(Usage(1, 0, 1, 0, 2)))

    assert orjson.dumps([a.as_json(), b.as_json()]) == before


@given(a=totals())
@settings(max_examples=80, deadline=None)
def test_totals_come_back_as_they_were_written(a: Totals) -> None:
    assert Totals.from_json(orjson.loads(orjson.dumps(a.as_json()))) == a


@given(a=totals())
@settings(max_examples=30, deadline=None)
def test_the_keys_never_vary(a: Totals) -> None:
    empty = Totals().as_json()

    assert list(a.as_json()) == list(empty)
    assert [type(value) for value in a.as_json().values()] == [type(value) for value in empty.values()]


def test_tokens_are_summed_over_models() -> None:
    sums = Totals(unclosed=Usage(100, 0, 200, 0, 300))
    sums.bill("o1", Bill(Usage(1, 0, 2, 1, 3), Usage(10, 0, 20, 0, 30)))
    sums.bill("o3", Bill(Usage(4, 1, 5, 0, 9)))
    sums.bill("o1", Bill(Usage(1, None, 1, None, 2)))

    assert sums.spent == Usage(6, 1, 8, 1, 14)
    assert sums.maybe_billed == Usage(110, 0, 220, 0, 330)


def test_a_bill_of_nothing_names_no_model() -> None:
    sums = Totals()

    sums.bill("o1", Bill())

    assert sums == Totals()


def test_rows_not_in_the_input_do_not_count_as_rows() -> None:
    sums = Totals(rows=Counter({Status.OK: 3, UNATTEMPTED: 2, NOT_IN_INPUT: 7}))

    assert sums.as_json()["rows"] == 5


def test_every_status_is_told_also_when_there_is_none() -> None:
    assert row_counts({"ok": 1}) == {**dict.fromkeys(ROW_COUNTS, 0), "ok": 1}


def test_answers_by_another_model_than_was_asked_are_counted() -> None:
    sums = Totals()
    sums.answered("o1-mini", "gpt-4o", 1.0, usage_known=True)
    sums.answered("o1-mini", "gpt-4o", 1.0, usage_known=False)

    assert sums.answered_as == {("o1-mini", "gpt-4o"): 2}
    assert sums.usage_missing == 1


def test_an_arrow_in_a_models_name_confuses_nobody() -> None:
    sums = Totals()
    sums.answered("a -> b", "c", 1.0, usage_known=True)
    sums.answered("a", "b -> c", 1.0, usage_known=True)

    written = sums.as_json()

    assert orjson.loads(written["answered_as"]) == [["a -> b", "c", 1], ["a", "b -> c", 1]]
    assert Totals.from_json(written) == sums


@pytest.mark.parametrize("seconds", [0.1, 0.5, 1.84, 60.0, 599.0, 3000.0])
def test_latencies_are_known_to_a_quarter(seconds: float) -> None:
    sums = Totals()
    for _ in range(10):
        sums.answered("o1", "o1", seconds, usage_known=True)

    for share in (0.5, 0.95):
        quantile = sums.latency_quantile(share)
        assert quantile is not None
        assert seconds <= quantile <= seconds * 1.26


def test_quantiles_tell_the_slow_from_the_quick() -> None:
    sums = Totals()
    for seconds in [1.0] * 90 + [100.0] * 10:
        sums.answered("o1", "o1", seconds, usage_known=True)

    assert [(sums.latency_quantile(share) or 0) < 2 for share in (0.5, 0.9, 0.95)] == [True, True, False]


def a_result(status: Status, usage: Usage, spent: Usage, model: str = "o1") -> Result:
    return Result("a", status, "", "", "", "r", model=model, usage=usage, bill=Bill(spent))


FEW, MORE = Usage(10, 0, 100, 90, 110), Usage(10, 0, 400, 300, 410)


def test_what_was_spent_on_no_answer_that_stands_was_in_vain() -> None:
    sums = Totals()
    sums.row(a_result(Status.OK, MORE, FEW + MORE), NO_PAST)
    sums.row(a_result(Status.FAILED, UNTOLD_USAGE, FEW, "o3"), NO_PAST)
    sums.row(a_result(Status.OK, MORE, MORE), NO_PAST)

    assert sums.in_vain == {"o1": FEW, "o3": FEW}
    assert sums.rows == {Status.OK: 2, Status.FAILED: 1}


def test_an_answer_that_a_better_one_replaces_was_in_vain_and_truncated_no_more() -> None:
    cut = a_result(Status.TRUNCATED, FEW, FEW)
    first, second = Totals(), Totals()
    first.row(cut, NO_PAST)
    second.row(a_result(Status.OK, MORE, FEW + MORE), Past(Status.TRUNCATED, cut.bills, (), cut))

    assert (first.truncated, first.in_vain) == ({"o1": FEW}, {})
    assert second.in_vain == {"o1": FEW}
    assert first.merge(second).truncated == {}


def test_a_row_that_keeps_its_answer_spent_the_rest_in_vain() -> None:
    cut = a_result(Status.TRUNCATED, FEW, FEW)
    kept = replace(cut, bill=Bill(FEW + MORE))
    sums = Totals()
    sums.row(kept, Past(Status.TRUNCATED, cut.bills, (), cut))

    assert (sums.in_vain, sums.truncated) == ({"o1": MORE}, {})


@pytest.mark.parametrize("tokens", [1, 16, 300, 4096, 100_000])
def test_lengths_of_answers_are_known_to_a_fifth(tokens: int) -> None:
    sums = Totals()
    for _ in range(10):
        sums.stands(Status.OK, "o1", Usage(1, 0, tokens, 0, tokens + 1))

    quantile = sums.length_quantile(0.99)
    assert quantile is not None
    assert tokens <= quantile <= max(16, 1.2 * tokens)


def test_only_whole_answers_tell_how_long_answers_are() -> None:
    sums = Totals()
    sums.stands(Status.TRUNCATED, "o1", FEW)
    sums.stands(Status.REFUSED, "o1", FEW)
    sums.stands(Status.OK, "o1", UNTOLD_USAGE)

    assert sums.length_quantile(0.5) is None


def test_totals_of_earlier_versions_can_still_be_read() -> None:
    written = Totals(attempts=3).as_json()
    for name in ("in_vain", "truncated_tokens", "lengths"):
        del written[name]

    assert Totals.from_json(written) == Totals(attempts=3)


def test_before_the_first_answer_there_is_no_latency() -> None:
    assert Totals().latency_quantile(0.5) is None


def test_an_answer_slower_than_the_last_edge_still_counts() -> None:
    sums = Totals()
    sums.answered("o1", "o1", 1e6, usage_known=True)

    assert sums.latency_quantile(0.5) == LATENCY_EDGES[-1]
    assert Totals.from_json(sums.as_json()) == sums


@given(a=st.builds(Usage, told, told, told, told, told), b=usages)
@settings(max_examples=40, deadline=None)
def test_a_number_nobody_told_adds_nothing(a: Usage, b: Usage) -> None:
    assert a + b == b + a
    assert (a + NO_USAGE) + b == a + b
    assert None not in (a + b).as_dict().values()


@given(usage=st.builds(Usage, told, told, told, told, told))
@settings(max_examples=30, deadline=None)
def test_a_usage_comes_back_as_it_was_written(usage: Usage) -> None:
    assert Usage.from_dict(usage.as_dict()) == usage


def test_an_output_that_does_not_tell_its_slow_downs_is_read() -> None:
    told = Totals(slow_downs=3).as_json()

    assert Totals.from_json(told).slow_downs == 3
    assert Totals.from_json({key: value for key, value in told.items() if key != "slow_downs"}).slow_downs == 0


@pytest.mark.parametrize(
    ("standing", "max_failed", "ok"),
    [
        pytest.param({}, "0", True, id="no rows"),
        pytest.param({"ok": 3}, "0", True, id="every row ok"),
        pytest.param({"ok": 3, "failed": 1}, "0", False, id="one failed"),
        pytest.param({"ok": 3, "truncated": 1}, "0", False, id="one truncated"),
        pytest.param({"ok": 3, "refused": 1}, "0", False, id="one refused"),
        pytest.param({"ok": 3, "unfinished": 1}, "0", False, id="one unfinished"),
        pytest.param({"ok": 3, "invalid": 1}, "0", False, id="one line broken"),
        pytest.param({"ok": 3, UNATTEMPTED: 1}, "0", False, id="one not sent"),
        pytest.param({"ok": 3, NOT_IN_INPUT: 9}, "0", True, id="others gone from the input"),
        pytest.param({"ok": 97, "failed": 1, "invalid": 1, "refused": 1}, "2", False, id="of all kinds together"),
        pytest.param({"ok": 97, "failed": 1, "invalid": 1, "refused": 1}, "3", True, id="as many of all kinds as allowed"),
    ],
)
def test_rows_that_are_not_ok_show_in_the_exit_status(standing: dict[str, int], max_failed: str, *, ok: bool) -> None:
    assert as_rows_deserve(standing, max_failed) is (ExitStatus.OK if ok else ExitStatus.ROWS_NOT_OK)
