import pytest

from batch_runner.admission.finder.admitted import LEAST_SILENCE, TICK, Admitted
from batch_runner.admission.finder.values import Sent


def play(admitted: Admitted, sent: list[Sent], until: float) -> None:
    """Send each at its time, and look at each tick."""
    now = 0.0
    left = list(sent)
    while now <= until:
        while left and left[0].at <= now:
            admitted.sent(left.pop(0))
        admitted.look(now, 10.0)
        now += TICK


def evenly(rate: float, seconds: float, in_flight: int = 0) -> list[Sent]:
    return [Sent(number, number / rate, in_flight) for number in range(int(rate * seconds))]


def test_who_is_not_refused_for_a_while_was_let_in() -> None:
    admitted, sent = Admitted(0.0), evenly(10, 20)

    play(admitted, sent, 25)

    assert admitted.total == 200
    assert admitted.since(10.0) == pytest.approx(100, abs=5)


def test_a_refusal_in_time_takes_a_request_out_of_the_count() -> None:
    admitted, sent = Admitted(0.0), evenly(10, 20)
    for each in sent[::4]:
        each.refused = True

    play(admitted, sent, 25)

    assert admitted.total == 150


def test_silence_is_as_long_as_three_refusals_take() -> None:
    admitted = Admitted(0.0)
    assert admitted.silence == LEAST_SILENCE

    admitted.refused(Sent(0, 0.0, 0), 2.0)

    assert admitted.silence == 6.0


def test_the_best_minute_and_the_highest_number_in_flight_are_remembered_for_a_while() -> None:
    admitted = Admitted(0.0)

    play(admitted, evenly(10, 60, in_flight=7), 61)
    best, highest = admitted.best_minute, admitted.highest(0.0)
    for tick in range(600):
        admitted.look(62 + tick * TICK, 10.0)

    assert best == pytest.approx(10.0, abs=0.2)
    assert highest == 7
    assert admitted.best_minute < 2
    assert admitted.highest(0.0) == -1


def test_what_was_sent_before_a_cut_says_nothing_of_how_many_may_be_in_flight() -> None:
    admitted = Admitted(0.0)
    admitted.sent(Sent(0, 1.0, 50))

    admitted.forget_highest(1.1)
    admitted.look(5.0, 10.0)

    assert admitted.highest(0.0) == -1
