import pytest

from batch_runner.admission.trust import FIRST_SECONDS, Trust, contradicted


def believed_for(trust: Trust, rate: float, now: float) -> float:
    """Seconds for which a limit named now is believed."""
    trust.name(rate, now)
    return next(seconds for seconds in range(100_000) if trust.expired(now + seconds))


def test_what_is_named_again_is_believed_for_twice_as_long() -> None:
    trust = Trust()

    seconds = [believed_for(trust, 10.0, 1000.0 * number) for number in range(3)]

    assert seconds == [FIRST_SECONDS, 2 * FIRST_SECONDS, 4 * FIRST_SECONDS]


def test_another_limit_is_believed_for_as_long_as_the_first_one() -> None:
    trust = Trust()
    believed_for(trust, 10.0, 0.0)

    assert believed_for(trust, 20.0, 1000.0) == FIRST_SECONDS


def test_the_same_limit_heard_again_while_it_is_believed_changes_nothing() -> None:
    trust = Trust()
    trust.name(10.0, 0.0)

    trust.name(10.0, FIRST_SECONDS - 1)

    assert trust.expired(FIRST_SECONDS)
    assert trust.named is None


@pytest.mark.parametrize("a_minute", [3, 20])
def test_few_requests_a_minute_are_believed_for_two_hundred_of_them(a_minute: int) -> None:
    assert believed_for(Trust(), a_minute / 60, 0.0) == pytest.approx(200 * 60 / a_minute, abs=1)


def test_a_limit_on_tokens_is_believed_for_two_hundred_requests() -> None:
    trust = Trust()

    trust.name(500.0, 0.0, a_request=5000.0)

    assert not trust.expired(1999.0)
    assert trust.expired(2000.0)


@pytest.mark.parametrize(
    ("let_in", "seconds", "contradicts"),
    [
        pytest.param(60, 1, False, id="a full bucket"),
        pytest.param(180, 120, False, id="a full bucket and two minutes"),
        pytest.param(200, 120, True, id="more than that"),
    ],
)
def test_more_let_in_than_a_limit_allows_shows_that_it_is_somebody_elses(
    let_in: float, seconds: float, *, contradicts: bool
) -> None:
    assert contradicted(1.0, let_in, seconds) is contradicts
