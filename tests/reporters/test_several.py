from pathlib import Path
from typing import Any

import pytest

from batch_runner.exits import ExitStatus
from batch_runner.failures import Failure, FailureKind, Scope
from batch_runner.progress import RunReport, Snapshot
from batch_runner.records import PromptRow, Rejected, Result
from batch_runner.reporters.several import Several
from batch_runner.totals import Totals

REPORT = RunReport(Totals(), Totals(), ExitStatus.OK, "", Path("out.jsonl"))
FAILURE = Failure(FailureKind.TIMEOUT, Scope.ROW, "late")
SNAPSHOT: Any = object()
ROW: Any = object()
RESULT: Any = object()


class Listener:
    """Keeps what it is told; raises afterwards where it was made so."""

    def __init__(self, error: Exception | None = None) -> None:
        self.told = list[object]()
        self._error = error

    def started(self, run_id: str, to_record: int) -> None:
        self._keep((run_id, to_record))

    def update(self, snapshot: Snapshot) -> None:
        self._keep(snapshot)

    def attempt_failed(self, row_id: str, failure: Failure, wait: float | None, attempt: int) -> None:
        self._keep((row_id, failure, wait, attempt))

    def recorded(self, row: PromptRow | Rejected, result: Result) -> None:
        self._keep((row, result))

    def decided(self, decision: str) -> None:
        self._keep(decision)

    def stopping(self, reason: str) -> None:
        self._keep(reason)

    def ended(self, report: RunReport) -> None:
        self._keep(report)

    def _keep(self, thing: object) -> None:
        self.told.append(thing)
        if self._error is not None:
            raise self._error


def tell_all(several: Several) -> None:
    several.started("r", 8)
    several.update(SNAPSHOT)
    several.attempt_failed("a", FAILURE, 1.0, 2)
    several.recorded(ROW, RESULT)
    several.decided("a cut")
    several.stopping("invalid_key: no")
    several.ended(REPORT)


EVERYTHING = [("r", 8), SNAPSHOT, ("a", FAILURE, 1.0, 2), (ROW, RESULT), "a cut", "invalid_key: no", REPORT]


def test_everyone_is_told_everything() -> None:
    one, other = Listener(), Listener()

    tell_all(Several(one, other))

    assert one.told == other.told == EVERYTHING


def test_with_nobody_to_tell_it_is_silent() -> None:
    tell_all(Several())


def test_a_closed_terminal_keeps_nothing_from_the_others() -> None:
    closed, other = Listener(BrokenPipeError()), Listener()

    tell_all(Several(closed, other))

    assert other.told == EVERYTHING


def test_a_bug_in_a_reporter_is_not_hidden() -> None:
    with pytest.raises(KeyError):
        tell_all(Several(Listener(KeyError())))
