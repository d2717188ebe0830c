"""A run as timed lines, for a log, a pipe or cron."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from batch_runner.clock import timestamp
from batch_runner.records import Status
from batch_runner.reporters.voice import tell
from batch_runner.reporters.wording import duration, in_brackets, limit_in_words, money, one_line, short, stall_in_words

if TYPE_CHECKING:
    from batch_runner.failures import Failure
    from batch_runner.pricing import Prices
    from batch_runner.progress import RunReport, Snapshot
    from batch_runner.records import PromptRow, Rejected, Result

FIRST_SECONDS = 10.0
MOST_SECONDS = 300.0
LONG_PAUSE_SECONDS = 30.0
"""A pause that is worth a line of its own."""


class Lines:
    """One line after ten seconds, then less and less often, down to every five minutes."""

    def __init__(self, prices: Prices, *, verbose: bool) -> None:
        self._prices = prices
        self._verbose = verbose
        self._next = FIRST_SECONDS
        self._gap = FIRST_SECONDS
        self._pauses = PauseNews()
        self._stalled = False

    def started(self, run_id: str, to_record: int) -> None:
        """Nothing: the command has said what will be done."""

    def update(self, snapshot: Snapshot) -> None:
        """A line when its time has come, when the run pauses, and when the disk is full or has room again."""
        if (news := self._pauses.of(snapshot, time.time())) is not None:
            self._say(news)
        if (snapshot.stall is not None) is not self._stalled:
            self._stalled = not self._stalled
            if snapshot.stall is not None or not snapshot.draining:
                self._say(stall_in_words(snapshot.stall) if snapshot.stall else "the disk has room again: going on")
        if snapshot.seconds >= self._next:
            self._gap = min(MOST_SECONDS, self._gap * 1.5)
            self._next = snapshot.seconds + self._gap
            self._say(progress_in_words(snapshot, self._prices))

    def attempt_failed(self, row_id: str, failure: Failure, wait: float | None, _attempt: int) -> None:
        """A line, when asked to be verbose."""
        if self._verbose:
            self._say(failure_in_words(row_id, failure, wait))

    def recorded(self, row: PromptRow | Rejected, result: Result) -> None:
        """Nothing: the counts tell."""

    def decided(self, decision: str) -> None:
        """A line."""
        self._say(f"limits: {decision}")

    def stopping(self, reason: str) -> None:
        """A line, so that nobody wonders about the wait."""
        self._say(f"stopping: {one_line(reason)}; waiting for the answers on their way")

    def ended(self, report: RunReport) -> None:
        """Nothing: the summary follows."""

    @staticmethod
    def _say(text: str) -> None:
        tell(f"{timestamp(time.time())} {text}")


def progress_in_words(snapshot: Snapshot, prices: Prices | None = None, width: int = 1000) -> str:
    """`120/400 rows, 118 ok, 2 failed, 240/min, 56.1k tokens, $0.21 of about $0.70, 1 min 10 s left`.

    Where that is wider than `width`, it goes without what is missed least.
    """
    if snapshot.stall is not None:
        return f"{snapshot.recorded:,}/{snapshot.to_record:,} rows, {stall_in_words(snapshot.stall)}"
    rows = snapshot.totals.rows
    counts = [f"{rows[status]:,} {status}" for status in Status if rows[status]]
    pace, tokens = f"{short(snapshot.rows_per_minute)}/min", f"{short(snapshot.totals.spent.total_tokens or 0)} tokens"
    cost = "" if prices is None else cost_so_far(snapshot, prices)
    parts = [f"{snapshot.recorded:,}/{snapshot.to_record:,} rows", *counts, pace, tokens, cost, _what_now(snapshot)]
    limit = "" if snapshot.learned is None else f"limit {limit_in_words(snapshot.learned)}"
    parts = [part for part in (*parts, limit) if part]
    spent = cost.partition(" of ")[0]
    shorter = {limit: "", pace: "", tokens: "", **dict.fromkeys(counts[:1], ""), cost: spent, spent: ""}
    for least, instead in shorter.items():
        if least in parts and len(", ".join(parts)) > width:
            parts = [word for part in parts if (word := instead if part == least else part)]
    return ", ".join(parts)


def _what_now(snapshot: Snapshot) -> str:
    """What holds the run up, or else how long it will take; empty where nobody knows."""
    if snapshot.draining:
        return f"leaving, {snapshot.in_flight} in flight"
    if snapshot.outage_seconds > 0:
        return f"no answer for {duration(snapshot.outage_seconds)}{in_brackets(snapshot.trouble)}, {_next_try(snapshot)}"
    if snapshot.pause_left > 0:
        return f"told to wait {duration(snapshot.pause_left)}"
    if snapshot.held_by:
        return f"concurrency is held to {snapshot.in_flight} by {snapshot.held_by}"
    if snapshot.trouble:
        return f"{snapshot.trouble}: trying again"
    return "" if snapshot.seconds_left is None else f"{duration(snapshot.seconds_left)} left"


def cost_so_far(snapshot: Snapshot, prices: Prices) -> str:
    """`$0.21 of about $0.70`: what the run has spent, and what it will have if the other rows cost as much; empty while nobody
    knows.
    """
    cost = prices.cost(snapshot.totals.spent_by_model)
    if cost.unpriced or not cost.usd:
        return ""
    if not snapshot.recorded or snapshot.recorded >= snapshot.to_record:
        return money(cost.usd)
    return f"{money(cost.usd)} of about {money(cost.usd * snapshot.to_record / snapshot.recorded)}"


def _next_try(snapshot: Snapshot) -> str:
    return f"next try in {duration(snapshot.pause_left)}" if snapshot.pause_left > 0 else "trying"


class PauseNews:
    """Says once that the run pauses, why and until when; and once that it goes on."""

    def __init__(self) -> None:
        self._told = ""

    def of(self, snapshot: Snapshot, now: float) -> str | None:
        """What is new about pauses at `now` (seconds since 1970), if anything is."""
        if snapshot.outage_seconds > 0:
            what = f"the service doesn't answer{in_brackets(snapshot.trouble)}"
            return self._news("outage", f"{what}: one request now and then looks for it")
        if snapshot.pause_left > LONG_PAUSE_SECONDS or (snapshot.pause_left > 0 and self._told == "pause"):
            until = timestamp(now + snapshot.pause_left)
            return self._news("pause", f"the service asks to wait {duration(snapshot.pause_left)}, until {until}")
        return self._news("", "going on") if self._told else None

    def _news(self, what: str, words: str) -> str | None:
        if what == self._told:
            return None
        self._told = what
        return words


def failure_in_words(row_id: str, failure: Failure, wait: float | None) -> str:
    """`row greet-1: server_error (HTTP 500): …; again in 1.2 s`."""
    status = f" (HTTP {failure.http_status})" if failure.http_status is not None else ""
    then = "no further attempt" if wait is None else f"again in {duration(wait)}"
    return f"row {one_line(row_id, 60)}: {failure.kind}{status}: {one_line(failure.message)}; {then}"
