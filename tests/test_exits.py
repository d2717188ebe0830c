import pytest

from batch_runner.exits import PRECEDENCE, ExitStatus, gravest

E = ExitStatus


@pytest.mark.parametrize(
    ("statuses", "gravest_one"),
    [
        pytest.param([], E.OK, id="nothing happened"),
        pytest.param([E.OK, E.ROWS_NOT_OK], E.ROWS_NOT_OK, id="rows"),
        pytest.param([E.ROWS_NOT_OK, E.STOPPED_BY_SERVICE], E.STOPPED_BY_SERVICE, id="the service before rows"),
        pytest.param([E.STOPPED_BY_SERVICE, E.INTERRUPTED], E.INTERRUPTED, id="a person before the service"),
        pytest.param([E.TERMINATED, E.OUTPUT_LOST], E.OUTPUT_LOST, id="the output before a person"),
        pytest.param([E.OUTPUT_LOST, E.BUG, E.OK], E.BUG, id="a bug before all"),
        pytest.param([E.SPEND_CAP, E.STOPPED_BY_SERVICE], E.STOPPED_BY_SERVICE, id="the service before the cap"),
    ],
)
def test_when_several_hold_the_gravest_counts(statuses: list[ExitStatus], gravest_one: ExitStatus) -> None:
    assert gravest(*statuses) is gravest_one
    assert gravest(*reversed(statuses)) is gravest_one


def test_statuses_are_the_numbers_that_were_promised() -> None:
    """A scheduler acts on them: none may ever change."""
    assert {status.name: status.value for status in ExitStatus} == {
        "OK": 0,
        "USAGE": 2,
        "CANNOT_START": 3,
        "STOPPED_BY_SERVICE": 4,
        "SPEND_CAP": 5,
        "OUTPUT_LOST": 6,
        "ROWS_NOT_OK": 10,
        "BUG": 70,
        "BUSY": 75,
        "INTERRUPTED": 130,
        "TERMINATED": 143,
    }


def test_whatever_ends_a_run_that_began_has_its_place() -> None:
    assert set(PRECEDENCE) == set(ExitStatus) - {E.USAGE, E.BUSY}
