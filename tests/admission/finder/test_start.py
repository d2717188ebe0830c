import pytest

from batch_runner.admission.finder import Ceilings
from batch_runner.admission.finder.start import FIRST_RATE, LEAST_ANSWERS, LEAST_DOUBLING, MOST_DOUBLING, Start
from batch_runner.admission.finder.window import Window

TICK = 0.25
ANY_RATE = 1e9


def doubles_in(latency: float, answers: int = LEAST_ANSWERS) -> float:
    """Seconds in which the pace doubles after so many answers that took so long."""
    window, start = Window(8, 8000), Start(Ceilings(), 0.0)
    for _ in range(answers):
        window.answered(0.0, latency, 100)
    first = start.rate(0.0, window, ANY_RATE, 1.0)
    return next(tick * TICK for tick in range(1, 100) if start.rate(tick * TICK, window, ANY_RATE, 1.0) >= 2 * first)


@pytest.mark.parametrize(
    ("latency", "seconds"),
    [(0.02, LEAST_DOUBLING), (0.1, 1.0), (0.5, MOST_DOUBLING), (10.0, MOST_DOUBLING)],
)
def test_quick_answers_allow_a_quick_start(latency: float, seconds: float) -> None:
    assert doubles_in(latency) == seconds


@pytest.mark.parametrize("answers", [0, 1, LEAST_ANSWERS - 1])
def test_before_enough_answers_are_there_nobody_believes_that_they_are_quick(answers: int) -> None:
    assert doubles_in(0.02, answers) == MOST_DOUBLING


def test_the_pace_never_outgrows_what_is_in_flight() -> None:
    assert Start(Ceilings(), 0.0).rate(0.0, Window(8, 8000), 3.0, 1.0) == 3.0


def test_a_hint_is_where_it_begins_and_passing_it_is_told_once() -> None:
    start = Start(Ceilings(), 0.0)
    start.hint(50.0, 0.0)

    assert start.rate(0.0, Window(8, 8000), ANY_RATE, 0.98) == 49.0
    assert [start.passes_hint(rate) for rate in (49.0, 51.0, 52.0)] == [False, True, False]


def test_a_hint_below_the_first_pace_slows_nothing_down_here() -> None:
    start = Start(Ceilings(), 0.0)
    start.hint(1.0, 0.0)

    assert start.rate(0.0, Window(8, 8000), ANY_RATE, 0.98) == FIRST_RATE
