import io
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from batch_runner.exits import ExitStatus
from batch_runner.failures import Failure, FailureKind, Scope
from batch_runner.pricing import Prices
from batch_runner.progress import RunReport, Snapshot
from batch_runner.reporters.live import Live
from batch_runner.totals import Totals

SNAPSHOT = Snapshot(30.0, 2, 8, Counter(ok=4), Totals(rows=Counter(ok=2)), 4, 0.0, 0.0, "", "", draining=False)
FAILURE = Failure(FailureKind.SERVER_ERROR, Scope.ROW, "[bold]oops[/bold] [/x]")
REPORT = RunReport(Totals(), Totals(), ExitStatus.OK, "", Path("out.jsonl"))


def shown(*, verbose: bool, stopping: str = "") -> str:
    """What a terminal is sent during a short run."""
    screen = io.StringIO()
    live = Live(Console(file=screen, force_terminal=True, width=120, color_system=None), Prices(), verbose=verbose)
    live.started("r", 8)
    live.update(SNAPSHOT)
    live.attempt_failed("a", FAILURE, None, 1)
    if stopping:
        live.stopping(stopping)
    live.ended(REPORT)
    return screen.getvalue()


def test_the_numbers_that_matter_are_shown() -> None:
    assert "2/8 rows, 2 ok, 4/min, 0 tokens, 1 min 30 s left" in shown(verbose=False)


def test_the_services_words_are_shown_as_they_are_and_only_when_asked_for() -> None:
    assert "[bold]oops[/bold] [/x]" in shown(verbose=True)
    assert "oops" not in shown(verbose=False)


@pytest.mark.parametrize("verbose", [True, False])
def test_why_the_service_ended_the_run_is_shown_as_it_was_said(*, verbose: bool) -> None:
    screen = shown(verbose=verbose, stopping="invalid_key: [bold]no[/bold] [/x]\n\x1b[2Jgone")

    assert "stopping: invalid_key: [bold]no[/bold] [/x] \\x1b[2Jgone; waiting for the answers on their way" in screen
    assert "stopping" not in shown(verbose=verbose)
