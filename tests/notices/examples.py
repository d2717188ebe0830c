"""Runs that have ended, for the tests of those who are told."""

from collections import Counter
from pathlib import Path
from typing import Any

from batch_runner.exits import ExitStatus
from batch_runner.notices.news import News
from batch_runner.pricing import Prices
from batch_runner.progress import RunReport
from batch_runner.records import Bill, Status, Usage
from batch_runner.totals import Totals

AT = "2026-11-25T06:30:00.000Z"


def a_report(status: ExitStatus = ExitStatus.OK, *, reason: str = "", **rows: int) -> RunReport:
    """Of a run of forty attempts, ten of them refused as too many."""
    run = Totals(attempts=40, slow_downs=10, wall_ms=90_000, rows=Counter({Status(name): n for name, n in rows.items()}))
    run.bill("o1-mini", Bill(Usage(1000, 100, 2000, 500, 3000), Usage(10, 0, 100, 0, 110)))
    for _ in range(30):
        run.answered("o1-mini", "o1-mini", 2.0, usage_known=True)
    if rows.get("failed"):
        run.failures["timeout"] = rows["failed"]
    job = Totals().merge(run)
    return RunReport(
        job,
        run,
        status,
        reason,
        Path("/nightly/out.jsonl"),
        run_id="r",
        prices=Prices(),
        examples={"timeout": "in.jsonl:1: no | answer"},
    )


def news_of(status: ExitStatus = ExitStatus.OK, *, command: tuple[str, ...] = ("batch-runner", "run"), **more: Any) -> News:
    """What there is to tell of it."""
    return News.of(a_report(status, **(more or {"ok": 30})), "nightly", AT, command)


def refused_news(reason: str = "no key for api.example.com") -> News:
    """What there is to tell of a run that didn't begin."""
    return News.refused(ExitStatus.CANNOT_START, reason, "nightly", Path("/nightly/out.jsonl"), AT)
