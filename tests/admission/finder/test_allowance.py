import pytest

from batch_runner.admission.finder.allowance import (
    EARNED,
    EARNED_SLOWLY,
    FIRST,
    LEAST,
    LEAST_OF_WINDOW,
    MOST,
    MOST_SECONDS,
    Allowance,
)


@pytest.mark.parametrize(("rate", "earned"), [(10.0, EARNED), (1.0, EARNED_SLOWLY)])
def test_each_request_earns_its_share_of_a_refusal(rate: float, earned: float) -> None:
    allowance = Allowance()
    for _ in range(9):
        allowance.refused(window=False)
    before = allowance.left

    for _ in range(100):
        allowance.sent(rate)

    assert allowance.left - before == pytest.approx(100 * earned)


def test_a_run_begins_with_some_and_a_storm_of_refusals_leaves_a_debt_that_can_be_paid() -> None:
    allowance = Allowance()
    assert (allowance.left, allowance.enough) == (FIRST, True)

    for _ in range(1000):
        allowance.refused(window=False)

    assert (allowance.left, allowance.enough) == (LEAST, False)


def test_a_window_of_a_minute_may_owe_more() -> None:
    allowance = Allowance()
    for _ in range(1000):
        allowance.refused(window=True)

    assert allowance.left == LEAST_OF_WINDOW


def test_nothing_is_saved_without_end() -> None:
    allowance = Allowance()
    for _ in range(100_000):
        allowance.sent(50.0)

    assert allowance.left == pytest.approx(MOST + MOST_SECONDS * 50)


def test_time_alone_earns_one_so_that_a_pace_far_too_low_is_left_again() -> None:
    allowance = Allowance()
    for _ in range(1000):
        allowance.refused(window=False)

    for _ in range(3600):
        allowance.passed(1.0)

    assert allowance.left == 1.0
