"""An order -> what a run of it would do. Reads inputs and output, and nothing else: no lock, no key, no network, no file."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from batch_runner.chat import defaults
from batch_runner.check.forecast import Forecast, forecast
from batch_runner.check.survey import Survey
from batch_runner.endpoint import FAKE, OPENAI_URL, Endpoint, resolve
from batch_runner.exits import ExitStatus, deserved
from batch_runner.failures import CannotStart, UsageMistake
from batch_runner.loader import InputFiles, copy_stdin
from batch_runner.models import shutdown_of
from batch_runner.output.history import History
from batch_runner.plan import Plan, Seen, first_places, make_plan
from batch_runner.preparation import Order, again_of, check_apart, check_endpoint, files_of, output_of
from batch_runner.pricing.file import read_prices
from batch_runner.tokens import TokenCounter, token_counter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batch_runner.loader import InputFile
    from batch_runner.output.index import Entry
    from batch_runner.pricing import Prices
    from batch_runner.settings import Settings


Watch = Callable[[Survey, int | None], None]
"""Is told how far a survey is, and how many bytes its input has, if that is known."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a run would do, and everything that is the matter with it."""

    order: Order
    output: Path | None
    """`None` where none is named: then no row counts as done."""
    endpoint: Endpoint
    plan: Plan
    survey: Survey
    forecast: Forecast
    prices: Prices
    counter: TokenCounter
    first_places: Mapping[str, str]
    """Where the repeated ids that are named stand first."""
    ending: Mapping[str, date]
    """When OpenAI ends the models asked, where it is asked itself."""
    today: date
    """By the calendar of UTC."""
    left_out: tuple[str, ...]
    unreadable_lines: int

    @property
    def settings(self) -> Settings:
        """What the run would be told."""
        return self.order.settings

    @property
    def not_ok(self) -> int:
        """Rows that can't be sent, or would be refused."""
        return self.survey.invalid.rows + self.survey.findings.rows

    @property
    def exit_status(self) -> ExitStatus:
        """3 where a run wouldn't begin, else as the rows would deserve if all others were answered."""
        if self.survey.repeated_ids.rows:
            return ExitStatus.CANNOT_START
        return deserved(rows=self.plan.rows, ok=self.plan.rows - self.not_ok, max_failed=self.settings.ending.max_failed)


def inspect(order: Order, *, named: int, watch: Watch | None = None, environment: Mapping[str, str] = os.environ) -> Inspection:
    """Look at everything a run of `order` would look at. `named`: how many rows to name of each thing found. `watch` is told
    now and then how far the survey is, and how many bytes there are if that is known.

    Raises `UsageMistake` or `CannotStart` as a run would.
    """
    if not order.inputs:
        raise UsageMistake("no input is named")
    settings = order.settings
    endpoint = resolve(settings, environment)
    prices, counter = read_prices(settings.money.prices), token_counter()
    files, left_out = files_of(order.inputs)
    output = _output_of(order)
    if output is not None:
        check_apart(files, output)
    with _source_of(files) as source, _history_of(output, as_new=settings.rows.fresh) as history:
        check_endpoint(history, endpoint, accepted=settings.rows.accept_other_endpoint)
        survey = Survey(defaults(settings), counter=counter, prices=prices, named=named, model_of=_models_in(history))
        plan = _planned(order, endpoint, source, history, survey, watch)
        return Inspection(
            order=order,
            output=output,
            endpoint=endpoint,
            plan=plan,
            survey=survey,
            forecast=_forecast(settings, plan, survey, prices, _latency(history, endpoint)),
            prices=prices,
            counter=counter,
            first_places=_firsts(source, survey, settings),
            ending=_ending(survey.models) if endpoint.url == OPENAI_URL else {},
            today=datetime.now(UTC).date(),
            left_out=tuple(left_out),
            unreadable_lines=history.index.unreadable_lines,
        )


def _planned(order: Order, endpoint: Endpoint, source: InputFiles, history: History, survey: Survey, watch: Watch | None) -> Plan:
    """The plan of the run, `survey` having seen each of its rows."""
    plan = make_plan(
        source,
        history,
        run=defaults(order.settings),
        again=again_of(order.settings, retrying=False),
        limit=order.settings.rows.limit,
        real=endpoint.host != FAKE,
        observe=_watched(survey, source, watch),
        repeats_pass=True,
    )
    survey.close()
    if plan.rows == 0:
        raise CannotStart(f"there is no row in {', '.join(order.inputs or ())}")
    return plan


def _forecast(settings: Settings, plan: Plan, survey: Survey, prices: Prices, latency_s: float | None) -> Forecast:
    limits = settings.limits
    return forecast(survey.sums, prices, rows=plan.to_send, concurrency=limits.concurrency, rpm=limits.rpm, latency_s=latency_s)


def _latency(history: History, endpoint: Endpoint) -> float | None:
    """Seconds within which half of the answers came that the output holds; made-up ones tell nothing."""
    return None if endpoint.host == FAKE else history.index.job.latency_quantile(0.5)


def _firsts(source: InputFiles, survey: Survey, settings: Settings) -> dict[str, str]:
    repeated = frozenset(place.what for place in survey.repeated_ids.places)
    return first_places(source, repeated, settings.rows.limit) if repeated else {}


def _models_in(history: History) -> Callable[[Entry], str | None]:
    """Tells which model the line behind an entry was asked of."""

    def model_of(entry: Entry) -> str | None:
        line = history.line_of(entry)
        return None if line is None else str(line["model"])

    return model_of


def _output_of(order: Order) -> Path | None:
    try:
        return output_of(order)
    except UsageMistake:  # several inputs, or standard input, without -o
        return None


@contextmanager
def _source_of(files: list[InputFile | None]) -> Iterator[InputFiles]:
    """The inputs; standard input is read into a file of our own for as long as it is needed."""
    with TemporaryDirectory(prefix="batch-runner-check-") as folder:
        yield InputFiles.of(copy_stdin(Path(folder) / "stdin.zst") if file is None else file for file in files)


@contextmanager
def _history_of(output: Path | None, *, as_new: bool) -> Iterator[History]:
    with History(output or Path(os.devnull), as_new=as_new or output is None) as history:
        yield history


def _watched(survey: Survey, source: InputFiles, watch: Watch | None) -> Callable[[Seen], None]:
    """The survey's own observer, telling `watch` every few thousand rows."""
    if watch is None:
        return survey.observe
    total = source.plain_bytes

    def observe(seen: Seen) -> None:
        survey.observe(seen)
        if survey.lines % 2048 == 0:
            watch(survey, total)

    return observe


def _ending(models: Mapping[str, int]) -> dict[str, date]:
    days = {model: shutdown_of(model) for model in models}
    return {model: day for model, day in days.items() if day is not None}
