import random

import pytest

from batch_runner.admission.finder.window import Window


def rounds(window: Window, places: int, number: int, *, steady: bool = False, busy: int | None = None) -> list[int]:
    """The size after each round of answers, of a service that slows down above so many at once."""
    luck, now, sizes = random.Random(1), 0.0, list[int]()  # noqa: S311 - a simulation's luck
    for _ in range(number):
        in_flight = int(window.size) if busy is None else busy
        now += 100.0
        for _ in range(max(40, in_flight)):
            tokens = max(1, round(500 * luck.lognormvariate(0, 0.8)))
            seconds = (5.0 if steady else tokens / 100) * max(1.0, in_flight / places) * luck.lognormvariate(0, 0.1)
            window.answered(now, now + seconds, tokens)
        window.look(now + 50, in_flight, wanted=False)
        sizes.append(int(window.size))
    return sizes


def test_it_doubles_while_answers_are_as_quick_as_ever() -> None:
    assert rounds(Window(8, 1000), 10_000, 5) == [16, 32, 64, 128, 256]


@pytest.mark.parametrize("places", [10, 50, 300])
@pytest.mark.parametrize("steady", [False, True])
def test_it_settles_a_little_above_what_a_service_does_at_full_speed(places: int, *, steady: bool) -> None:
    settled = rounds(Window(8, 8192), places, 40, steady=steady)[-10:]

    assert 0.95 * places <= min(settled)
    assert max(settled) <= 1.6 * places


def test_answers_that_take_long_whatever_their_length_are_not_slow() -> None:
    window = Window(64, 8192)
    luck = random.Random(2)  # noqa: S311

    for number in range(5000):
        window.answered(number, number + luck.uniform(0.5, 1.5), max(1, round(500 * luck.lognormvariate(0, 1.0))))
        window.look(number + 2.0, 64, wanted=False)

    assert window.size > 64


def test_nobody_takes_a_few_for_too_many() -> None:
    window = Window(8192, 8192)
    rounds(window, 10_000, 3, busy=4)

    rounds(window, 1, 10, busy=4)

    assert window.size == 8192


def test_a_service_that_is_slow_whatever_is_in_flight_gets_its_window_back() -> None:
    window, now = Window(100, 8192), 0.0
    for slow in (1, *[4] * 12):
        for _ in range(3):
            now += 100
            for number in range(200):
                window.answered(now, now + 5.0 * slow, 500 + number % 7)
            window.look(now + 50, int(window.size), wanted=False)

    assert window.size >= 100


def test_it_never_passes_its_ceiling() -> None:
    assert rounds(Window(8, 20), 10_000, 5)[-1] == 20
    assert Window(8, 5).size == 5
