import pytest

from batch_runner.admission.finder.admitted import Admitted
from batch_runner.admission.finder.cap import HOLD_SECONDS, Cap
from batch_runner.admission.finder.window import Window


def a_window(latency: float = 10.0) -> Window:
    window = Window(100, 8192)
    for number in range(20):
        window.answered(number, number + latency, 100)
    return window


def refused(cap: Cap, levels: list[int], *, highest: int, every: float = 5.0, named: bool = False, let_in: int = 0) -> bool:
    """Refusals beside so many in flight, one after the other; whether the last one is a cap's."""
    window, verdict = a_window(), False
    for number, level in enumerate(levels):
        verdict = cap.refused(number * every, level, highest, 1.5, window, let_in=let_in, named=named, best=5.0)
    return verdict


@pytest.mark.parametrize(
    ("levels", "highest", "is_cap"),
    [
        pytest.param([80, 80, 81], 80, True, id="three refusals at one level"),
        pytest.param([80, 80], 80, False, id="two"),
        pytest.param([80, 70, 80], 80, False, id="one far below what was let in"),
        pytest.param([60, 70, 80], 60, False, id="at levels apart"),
        pytest.param([20, 20, 20], 20, False, id="three are not enough where few are in flight"),
        pytest.param([20] * 6, 20, True, id="six are"),
        pytest.param([1] * 9, 1, False, id="what is on the wire alone"),
    ],
)
def test_a_cap_shows_in_refusals_at_one_level_that_nothing_was_let_in_above(
    levels: list[int], highest: int, *, is_cap: bool
) -> None:
    assert refused(Cap(), levels, highest=highest) is is_cap


def test_refusals_of_one_moment_count_once() -> None:
    assert not refused(Cap(), [80] * 5, highest=80, every=0.1)


def test_a_service_that_says_so_is_believed_at_once() -> None:
    assert refused(Cap(), [5], highest=80, named=True)


def test_a_cap_is_none_when_much_is_let_in_and_then_refused_beside_far_fewer() -> None:
    cap = Cap()
    assert refused(cap, [80, 80, 80], highest=80)
    cap.cut(11.0, 80)

    assert not refused(cap, [60], highest=-1, let_in=10)
    assert not cap.on


def test_the_number_is_cut_to_what_was_in_flight_and_deeper_when_refusals_go_on() -> None:
    cap = Cap()

    cuts = [cap.cut(0.2 * number, 80) for number in range(5)]

    assert cuts == [80, 80, 79, 72, 72]


def test_more_are_tried_after_a_while_where_a_refusal_may_be_risked() -> None:
    cap, admitted = Cap(), Admitted(0.0)
    cap.cut(0.0, 80)

    early = cap.may_grow(HOLD_SECONDS / 2, 80, admitted, affordable=True)
    poor = cap.may_grow(HOLD_SECONDS + 1, 80, admitted, affordable=False)
    later = cap.may_grow(HOLD_SECONDS + 1, 80, admitted, affordable=True)
    steps = [cap.grow(20.0, 80), cap.grow(22.0, 81), cap.grow(24.0, 83)]

    assert (early, poor, later) == (False, False, True)
    assert steps == [1, 2, 4]


def test_up_to_where_the_last_refusal_was_it_costs_nothing() -> None:
    cap, admitted = Cap(), Admitted(0.0)
    cap.cut(0.0, 80)

    assert cap.may_grow(HOLD_SECONDS + 1, 72, admitted, affordable=False)
    assert cap.grow(HOLD_SECONDS + 1, 72) == 2
    assert cap.grow(HOLD_SECONDS + 2, 79) == 1
