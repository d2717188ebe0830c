"""The summary of a run as Markdown, to be read with coffee."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_runner.advice import ADVICE
from batch_runner.exits import MEANINGS
from batch_runner.failures import FailureKind
from batch_runner.notices.courier import Undelivered
from batch_runner.replacement import replace_file
from batch_runner.reporters.costs import cost_lines, token_lines
from batch_runner.reporters.wording import duration, one_line, percent, requests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batch_runner.notices.news import News
    from batch_runner.progress import RunReport


def write_summary(path: Path, news: News) -> None:
    """Replace the file at `path`, in one step; its folder is made where there is none. Raises `Undelivered`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, ("\n".join(markdown(news)) + "\n").encode())
    except OSError as error:
        raise Undelivered(f"can't be written: {error.strerror or error}") from None


def markdown(news: News) -> Iterator[str]:
    """The lines of the summary."""
    yield f"# {_plain(news.title)}"
    yield ""
    yield f"{news.at}. Exit status {int(news.exit_status)}: {MEANINGS[news.exit_status].replace('`', '')}."
    if news.reason:
        yield ""
        yield f"> {_plain(news.reason, 1000)}"
    if news.report is not None:
        yield from _of_report(news, news.report)


def _of_report(news: News, report: RunReport) -> Iterator[str]:
    yield from _table("| rows | status |", ((f"{count:,}", status) for status, count in news.counts.items() if count))
    failures = report.run.failures.most_common()
    if failures:
        told = (
            (f"{count:,}", kind, _plain(report.examples.get(kind, "")), _plain(ADVICE[FailureKind(kind)]))
            for kind, count in failures
        )
        yield from _table("| rows | failure in this run | an example | what to do |", told)
    if report.drift:
        yield from _table("| unusual for this job |", ((_plain(departure),) for departure in report.drift))
    yield from _table("| of this run | |", _facts(report))
    yield from _table("| of all runs of the output | |", _costs(report))
    if news.summary and news.summary["next"]:
        yield from ("", "Next:", "", "```sh", news.summary["next"], "```")


def _facts(report: RunReport) -> Iterator[tuple[str, str]]:
    run = report.run
    yield "output", f"`{report.output}`"
    if report.run_id:
        yield "run", f"`{report.run_id}`"
    yield "time", duration(run.wall_ms / 1000)
    refused = f", {percent(run.slow_downs / run.attempts)} of them refused as too many" if run.slow_downs else ""
    yield "attempts", f"{run.attempts:,}{refused}"
    median, slow = run.latency_quantile(0.5), run.latency_quantile(0.95)
    if median and slow:
        yield "latency", f"half within {duration(median)}, 95 % within {duration(slow)}"
    for (asked, answered), count in run.answered_as.items():
        yield "answered by", f"{requests(count)}: {_plain(answered or 'a model without a name')} (asked: {_plain(asked)})"


def _costs(report: RunReport) -> Iterator[tuple[str, str]]:
    lines = [*token_lines(report.totals), *cost_lines(report.totals, report.prices)]
    for line in lines:
        yield line[:8].strip(), _plain(line[8:].strip(), 300)


def _table(head: str, rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield ""
    yield head
    yield "|" + "---|" * (head.count("|") - 1)
    yield from ("| " + " | ".join(cells) + " |" for cells in rows)


def _plain(text: str, most: int = 160) -> str:
    """Somebody else's words, which must neither break a table nor become markup."""
    text = one_line(text, most)
    return "".join(f"\\{character}" if character in "\\`*_[]<>|#" else character for character in text)
