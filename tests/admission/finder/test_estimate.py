import pytest

from batch_runner.admission.finder.estimate import Estimate


def after(marks: list[tuple[float, int]], *, rate: float, since_cut: float = 1.0) -> float | None:
    """What an estimate says after refusals at these moments, with so many let in by then."""
    estimate = Estimate(0.0)
    for at, admitted in marks:
        estimate.look(at - 2.0, rate)
        estimate.mark(at, admitted, rate)
        found = estimate.at_refusal(at, admitted, rate, since_cut)
    return found


@pytest.mark.parametrize(
    ("marks", "found"),
    [
        pytest.param([(10, 150), (20, 250)], 10.0, id="from one refusal to the next, whatever was saved up before"),
        pytest.param([(10, 100), (10.2, 120)], None, id="too short a stretch"),
        pytest.param([(10, 5), (20, 5)], None, id="nothing let in between"),
        pytest.param([(1, 10), (31, 310), (61, 614)], 10.067, id="over the longest stretch where it says the same"),
        pytest.param([(1, 10), (31, 310), (41, 360)], 5.0, id="over the last one where it changed"),
    ],
)
def test_the_limit_is_what_was_let_in_between_two_refusals(marks: list[tuple[float, int]], found: float | None) -> None:
    assert after(marks, rate=20.0) == (None if found is None else pytest.approx(found, rel=0.01))


def test_a_pace_that_went_well_a_moment_ago_is_leaned_to_and_doubted_when_it_did_not() -> None:
    leaning = after([(10, 100), (30, 300)], rate=12.0, since_cut=20.0)
    counted = after([(10, 100), (30, 300)], rate=12.0, since_cut=1.0)

    assert counted == pytest.approx(10.0)
    assert leaning is not None
    assert 10.5 < leaning < 12.0


def test_what_was_believed_before_a_change_is_known() -> None:
    estimate = Estimate(0.0)
    for value in (8.3, 8.4, 8.0):
        estimate.believe(value, 1.0)
    same = estimate.was

    estimate.believe(4.0, 2.0)

    assert (same, estimate.was, estimate.value) == (None, 8.0, 4.0)
