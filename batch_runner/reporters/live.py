"""A run as one line at the bottom of a terminal, redrawn as it goes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from batch_runner.clock import timestamp
from batch_runner.reporters.lines import PauseNews, failure_in_words, progress_in_words
from batch_runner.reporters.wording import one_line

if TYPE_CHECKING:
    from rich.console import Console

    from batch_runner.failures import Failure
    from batch_runner.pricing import Prices
    from batch_runner.progress import RunReport, Snapshot
    from batch_runner.records import PromptRow, Rejected, Result


BAR = 16


class Live:
    """A bar and the numbers that matter; gone when the run ends, the summary takes its place."""

    def __init__(self, console: Console, prices: Prices, *, verbose: bool) -> None:
        self._console = console
        self._prices = prices
        self._verbose = verbose
        self._pauses = PauseNews()
        words = TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis"))
        self._bar = Progress(BarColumn(bar_width=BAR), words, console=console, transient=True, refresh_per_second=4)

    def started(self, _run_id: str, to_record: int) -> None:
        """Draw it."""
        self._task = self._bar.add_task("starting", total=to_record)
        self._bar.start()

    def update(self, snapshot: Snapshot) -> None:
        """Redraw it."""
        if (news := self._pauses.of(snapshot, time.time())) is not None:
            self._console.print(f"{timestamp(time.time())} {news}", markup=False)
        words = progress_in_words(snapshot, self._prices, self._console.width - BAR - 1)
        self._bar.update(self._task, completed=snapshot.recorded, description=words)

    def attempt_failed(self, row_id: str, failure: Failure, wait: float | None, _attempt: int) -> None:
        """A line above it, when asked to be verbose."""
        if self._verbose:
            self._console.print(failure_in_words(row_id, failure, wait), markup=False)

    def recorded(self, row: PromptRow | Rejected, result: Result) -> None:
        """Nothing: the counts tell."""

    def decided(self, decision: str) -> None:
        """A line above it."""
        self._console.print(f"{timestamp(time.time())} limits: {decision}", markup=False)

    def stopping(self, reason: str) -> None:
        """A line above it, so that nobody wonders about the wait."""
        self._console.print(f"stopping: {one_line(reason)}; waiting for the answers on their way", markup=False)

    def ended(self, _report: RunReport) -> None:
        """Take it away."""
        self._bar.stop()
