import pytest

from batch_runner.exits import PRECEDENCE, ExitStatus, deserved, gravest

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
        "DEADLINE": 7,
        "ROWS_NOT_OK": 10,
        "DRIFTED": 11,
        "BUG": 70,
        "BUSY": 75,
        "INTERRUPTED": 130,
        "TERMINATED": 143,
    }


def test_whatever_ends_a_run_that_began_has_its_place() -> None:
    assert set(PRECEDENCE) == set(ExitStatus) - {E.USAGE, E.BUSY}


@pytest.mark.parametrize(
    ("rows", "rows_ok", "max_failed", "ok"),
    [
        pytest.param(0, 0, "0", True, id="no rows"),
        pytest.param(3, 3, "0", True, id="every row ok"),
        pytest.param(4, 3, "0", False, id="one not ok"),
        pytest.param(100, 98, "2", True, id="as many as allowed"),
        pytest.param(100, 97, "2", False, id="one more than allowed"),
        pytest.param(100, 99, "1%", True, id="just the share"),
        pytest.param(100, 98, "1%", False, id="more than the share"),
        pytest.param(1000, 995, "0.5%", True, id="half a per cent"),
        pytest.param(1000, 994, "0.5%", False, id="more than half a per cent"),
        pytest.param(1000, 677, "32.3%", True, id="just a share that no float hits"),
        pytest.param(10_000, 9943, "0.57%", True, id="just another"),
        pytest.param(10_000, 9942, "0.57%", False, id="more than another"),
        pytest.param(5, 0, "100%", True, id="whatever happens"),
        pytest.param(1000, 1, "1_000", True, id="a large number"),
    ],
)
def test_rows_that_are_not_ok_show_in_the_exit_status(rows: int, rows_ok: int, max_failed: str, *, ok: bool) -> None:
    assert deserved(rows=rows, ok=rows_ok, max_failed=max_failed) is (E.OK if ok else E.ROWS_NOT_OK)
