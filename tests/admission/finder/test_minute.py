import pytest

from batch_runner.admission.finder.minute import LASTS, MinuteWindow


def window(minutes: list[float], *, seconds: float = 10.0, count: int = 5) -> MinuteWindow:
    """After refusals, the last minute having let in so much a second each time, and the last seconds so few."""
    minute = MinuteWindow()
    for number, value in enumerate(minutes):
        minute.refused(100.0 + number, value, seconds, count, first=False)
    return minute


@pytest.mark.parametrize(
    ("minutes", "count", "is_window"),
    [
        pytest.param([10.0, 10.0], 5, True, id="the same count, and hardly anything of late"),
        pytest.param([10.0, 10.0], 90, False, id="the same count, as much of late"),
        pytest.param([10.0, 6.0], 5, False, id="a count that falls"),
        pytest.param([10.0], 5, False, id="one refusal"),
    ],
)
def test_a_window_of_a_minute_shows_in_a_count_that_stays_the_same(minutes: list[float], count: int, *, is_window: bool) -> None:
    assert window(minutes, count=count).on(103.0) is is_window


def test_it_is_left_when_the_count_shrinks_and_after_five_minutes() -> None:
    minute = window([10.0, 10.0])

    assert not minute.on(103.0 + LASTS)
    minute.refused(110.0, 8.0, 10.0, 5, first=False)
    assert not minute.on(111.0)


@pytest.mark.parametrize(("blocked", "is_window"), [(1.5, False), (5.0, True)])
def test_a_long_blockage_is_one_too(blocked: float, *, is_window: bool) -> None:
    minute = window([10.0], count=90)

    minute.let_in_again(105.0, blocked)

    assert minute.on(106.0) is is_window


@pytest.mark.parametrize(
    ("believed", "at_its_end", "count"),
    [(0.0, 2.0, 10.0), (5.0, 2.0, 5.0), (5.0, 6.0, 6.0), (12.0, 12.0, 10.0)],
)
def test_a_count_that_rose_counts_only_at_the_end_of_the_window(believed: float, at_its_end: float, count: float) -> None:
    assert window([10.0]).count(believed, at_its_end) == count
