"""Laws that every limiter keeps, whatever comes: never more than the limit, and a wait that is neither too short nor too long."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_runner.fake_server.limits.allowance import Allowance
from batch_runner.fake_server.limits.meters import FixedWindow, Meter, SlidingWindow, TokenBucket

WINDOW = 60.0
LIMIT = 10
A_LITTLE = 1e-6

arrivals = st.lists(
    st.tuples(st.integers(0, 20_000).map(lambda tenths: tenths / 100), st.integers(1, LIMIT)), min_size=1, max_size=60
).map(sorted)
meters = st.sampled_from([TokenBucket, FixedWindow, SlidingWindow])


def passed(meter: Meter, coming: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """The arrivals that fitted."""
    through = []
    for now, amount in coming:
        if meter.wait(now, amount) == 0:
            meter.take(now, amount)
            through.append((now, amount))
    return through


@given(arrivals)
def test_a_bucket_never_lets_more_through_than_its_depth_and_what_flowed_in(coming: list[tuple[float, int]]) -> None:
    through = passed(TokenBucket(Allowance(LIMIT, WINDOW), burst=LIMIT), coming)

    for first in range(len(through)):
        for last in range(first, len(through)):
            amount = sum(amount for _, amount in through[first : last + 1])
            assert amount <= LIMIT + (through[last][0] - through[first][0]) * LIMIT / WINDOW + A_LITTLE


@given(arrivals)
def test_a_fixed_window_never_lets_more_through_between_two_boundaries(coming: list[tuple[float, int]]) -> None:
    through = passed(FixedWindow(Allowance(LIMIT, WINDOW)), coming)

    for window in {math.floor(now / WINDOW) for now, _ in through}:
        assert sum(amount for now, amount in through if math.floor(now / WINDOW) == window) <= LIMIT


@given(arrivals)
def test_a_sliding_window_never_lets_more_through_in_any_window(coming: list[tuple[float, int]]) -> None:
    through = passed(SlidingWindow(Allowance(LIMIT, WINDOW)), coming)

    for end, _ in through:
        assert sum(amount for now, amount in through if end - WINDOW + A_LITTLE < now <= end) <= LIMIT


@given(meters, arrivals, st.integers(1, LIMIT))
def test_the_wait_that_is_told_is_enough_and_not_too_much(
    make: type[TokenBucket | FixedWindow | SlidingWindow], coming: list[tuple[float, int]], amount: int
) -> None:
    meter = make(Allowance(LIMIT, WINDOW))
    passed(meter, coming)
    now = coming[-1][0]

    wait = meter.wait(now, amount)

    if wait > A_LITTLE:
        assert meter.wait(now + wait - A_LITTLE, amount) > 0
    assert meter.wait(now + wait + A_LITTLE, amount) == 0


@given(meters, arrivals)
def test_everything_is_free_again_when_it_is_said_to_be(
    make: type[TokenBucket | FixedWindow | SlidingWindow], coming: list[tuple[float, int]]
) -> None:
    meter = make(Allowance(LIMIT, WINDOW))
    passed(meter, coming)
    now = coming[-1][0]

    later = now + meter.full_in(now) + A_LITTLE

    assert meter.room(later) == pytest.approx(LIMIT)
