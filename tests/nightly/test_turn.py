from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from batch_runner.failures import CannotStart, OutputBusy
from batch_runner.nightly.turn import turn

if TYPE_CHECKING:
    from pathlib import Path


def test_a_second_run_of_a_job_has_no_turn(tmp_path: Path) -> None:
    path = tmp_path / "results/nightly.job"
    with (
        turn(path, "nightly", by_kernel=True, wait=lambda _busy: False),
        pytest.raises(OutputBusy, match=r"the job nightly is held by another run \(process \d+ on "),
        turn(path, "nightly", by_kernel=True, wait=lambda _busy: False),
    ):
        pass


def test_a_second_run_may_wait_for_its_turn(tmp_path: Path) -> None:
    path, slept, first = tmp_path / "nightly.job", list[float](), ExitStack()
    first.enter_context(turn(path, "nightly", by_kernel=True, wait=lambda _busy: False))

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            first.close()

    with turn(path, "nightly", by_kernel=True, wait=lambda _busy: True, sleep=sleep):
        assert len(slept) == 3


def test_a_lock_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")

    with (
        pytest.raises(CannotStart, match=r"results: can't be made: File exists"),
        turn(tmp_path / "results/nightly.job", "nightly", by_kernel=True, wait=lambda _busy: False),
    ):
        pass
