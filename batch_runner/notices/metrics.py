"""A run's metrics as a file for the textfile collector of Prometheus's node exporter (the extra `metrics`)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from batch_runner.clock import seconds_of
from batch_runner.notices.courier import Undelivered
from batch_runner.reporters.costs import cost_document
from batch_runner.totals import ROW_COUNTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_runner.notices.news import News
    from batch_runner.progress import RunReport

MISSING = "it needs the extra `metrics`: pip install 'batch-runner[metrics]'"


class Metric(NamedTuple):
    """One name in the file."""

    name: str
    help: str
    label: str = ""
    """Its label beside `name`, if it has one."""


END = Metric("batch_runner_last_end_timestamp_seconds", "When the last run ended, well or not.")
SUCCESS = Metric("batch_runner_last_success_timestamp_seconds", "When a run ended well last (0, or `--fine`); kept over others.")
STATUS = Metric("batch_runner_last_exit_status", "How the last run ended.")
ROWS = Metric("batch_runner_rows", "Rows of the input as they stood when the last run ended.", "status")
TOKENS = Metric("batch_runner_run_tokens", "Tokens of the last run; cached are part of prompt, reasoning of completion.", "kind")
COST = Metric("batch_runner_run_cost_usd", "What the last run cost, as far as prices are known.")
MAYBE = Metric("batch_runner_run_maybe_billed_usd", "What attempts of the last run may have cost whose answer never came.")
DURATION = Metric("batch_runner_run_duration_seconds", "How long the last run sent rows.")
ATTEMPTS = Metric("batch_runner_run_attempts", "Requests of the last run.")
SHARE = Metric("batch_runner_run_slow_down_ratio", "The part of them that the service refused as too many (429).")
LATENCY = Metric("batch_runner_run_latency_seconds", "Within how long a part of the answers came, to a quarter.", "quantile")

METRICS = (END, SUCCESS, STATUS, ROWS, TOKENS, COST, MAYBE, DURATION, ATTEMPTS, SHARE, LATENCY)
"""All that there are. Each has the label `name`: the job's, else the output's. A run that didn't begin tells the first three."""


class Sample(NamedTuple):
    """One line of the file."""

    metric: Metric
    value: float
    labels: tuple[str, ...] = ()


def is_installed() -> bool:
    """Whether the extra is there."""
    return find_spec("prometheus_client") is not None


def write_metrics(path: Path, news: News) -> None:
    """Replace the file at `path`, in one step. Raises `Undelivered`."""
    if not is_installed():
        raise Undelivered(MISSING)
    from prometheus_client import CollectorRegistry, Gauge, write_to_textfile  # noqa: PLC0415 - an extra

    registry, gauges = CollectorRegistry(), dict[str, Gauge]()
    for sample in samples(news, last_success(path, news.name)):
        metric = sample.metric
        if metric.name not in gauges:
            labels = ("name", *((metric.label,) if metric.label else ()))
            gauges[metric.name] = Gauge(metric.name, metric.help, labels, registry=registry)
        gauges[metric.name].labels(news.name, *sample.labels).set(sample.value)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_to_textfile(str(path), registry)
        path.chmod(0o644)  # the collector is somebody else
    except OSError as error:
        raise Undelivered(f"can't be written: {error.strerror or error}") from None


def samples(news: News, succeeded: float | None) -> Iterator[Sample]:
    """What is told of a run; `succeeded` is when an earlier one ended well, in seconds since 1970."""
    at = seconds_of(news.at)
    yield Sample(END, at)
    yield Sample(SUCCESS, at if news.well else succeeded or 0.0)
    yield Sample(STATUS, float(news.exit_status))
    if news.report is not None:
        yield from _of_report(news.report)


def last_success(path: Path, name: str) -> float | None:
    """What the file at `path` tells of an earlier success of `name`; `None` where it tells of none."""
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415 - an extra

    try:
        families = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # none yet, or somebody else's
        return None
    told = (sample for family in families for sample in family.samples if sample.name == SUCCESS.name)
    return next((sample.value for sample in told if sample.labels.get("name") == name), None)


def _of_report(report: RunReport) -> Iterator[Sample]:
    run, spent = report.run, report.run.spent
    for status in ROW_COUNTS:
        yield Sample(ROWS, report.totals.rows[status], (status,))
    kinds = {
        "prompt": spent.prompt_tokens,
        "cached": spent.cached_tokens,
        "completion": spent.completion_tokens,
        "reasoning": spent.reasoning_tokens,
    }
    for kind, count in kinds.items():
        yield Sample(TOKENS, count or 0, (kind,))
    cost = cost_document(run, report.prices)
    for metric, usd in ((COST, cost["usd"]), (MAYBE, cost["maybe_billed_usd"])):
        if usd is not None:
            yield Sample(metric, float(usd))
    yield Sample(DURATION, run.wall_ms / 1000)
    yield Sample(ATTEMPTS, run.attempts)
    yield Sample(SHARE, run.slow_downs / run.attempts if run.attempts else 0.0)
    for share in (0.5, 0.95):
        if (seconds := run.latency_quantile(share)) is not None:
            yield Sample(LATENCY, seconds, (f"{share:g}",))
