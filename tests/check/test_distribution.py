from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from batch_runner.check.distribution import Distribution

numbers = st.lists(st.integers(0, 10**9), max_size=60)


def of(values: list[int]) -> Distribution:
    distribution = Distribution()
    for value in values:
        distribution.add(value)
    return distribution


@given(a=numbers, b=numbers, c=numbers)
def test_distributions_merge_in_any_order(a: list[int], b: list[int], c: list[int]) -> None:
    assert of(a).merge(of(b)).merge(of(c)) == of(a).merge(of(b).merge(of(c))) == of(c + b + a)
    assert of(a).merge(of(b)) == of(b).merge(of(a))


@given(values=st.lists(st.integers(0, 10**9), min_size=1, max_size=60), share=st.floats(0.01, 1))
def test_a_quantile_is_right_to_two_per_cent(values: list[int], share: float) -> None:
    wanted = sorted(values)[max(0, -int(-share * len(values) // 1) - 1)]

    found = of(values).quantile(share)

    assert found is not None
    assert wanted <= found <= wanted * 1.016 + 1


@given(values=st.lists(st.integers(0, 127), min_size=1))
def test_small_numbers_are_kept_exactly(values: list[int]) -> None:
    assert of(values).quantile(0.5) == sorted(values)[(len(values) + 1) // 2 - 1]


@given(values=st.lists(st.integers(0, 10**9), min_size=1, max_size=60), most=st.integers(1, 12))
def test_the_bars_hold_every_number_once_and_leave_no_gap(values: list[int], most: int) -> None:
    bars = of(values).bars(most)

    assert sum(bar.count for bar in bars) == len(values)
    assert len(bars) <= most
    assert (bars[0].low, bars[-1].high) == (min(values), max(values))
    assert all(before.high + 1 == after.low for before, after in pairwise(bars))
    for bar in bars:
        assert bar.count == sum(bar.low <= value <= bar.high for value in values)


def test_nothing_has_no_middle() -> None:
    assert (of([]).quantile(0.5), of([]).bars(), of([]).total) == (None, [], 0)


def test_a_million_numbers_take_little_room() -> None:
    assert len(of(list(range(0, 10**9, 10**5)))._buckets) < 1000
