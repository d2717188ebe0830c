import pytest

from batch_runner.admission.finder.chance import Chance


def fall(chance: Chance, *shares: float, paces: tuple[float, ...] = (), each: int = 100) -> float | None:
    """Refusals at falling paces: before each but the first `each` attempts were sent, and such a share of them refused."""
    attempts, refused = 0, 1
    back = chance.refused(10.0, attempts, refused)
    for number, share in enumerate(shares, 1):
        attempts, refused = attempts + each, refused + round(share * each)
        back = back or chance.refused(paces[number - 1] if paces else 10.0 * 0.85**number, attempts, refused)
    return back


@pytest.mark.parametrize(("share", "refusals"), [(0.5, 5), (0.1, 9), (0.02, 9)])
def test_cuts_that_dont_change_the_share_refused_are_taken_back(share: float, refusals: int) -> None:
    chance = Chance()

    assert fall(chance, *[share] * refusals) == 10.0
    assert chance.share == pytest.approx(share, rel=0.2)
    assert chance.tries == pytest.approx(1 / (1 - share), rel=0.1)


@pytest.mark.parametrize(
    "shares",
    [
        pytest.param((0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02), id="a limit that comes nearer"),
        pytest.param((0.3, 0.3, 0.4, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0), id="a window that is used up"),
        pytest.param((0.007,) * 12, id="probes"),
        pytest.param((0.3, 0.3), id="two cuts"),
    ],
)
def test_a_limit_isnt_taken_for_chance(shares: tuple[float, ...]) -> None:
    chance = Chance()

    assert fall(chance, *shares) is None
    assert chance.share == 0.0


def test_refusals_at_one_pace_are_a_limits() -> None:
    assert fall(Chance(), *[0.3] * 20, paces=(9.9, 10.0) * 10) is None


def test_a_small_share_shows_only_where_the_pace_fell_each_time() -> None:
    paces = (9.0, 8.0, 7.0, 7.5, 6.5, 7.0, 6.0, 6.2, 5.5, 5.8, 5.0)

    assert fall(Chance(), *[0.03] * 11, paces=paces) is None
    assert fall(Chance(), *[0.1] * 11, paces=paces) == 10.0


@pytest.mark.parametrize(("every", "excused"), [(10, 1.0), (3, 0.6)])
def test_what_comes_at_any_pace_is_excused_and_more_than_that_isnt(every: int, excused: float) -> None:
    chance, outcomes = Chance(), list[bool]()
    fall(chance, *[0.1] * 9)

    for number in range(3000):
        chance.sent(0.0)
        if number % every == 0:
            outcomes.append(chance.excuses())

    assert sum(outcomes) / len(outcomes) == pytest.approx(excused, abs=0.2)


def test_nothing_is_excused_before_anything_shows_that_the_pace_isnt_to_blame() -> None:
    chance = Chance()
    for _ in range(1000):
        chance.sent(5.0)

    assert not chance.excuses()


def test_a_share_that_fell_while_the_pace_was_held_is_believed_and_one_that_rose_isnt() -> None:
    chance = Chance()
    fall(chance, *[0.1] * 9)
    found = chance.share

    chance.held(1300, 391)
    assert chance.share == found

    chance.held(100_000, 391)
    assert chance.share == 0.0
    assert chance.tries == 1.0
