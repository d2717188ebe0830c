"""What somebody wants run, and what that comes to before any output is opened."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from batch_runner.chat import Defaults, defaults
from batch_runner.endpoint import FAKE, Endpoint, resolve
from batch_runner.failures import CannotStart, FailureKind, UsageMistake
from batch_runner.findings import NAMED
from batch_runner.forms import Shape, shape
from batch_runner.growth import Growth
from batch_runner.identity import Again
from batch_runner.loader import STDIN, InputFile, InputFiles, RowSource, copy_stdin, find_inputs, is_glob
from batch_runner.output.file import default_output
from batch_runner.output.history import History
from batch_runner.output.kept_inputs import Joined, KeptInputs
from batch_runner.planner import make_plan
from batch_runner.pricing.file import read_prices
from batch_runner.records import REPEATABLE, RETRIED, Status
from batch_runner.selection import selection
from batch_runner.spending import CapUse, caps_of
from batch_runner.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import ExitStack

    from batch_runner.admission import Cap
    from batch_runner.deadline import Deadline
    from batch_runner.plan import Plan
    from batch_runner.planner import ToSend
    from batch_runner.pricing import Prices
    from batch_runner.selection import Selection
    from batch_runner.settings import Settings
    from batch_runner.spending import WiderCap


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants run."""

    settings: Settings
    inputs: tuple[str, ...] | None = None
    """Paths, globs, or `-`. `None`: the rows come out of `output` itself."""
    output: Path | None = None
    job: str = ""
    """The job's name; empty without one."""
    history: History | None = None
    """What `output` holds, by whoever has it in hand already."""
    also_failed_in: Path | None = None
    """An earlier output, whose failed and unfinished rows are sent too where the inputs don't hold them."""
    deadline: Deadline | None = None
    """When the run has to be over, by whoever has reckoned it already; else as the settings say."""
    wider_caps: tuple[WiderCap, ...] = ()
    """Caps on cost beside those of the settings."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What an order comes to before any output is opened: shared by what runs it and what only looks at it."""

    order: Order
    endpoint: Endpoint
    """Without its key."""
    prices: Prices
    defaults: Defaults
    again: Again
    shape: Shape
    selection: Selection
    files: tuple[InputFile | None, ...]
    """The inputs in order, `None` standing for standard input."""
    left_out: tuple[str, ...]
    """Inputs passed over because they are outputs of ours."""

    @classmethod
    def of(cls, order: Order, environment: Mapping[str, str]) -> Intent:
        """Look at the settings and for the inputs. Raises `UsageMistake` or `CannotStart`."""
        if order.inputs == () and order.also_failed_in is None:
            raise UsageMistake("no input is named")
        settings, retrying = order.settings, order.inputs is None
        if settings.rows.fresh and retrying:
            raise UsageMistake("--fresh would set aside the very rows to retry: leave it out")
        endpoint, prices = resolve(settings, environment), read_prices(settings.money.prices)
        chosen = selection(settings)
        if retrying:
            chosen = replace(chosen, repeat=1)  # the rows of an output are copies already
        files, left_out = _files(order.inputs or ())
        return cls(
            order,
            endpoint,
            prices,
            defaults(settings),
            again_of(settings, retrying=retrying),
            shape(settings),
            chosen,
            tuple(files),
            tuple(left_out),
        )

    @property
    def real(self) -> bool:
        """False at the embedded endpoint."""
        return self.endpoint.host != FAKE

    def check_output(self, output: Path) -> None:
        """Raises `CannotStart` when `output` can't be one, or is an input."""
        if output.is_dir():
            raise CannotStart(f"{output} is a folder: name a file in it with -o")
        if output.exists() and not output.is_file():
            raise CannotStart(f"{output} isn't a regular file: an output is read again to resume, so name another with -o")
        for file in self.files:
            if file is not None and output.exists() and file.path.samefile(output):
                raise CannotStart(f"{file.name} is the input and the output: name another output with -o")

    def check_endpoint(self, history: History) -> None:
        """Raises `CannotStart` when another endpoint made the output, and nobody said to go on with it."""
        last = history.index.last_run
        if last is None or last.endpoint == self.endpoint.host or self.order.settings.rows.accept_other_endpoint:
            return
        kept = "its answers are not kept, they are made up" if last.endpoint == FAKE else "its answers are kept"
        raise CannotStart(
            f"{history.path} was made by {last.endpoint}, this run asks {self.endpoint.host}: start anew with --fresh, name "
            f"another output with -o, or go on in it with --accept-other-endpoint ({kept})",
        )

    def source(self, copy: Path) -> InputFiles:
        """The inputs, standard input read into `copy`. Raises `CannotStart` when one can't be read."""
        return InputFiles.of(copy_stdin(copy) if file is None else file for file in self.files)

    def with_earlier(self, source: RowSource, held: ExitStack) -> RowSource:
        """`source`, and the rows that an earlier output left failed where the order names one; `held` keeps that open."""
        earlier = self.order.also_failed_in
        if earlier is None:
            return source
        if self.selection.repeat > 1:
            raise UsageMistake("retry_failed_from takes rows as they were sent: leave --repeat out")
        kept = KeptInputs(held.enter_context(History(earlier)), RETRIED, self.shape, long_ones=False)
        return Joined(source, kept, self.shape)

    def kept_inputs(self, history: History) -> KeptInputs:
        """The rows of the output that may be sent again, where they are what is to be run."""
        return KeptInputs(history, REPEATABLE if self.again.kinds else self.again.states, self.shape)

    def plan(
        self,
        source: RowSource,
        history: History,
        *,
        named: int = NAMED,
        observe: Callable[[ToSend], object] | None = None,
        repeats_pass: bool = False,
    ) -> Plan:
        """The plan over what `history` holds, the rest as `make_plan` says. Raises `CannotStart` as it does, and when there is no
        row.
        """
        plan = make_plan(
            source,
            history,
            run=self.defaults,
            again=self.again,
            growth=Growth.of(self.order.settings),
            shape=self.shape,
            selection=self.selection,
            real=self.real,
            all_rows=self.order.inputs is None,
            named=named,
            observe=observe,
            repeats_pass=repeats_pass,
        )
        if self.order.inputs is not None and self.order.also_failed_in is None and plan.rows == 0:
            raise CannotStart(_no_row_told(plan, self.order.inputs))
        return plan

    def caps(self, history: History, plan: Plan) -> tuple[Cap, ...]:
        """The caps on cost, with what earlier runs have used of them. Raises `CannotStart` where one can't be kept."""
        money, wider_caps = self.order.settings.money, self.order.wider_caps
        if not (wider_caps or money.max_cost or money.max_total_tokens) or not plan.to_send:
            return ()
        before = history.job_so_far(real=self.real)
        allowed = [
            CapUse(
                each,
                (before, *([each.elsewhere] if each.elsewhere else [])),
                Totals() if each.since is None else history.job_before(each.since, before),
            )
            for each in wider_caps
        ]
        return tuple(caps_of(money, self.prices, before, plan.weighing.models, allowed))


def output_of(order: Order) -> Path:
    """The file a run writes, symlinks resolved: as asked, or `NAME.results.jsonl` beside a single input."""
    if order.output == Path(STDIN):
        raise UsageMistake("-o -: an output is read again to resume, so it must be a file")
    if order.output is not None:
        return Path(os.path.realpath(order.output))
    if order.inputs is None or len(order.inputs) != 1 or order.inputs[0] == STDIN or is_glob(order.inputs[0]):
        raise UsageMistake("name the output with -o: it has a default only for a single input file")
    return Path(os.path.realpath(default_output(Path(order.inputs[0]))))


def again_of(settings: Settings, *, retrying: bool) -> Again:
    """Which recorded rows are sent again, as `--only` and `--retry-failed` say."""
    words = settings.retry.only
    if not words:
        return Again(only=True, states=RETRIED) if retrying else Again(failed=settings.retry.retry_failed)
    states = REPEATABLE if "all" in words else frozenset(status for status in REPEATABLE if status in words)
    return Again(only=True, states=states, kinds=frozenset(kind for kind in FailureKind if kind in words))


def again_in_words(settings: Settings, *, retrying: bool) -> list[str]:
    """What those rows are that alone are sent, by status or failure kind; nothing where new rows are sent as well."""
    words = settings.retry.only
    states = RETRIED if retrying and not words else REPEATABLE if "all" in words else frozenset[Status]()
    return [str(status) for status in Status if status in states] or list(words)


def _files(inputs: tuple[str, ...]) -> tuple[list[InputFile | None], list[str]]:
    """The files named, in order, `None` standing for standard input; and those left out."""
    if inputs.count(STDIN) > 1:
        raise UsageMistake("standard input (-) can be read once")
    named = [argument for argument in inputs if argument != STDIN]
    files, left_out = find_inputs(named) if named else ([], [])
    if STDIN not in inputs:
        return list(files), left_out
    before = inputs.index(STDIN)
    split = len(find_inputs(inputs[:before])[0]) if before else 0
    return [*files[:split], None, *files[split:]], left_out


def _no_row_told(plan: Plan, inputs: tuple[str, ...]) -> str:
    if plan.left_out:
        return f"none of {plan.left_out:,} row{'s' if plan.left_out > 1 else ''} is left by --where"
    return f"there is no row in {', '.join(inputs)}"
