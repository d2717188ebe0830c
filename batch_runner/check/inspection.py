"""An order -> what a run of it would do. Reads inputs and output, and nothing else: no lock, no key, no network, no file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from batch_runner.check.forecast import Forecast, forecast
from batch_runner.check.survey import Survey
from batch_runner.deadline import Deadline
from batch_runner.endpoint import OPENAI_URL, Endpoint
from batch_runner.exits import ExitStatus, deserved
from batch_runner.failures import UsageMistake
from batch_runner.intent import Intent, Order, output_of
from batch_runner.models import shutdown_of
from batch_runner.naming import first_places
from batch_runner.output.history import History
from batch_runner.tokens import TokenCounter, token_counter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batch_runner.admission import Cap
    from batch_runner.findings import Finding
    from batch_runner.loader import InputFiles, Line, RowSource
    from batch_runner.output.index import Entry
    from batch_runner.plan import Plan
    from batch_runner.pricing import Prices
    from batch_runner.settings import Settings

LOOKED_EVERY = 2048


class Read(NamedTuple):
    """How far the input is read."""

    lines: int
    bytes: int
    of_bytes: int | None
    """`None` where nobody knows."""


Onlooker = Callable[[Read], None]
"""Is told now and then how far an inspection is."""


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
    caps: tuple[Cap, ...]
    """Caps on cost, with what earlier runs have used of them."""
    counter: TokenCounter
    first_places: Mapping[str, str]
    """Where the repeated ids that are named stand first."""
    deadline: Deadline | None
    """When a run that began now would have to be over."""
    deadline_s: float | None
    """Seconds until it would send nothing new any more."""
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
    def refused(self) -> list[Finding]:
        """What the models refuse, that of most rows first."""
        found = [*self.plan.weighing.findings.refused, *self.survey.too_long.refused]
        return sorted(found, key=lambda finding: -finding.named.rows)

    @property
    def refused_rows(self) -> int:
        """Rows of which something is refused."""
        return self.plan.weighing.findings.rows + self.survey.too_long.rows

    def may_reach(self, cap: Cap) -> bool:
        """Whether the run stops at a cap on cost, if every answer uses its whole cap."""
        tokens = sum(usage.total_tokens or 0 for usage in self.survey.sums.values())
        return cap.used + (self.forecast.at_caps.usd if cap.in_dollars else tokens) > cap.limit

    @property
    def exit_status(self) -> ExitStatus:
        """3 where a run wouldn't begin, else as the rows would deserve if all others were answered."""
        if self.plan.doubled or (self.settings.rows.strict and self.plan.bad):
            return ExitStatus.CANNOT_START
        not_ok = self.plan.bad + self.refused_rows
        return deserved(rows=self.plan.rows, ok=self.plan.rows - not_ok, max_failed=self.settings.ending.max_failed)


def inspect(
    order: Order, *, named: int, onlooker: Onlooker | None = None, environment: Mapping[str, str] = os.environ
) -> Inspection:
    """Look at everything a run of `order` would look at. `named`: how many rows to name of each thing found. `onlooker` is told
    now and then how far it is.

    Raises `UsageMistake` or `CannotStart` as a run would.
    """
    intent, now = Intent.of(order, environment), (time.time(), time.monotonic())
    deadline = order.deadline or Deadline.of(order.settings.ending, *now)
    output, counter = _output_of(order), token_counter()
    if output is not None:
        intent.check_output(output)
    with _history_of(output, as_new=order.settings.rows.fresh) as history, _source_of(intent, history, onlooker) as source:
        intent.check_endpoint(history)
        survey = Survey(intent.defaults, counter=counter, prices=intent.prices, named=named, model_of=_models_in(history))
        plan = intent.plan(source, history, named=named, observe=survey.observe, repeats_pass=True)
        survey.close()
        return Inspection(
            order=order,
            output=output,
            endpoint=intent.endpoint,
            plan=plan,
            survey=survey,
            forecast=forecast(
                survey.sums, intent.prices, order.settings.limits, rows=plan.to_send, latency_s=_latency(history, intent)
            ),
            prices=intent.prices,
            caps=intent.caps(history, plan),
            counter=counter,
            first_places=_firsts(source, plan, intent, named),
            deadline=deadline,
            deadline_s=None if deadline is None else deadline.seconds_left(*now) - deadline.reserve,
            ending=_ending(survey.models) if intent.endpoint.url == OPENAI_URL else {},
            today=datetime.now(UTC).date(),
            left_out=intent.left_out,
            unreadable_lines=history.index.unreadable_lines,
        )


def _latency(history: History, intent: Intent) -> float | None:
    """Seconds within which half of the answers came that the output holds; made-up ones tell nothing."""
    return history.index.job.latency_quantile(0.5) if intent.real else None


def _firsts(source: RowSource, plan: Plan, intent: Intent, named: int) -> dict[str, str]:
    repeated = [*islice(plan.doubled, named)]
    return first_places(source, repeated, intent.shape, intent.selection.lines) if repeated else {}


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


class _Observed(NamedTuple):
    """A row source that tells how far it has been read."""

    source: InputFiles
    onlooker: Onlooker

    def lines(self) -> Iterator[Line]:
        """Every line that isn't blank."""
        total, read = self.source.plain_bytes, 0
        for number, line in enumerate(self.source.lines(), start=1):
            read += len(line.text) + 1
            if number % LOOKED_EVERY == 0:
                self.onlooker(Read(number, read, total))
            yield line


@contextmanager
def _source_of(intent: Intent, history: History, onlooker: Onlooker | None) -> Iterator[RowSource]:
    """The inputs; standard input is read into a file of our own for as long as it is needed."""
    if intent.order.inputs is None:
        yield intent.kept_inputs(history)
        return
    with TemporaryDirectory(prefix="batch-runner-check-") as folder, ExitStack() as held:
        source = intent.source(Path(folder) / "stdin.zst")
        yield intent.with_earlier(source if onlooker is None else _Observed(source, onlooker), held)


@contextmanager
def _history_of(output: Path | None, *, as_new: bool) -> Iterator[History]:
    with History(output or Path(os.devnull), as_new=as_new or output is None) as history:
        yield history


def _ending(models: Mapping[str, int]) -> dict[str, date]:
    days = {model: shutdown_of(model) for model in models}
    return {model: day for model, day in days.items() if day is not None}
