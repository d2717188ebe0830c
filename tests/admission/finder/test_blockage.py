import pytest

from batch_runner.admission.finder.blockage import LONG_GAP, LONG_SECONDS, MOST_GAP, Blockage


def looks(blockage: Blockage, since: float, until: float, rate: float = 10.0) -> list[float]:
    """When one request looks, while nothing is let in."""
    at, now = list[float](), blockage.begin(since, rate)
    while now < until:
        at.append(now)
        now = blockage.refused(now)
    return at


def test_one_looks_after_half_a_second_and_then_less_and_less_often() -> None:
    assert looks(Blockage(), 0.0, 25.0) == [0.5, 1.5, 3.5, 7.5, 12.5, 17.5, 22.5]


def test_no_window_lasts_minutes_so_later_looks_are_rare() -> None:
    at = looks(Blockage(), 0.0, 3600.0)

    assert at[-1] - at[-2] == LONG_GAP
    assert sum(moment < LONG_SECONDS for moment in at) > LONG_SECONDS / MOST_GAP - 1
    assert len(at) < 100


def test_where_few_are_sent_the_first_look_takes_its_time() -> None:
    assert looks(Blockage(), 0.0, 3.0, rate=1.0) == [2.0]


@pytest.mark.parametrize("phase", [0.0, 13.3])
def test_windows_that_ended_twice_a_minute_apart_are_looked_at_right_when_they_end(phase: float) -> None:
    blockage = Blockage()
    for end in (60.0 + phase, 120.0 + phase):
        blockage.begin(end - 10, 10.0)
        blockage.end(end, of_a_window=True)

    at = looks(blockage, 172.0 + phase, 185.0 + phase)

    assert min(abs(moment - (180.0 + phase)) for moment in at) <= 0.31


def test_a_pause_of_a_moment_is_no_end_of_a_window() -> None:
    blockage = Blockage()
    for end in (60.0, 120.0):
        blockage.begin(end - 1, 10.0)
        blockage.end(end, of_a_window=True)

    assert looks(blockage, 177.0, 181.0) == [177.5, 178.5, 180.5]


def test_it_is_remembered_when_nothing_was_let_in_last() -> None:
    blockage = Blockage()
    blockage.begin(100.0, 10.0)
    blockage.refused(101.5)
    blockage.end(103.0, of_a_window=True)

    assert (blockage.since, blockage.closed_at) == (100.0, 101.5)
