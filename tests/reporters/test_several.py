from pathlib import Path
from typing import Any

import pytest

from batch_runner.exits import ExitStatus
from batch_runner.failures import Failure, FailureKind, Scope
from batch_runner.progress import Outlook, RunReport, Snapshot
from batch_runner.reporters.several import Several
from batch_runner.totals import Totals

REPORT = RunReport(Totals(), Totals(), ExitStatus.OK, "", Path("out.jsonl"))
FAILURE = Failure(FailureKind.TIMEOUT, Scope.ROW, "late")
OUTLOOK: Any = object()
SNAPSHOT: Any = object()


class Listener:
    """Keeps what it is told; raises afterwards where it was made so."""

    def __init__(self, error: Exception | None = None) -> None:
        self.told = list[object]()
        self._error = error

    def started(self, outlook: Outlook) -> None:
        self._keep(outlook)

    def update(self, snapshot: Snapshot) -> None:
        self._keep(snapshot)

    def attempt_failed(self, row_id: str, failure: Failure, wait: float | None) -> None:
        self._keep((row_id, failure, wait))

    def ended(self, report: RunReport) -> None:
        self._keep(report)

    def _keep(self, thing: object) -> None:
        self.told.append(thing)
        if self._error is not None:
            raise self._error


def tell_all(several: Several) -> None:
    several.started(OUTLOOK)
    several.update(SNAPSHOT)
    several.attempt_failed("a", FAILURE, 1.0)
    several.ended(REPORT)


EVERYTHING = [OUTLOOK, SNAPSHOT, ("a", FAILURE, 1.0), REPORT]


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
