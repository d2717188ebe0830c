"""The three shapes of a limit, against sequences worked out by hand; the clock is a number in the test."""

import math

import pytest

from batch_runner.fake_server.limits.allowance import Allowance, allowance_of
from batch_runner.fake_server.limits.meters import FixedWindow, Meter, SlidingWindow, TokenBucket
from batch_runner.fake_server.limits.values import Change, RateLimit, Tenant

SIX_A_MINUTE = Allowance(6, 60.0)


def admitted(meter: Meter, times: list[float], amount: float = 1) -> list[float]:
    """The times at which an amount fitted, and was taken."""
    passed = []
    for now in times:
        if meter.wait(now, amount) == 0:
            meter.take(now, amount)
            passed.append(now)
    return passed


def test_a_bucket_lets_its_whole_depth_through_and_then_one_per_refill() -> None:
    bucket = TokenBucket(SIX_A_MINUTE)

    assert admitted(bucket, [0, 0, 0, 0, 0, 0, 0, 9, 10, 10, 19, 20]) == [0, 0, 0, 0, 0, 0, 10, 20]


def test_a_bucket_says_exactly_how_long_an_amount_takes() -> None:
    bucket = TokenBucket(SIX_A_MINUTE)
    bucket.take(0, 6)

    assert bucket.wait(0, 1) == pytest.approx(10)
    assert bucket.wait(4, 1) == pytest.approx(6)
    assert bucket.full_in(4) == pytest.approx(56)


def test_a_shallow_bucket_saves_nothing_up_beyond_its_depth() -> None:
    bucket = TokenBucket(SIX_A_MINUTE, burst=2)

    assert admitted(bucket, [0, 0, 0, 100, 100, 100]) == [0, 0, 100, 100]


def test_a_bucket_in_debt_waits_until_the_debt_is_paid() -> None:
    bucket = TokenBucket(SIX_A_MINUTE)
    bucket.take(0, 9)

    assert bucket.room(0) == -3
    assert bucket.wait(0, 1) == pytest.approx(40)


def test_a_fixed_window_forgets_everything_at_its_boundary() -> None:
    window = FixedWindow(Allowance(2, 60.0))

    assert admitted(window, [50, 58, 59, 60, 61, 62, 119, 120]) == [50, 58, 60, 61, 120]


def test_a_fixed_window_waits_for_its_boundary() -> None:
    window = FixedWindow(Allowance(2, 60.0))
    window.take(50, 2)

    assert window.wait(58, 1) == pytest.approx(2)
    assert window.full_in(58) == pytest.approx(2)
    assert window.full_in(61) == 0


def test_a_sliding_window_remembers_across_the_minute() -> None:
    window = SlidingWindow(Allowance(2, 60.0))

    assert admitted(window, [50, 58, 60, 109, 110, 117, 118]) == [50, 58, 110, 118]


def test_a_sliding_window_waits_for_as_much_of_the_oldest_as_is_needed() -> None:
    window = SlidingWindow(Allowance(10, 60.0))
    window.take(0, 6)
    window.take(5, 4)

    assert window.wait(10, 6) == pytest.approx(50)
    assert window.wait(10, 7) == pytest.approx(55)
    assert window.full_in(10) == pytest.approx(55)


@pytest.mark.parametrize("meter", [TokenBucket(SIX_A_MINUTE), FixedWindow(SIX_A_MINUTE), SlidingWindow(SIX_A_MINUTE)])
def test_what_is_larger_than_the_limit_never_fits(meter: Meter) -> None:
    assert meter.wait(0, 7) == math.inf


@pytest.mark.parametrize("meter", [TokenBucket(SIX_A_MINUTE), FixedWindow(SIX_A_MINUTE), SlidingWindow(SIX_A_MINUTE)])
def test_what_is_given_back_can_be_taken_again(meter: Meter) -> None:
    ticket = meter.take(0, 6)

    meter.give_back(ticket, 4, 1e-6)

    assert meter.wait(1e-6, 4) == 0
    assert meter.wait(1e-6, 5) > 0


def test_a_fixed_window_gives_nothing_back_to_a_later_window() -> None:
    window = FixedWindow(SIX_A_MINUTE)
    ticket = window.take(59, 6)
    window.take(60, 6)

    window.give_back(ticket, 6, 61)

    assert window.room(61) == 0


def test_a_sliding_window_forgets_less_after_something_was_given_back() -> None:
    window = SlidingWindow(SIX_A_MINUTE)
    ticket = window.take(0, 6)
    window.give_back(ticket, 4, 10)

    assert window.room(59) == 4
    assert window.room(60) == 6


def test_refusals_empty_a_bucket_but_make_no_debt() -> None:
    bucket = TokenBucket(SIX_A_MINUTE)
    bucket.take(0, 5.5)

    bucket.punish(0, 1)
    bucket.punish(0, 1)

    assert bucket.room(0) == 0


def test_who_hammers_a_counting_sliding_window_keeps_it_shut() -> None:
    window = SlidingWindow(Allowance(1, 60.0))
    window.take(0, 1)

    for now in range(30, 300, 30):
        assert window.wait(now, 1) > 0
        window.punish(now, 1)


def test_a_limit_per_second_saves_nothing_up() -> None:
    limit = RateLimit("requests", 120, quantum=1.0, shape="fixed")
    window = FixedWindow(allowance_of(limit, SIX_A_MINUTE.dice))

    assert admitted(window, [0, 0.1, 0.2, 0.9, 1.0, 1.1, 1.2]) == [0, 0.1, 1.0, 1.1]


def test_a_limit_changes_at_its_time() -> None:
    allowance = Allowance(60, 60.0, (Change(100, 30), Change(200, 120)))

    assert [allowance.rate(now) for now in (0, 99, 100, 199, 200)] == [1, 1, 0.5, 0.5, 2]
    assert allowance.between(90, 210) == pytest.approx(10 + 50 + 20)


def test_a_bucket_fills_at_the_rate_of_each_moment() -> None:
    bucket = TokenBucket(Allowance(60, 60.0, (Change(10, 30),)), burst=60)
    bucket.take(0, 60)

    assert bucket.room(20) == pytest.approx(10 + 5)


def test_another_tenant_takes_another_share_each_time() -> None:
    tenant = Tenant(low=0.4, high=0.8, every=30)
    allowance = Allowance(60, 60.0, tenant=tenant)

    rates = [allowance.rate(now) for now in (0, 29, 30, 60)]

    assert rates[0] == rates[1] != rates[2] != rates[3]
    assert all(0.2 <= rate <= 0.6 for rate in rates)
    assert allowance.limit(0) == 60
    assert allowance.between(0, 60) == pytest.approx(30 * rates[0] + 30 * rates[2])
