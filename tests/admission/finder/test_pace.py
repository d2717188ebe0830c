import math
from itertools import pairwise

import pytest

from batch_runner.admission.finder.pace import SHARED_CATCH_UP_SECONDS, Pace


def permits(pace: Pace, count: int, now: float = 0.0) -> list[float]:
    """When each of `count` requests may go, that wait from a moment on."""
    at = list[float]()
    for _ in range(count):
        now += max(0.0, pace.left(now))
        pace.sent(now)
        at.append(now)
    return at


def most_in_a_second(at: list[float]) -> int:
    """The most permits that any second holds, wherever it begins."""
    most = first = 0
    for last, moment in enumerate(at):
        while moment - at[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.parametrize("rate", [0.1, 1, 10, 100, 1000])
def test_requests_pass_at_the_rate(rate: float) -> None:
    at = permits(Pace(rate, 0.0), 60)

    ideal = 59 / rate
    assert ideal - 0.001 <= at[-1] <= ideal + 0.001


@pytest.mark.parametrize("per_second", [1, 10, 50, 500, 1000])
def test_a_second_without_requests_is_no_credit(per_second: int) -> None:
    pace = Pace(per_second, 0.0)
    before = permits(pace, per_second)

    after = permits(pace, 3 * per_second, before[-1] + 1.0)

    assert most_in_a_second(before + after) <= math.ceil(1.02 * per_second) + 2


@pytest.mark.parametrize("rate", [1 / 60, 1, 10, 50, 500, 1000])
def test_a_run_does_not_begin_with_a_burst(rate: float) -> None:
    at = permits(Pace(rate, 0.0), 100)

    assert at[0] == 0
    assert at == pytest.approx([number / rate for number in range(100)])


@pytest.mark.parametrize("per_second", [50, 500, 1000])
def test_a_late_timer_catches_up_a_little_and_no_more(per_second: int) -> None:
    pace = Pace(per_second, 0.0)
    permits(pace, 5)

    at = permits(pace, per_second, 10.0)

    assert sum(moment < 10.001 for moment in at) <= per_second * 0.021 + 3
    assert at[-1] - 10.0 >= 1.0 - 0.02 - 3 / per_second - 0.001


def test_beside_a_token_limit_a_second_is_saved() -> None:
    pace = Pace(10, 0.0, beside_tokens=True)
    permits(pace, 5)

    at = permits(pace, 20, 10.0)

    assert sum(moment == 10.0 for moment in at) == pytest.approx(10 * SHARED_CATCH_UP_SECONDS, abs=3)


def test_a_changed_rate_prices_the_wait_in_progress_anew() -> None:
    pace = Pace(0.1, 0.0)
    pace.sent(0.0)

    pace.change(1.0, 5.0)

    assert pace.left(5.0) == pytest.approx(0.5)


def test_nobody_goes_before_a_moment_that_is_held_and_all_go_evenly_after_it() -> None:
    pace = Pace(10, 0.0)
    pace.hold(7.0)

    at = permits(pace, 5)

    assert at[0] == 7.0
    assert [later - sooner for sooner, later in pairwise(at)] == pytest.approx([0.1] * 4)


def test_a_pace_that_is_released_lets_the_next_one_go_at_once() -> None:
    pace = Pace(10, 0.0)
    pace.hold(7.0)

    pace.release(2.0)

    assert permits(pace, 2, 2.0) == pytest.approx([2.0, 2.1])
