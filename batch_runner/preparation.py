"""An order -> everything a run needs before its first request: the output held, what it holds known, the plan made.

Nothing is sent here. Whatever is wrong with input, settings or output is found here, and nothing has been spent.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_runner.chat import Defaults, defaults
from batch_runner.clock import compact_timestamp
from batch_runner.endpoint import FAKE, Endpoint, resolve, with_key
from batch_runner.failures import CannotStart, FailureKind, UsageMistake
from batch_runner.forms import Shape, shape
from batch_runner.identity import Again
from batch_runner.loader import STDIN, InputFile, InputFiles, RowSource, copy_stdin, find_inputs, is_glob
from batch_runner.output.compact import remove_remains
from batch_runner.output.history import History
from batch_runner.output.kept_inputs import KeptInputs, stdin_copy_path
from batch_runner.output.lock import lock
from batch_runner.planner import make_plan
from batch_runner.records import REPEATABLE, RETRIED
from batch_runner.selection import selection
from batch_runner.settings import as_written, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from batch_runner.clock import Clock
    from batch_runner.plan import Plan
    from batch_runner.settings import Settings

INPUT_ENDINGS = (".zst", ".gz", ".jsonl", ".ndjson", ".json", ".txt", ".csv", ".tsv", ".parquet")


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants run."""

    settings: Settings
    inputs: tuple[str, ...] | None = None
    """Paths, globs, or `-`. `None`: the rows come out of `output` itself."""
    output: Path | None = None
    job: str = ""
    """The name of the job file, where one was used."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that could begin."""

    order: Order
    output: Path
    endpoint: Endpoint
    """With its key, if anything is to be sent."""
    defaults: Defaults
    source: RowSource
    history: History
    plan: Plan
    left_out: tuple[str, ...]
    """Inputs passed over because they are outputs of ours."""

    @property
    def settings(self) -> Settings:
        """What the run was told."""
        return self.order.settings

    @property
    def real(self) -> bool:
        """False at the embedded endpoint."""
        return self.endpoint.host != FAKE


@contextmanager
def prepare(
    order: Order,
    *,
    clock: Clock,
    confirm: Callable[[str], bool] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[Prepared]:
    """Hold the output and plan the run. `confirm` asks a person; without one, what needs a word is refused.

    Raises `UsageMistake`, `CannotStart` or `OutputBusy`.
    """
    settings = order.settings
    if order.inputs == ():
        raise UsageMistake("no input is named")
    if settings.rows.fresh and order.inputs is None:
        raise UsageMistake("--fresh would set aside the very rows to retry: leave it out")
    endpoint = resolve(settings, environment)
    run_defaults = defaults(settings)
    again = again_of(settings, retrying=order.inputs is None)
    reading, chosen = shape(settings), selection(settings)
    if order.inputs is None:
        chosen = replace(chosen, repeat=1)  # the rows of an output are copies already
    files, left_out = _files(order.inputs or ())
    output = output_of(order)
    _check_apart(files, output)
    with ExitStack() as held:
        with _told_when_unusable():
            output.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(lock(output))
            remove_remains(output)
        history = held.enter_context(History(output, as_new=settings.rows.fresh))
        _check_endpoint(history, endpoint, accepted=settings.rows.accept_other_endpoint)
        if history.index.lines == 0:
            endpoint = with_key(endpoint, settings, environment)  # a long plan shouldn't come before a missing key
        source = _source(order, files, history, again, reading, held)
        plan = make_plan(
            source,
            history,
            run=run_defaults,
            again=again,
            shape=reading,
            selection=chosen,
            real=endpoint.host != FAKE,
            all_rows=order.inputs is None,
        )
        if order.inputs is not None and plan.rows == 0:
            raise CannotStart(_no_row_told(plan, order.inputs))
        _check_strict(plan, settings)
        _settle_changed(plan, settings, output, confirm)
        if plan.to_send:
            endpoint = with_key(endpoint, settings, environment)
        if not plan.nothing_to_do:
            with _told_when_unusable():
                source = _made_ready(source, output, order, compact_timestamp(clock()))
        yield Prepared(order, output, endpoint, run_defaults, source, history, plan, tuple(left_out))


def _source(
    order: Order, files: list[InputFile | None], history: History, again: Again, reading: Shape, held: ExitStack
) -> RowSource:
    """Where the rows come from; a copy of standard input is taken, and removed again if the run doesn't begin."""
    if order.inputs is None:
        return KeptInputs(history, REPEATABLE if again.kinds else again.states, reading)
    new_copy = _new_copy(history.path)
    held.callback(new_copy.unlink, missing_ok=True)
    with _told_when_unusable():
        return InputFiles.of(copy_stdin(new_copy) if file is None else file for file in files)


def _made_ready(source: RowSource, output: Path, order: Order, at: str) -> RowSource:
    """Everything in its place for a run that begins now; whatever refuses one has left everything in its place before."""
    if not os.access(output if output.exists() else output.parent, os.W_OK):
        raise CannotStart(f"{output}: can't be written: permission denied")
    if order.settings.rows.fresh:
        _set_aside(output, at)
    if isinstance(source, InputFiles) and STDIN in (order.inputs or ()):
        new, copy = _new_copy(output), stdin_copy_path(output)
        new.replace(copy)
        return source.moved(new, copy)
    return source


@contextmanager
def _told_when_unusable() -> Iterator[None]:
    """What the file system refuses is told in one line."""
    try:
        yield
    except OSError as error:
        raise CannotStart(f"{error.filename or 'output'}: can't be used: {error.strerror}") from None


def output_of(order: Order) -> Path:
    """The file a run writes, symlinks resolved: as asked, or `NAME.results.jsonl` beside a single input."""
    if order.output is not None:
        return Path(os.path.realpath(order.output))
    if order.inputs is None or len(order.inputs) != 1 or order.inputs[0] == STDIN or is_glob(order.inputs[0]):
        raise UsageMistake("name the output with -o: it has a default only for a single input file")
    name = Path(order.inputs[0])
    stem = name.name
    for ending in INPUT_ENDINGS:
        stem = stem.removesuffix(ending)
    return Path(os.path.realpath(name.with_name(f"{stem}.results.jsonl")))


def again_of(settings: Settings, *, retrying: bool) -> Again:
    """Which recorded rows are sent again, as `--only` and `--retry-failed` say."""
    words = settings.retry.only
    if not words:
        return Again(only=True, states=RETRIED) if retrying else Again(failed=settings.retry.retry_failed)
    states = REPEATABLE if "all" in words else frozenset(status for status in REPEATABLE if status in words)
    return Again(only=True, states=states, kinds=frozenset(kind for kind in FailureKind if kind in words))


def recorded_settings(settings: Settings) -> dict[str, Any]:
    """The settings as a run line keeps them for `retry`: without those meant once, files by their full name."""
    flat = {entry.name: settings.flat()[entry.name] for entry in table() if entry.facts.sticks}
    for name in ("system", "template"):
        flat[name] = None if flat[name] is None else as_written(flat[name])
    for name in ("api_key_file", "images_from"):
        flat[name] = None if flat[name] is None else str(Path(flat[name]).expanduser().absolute())
    return flat


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


def _check_apart(files: list[InputFile | None], output: Path) -> None:
    if output.is_dir():
        raise CannotStart(f"{output} is a folder: name a file in it with -o")
    if output.exists() and not output.is_file():
        raise CannotStart(f"{output} isn't a regular file: an output is read again to resume, so name another with -o")
    for file in files:
        if file is not None and output.exists() and file.path.samefile(output):
            raise CannotStart(f"{file.name} is the input and the output: name another output with -o")


def _set_aside(output: Path, at: str) -> None:
    """Move the output, and the copy of standard input that belongs to it, out of the way; nothing is ever overwritten."""
    if not output.exists():
        return
    names = (f"{output.name}.{at}{number}.bak" for number in ("", *(f"-{count}" for count in range(2, 1000))))
    aside = next(path for path in map(output.with_name, names) if not path.exists())
    output.rename(aside)
    copy = stdin_copy_path(output)
    if copy.exists():
        shutil.copyfile(copy, stdin_copy_path(aside))  # not moved: it may be the input of this very run


def _new_copy(output: Path) -> Path:
    """Where standard input is copied until the run is sure to begin."""
    copy = stdin_copy_path(output)
    return copy.with_name(copy.name.removesuffix(".zst") + ".new.zst")


def _check_endpoint(history: History, endpoint: Endpoint, *, accepted: bool) -> None:
    last = history.index.last_run
    if last is None or last.endpoint == endpoint.host or accepted:
        return
    kept = "its answers are not kept, they are made up" if last.endpoint == FAKE else "its answers are kept"
    raise CannotStart(
        f"{history.path} was made by {last.endpoint}, this run asks {endpoint.host}: start anew with --fresh, name another "
        f"output with -o, or go on in it with --accept-other-endpoint ({kept})",
    )


def _no_row_told(plan: Plan, inputs: tuple[str, ...]) -> str:
    if plan.left_out:
        return f"none of {plan.left_out:,} row{'s' if plan.left_out > 1 else ''} is left by --where"
    return f"there is no row in {', '.join(inputs)}"


def _check_strict(plan: Plan, settings: Settings) -> None:
    if not settings.rows.strict or not plan.bad:
        return
    more = f"; and {plan.bad - len(plan.bad_lines):,} more" if plan.bad > len(plan.bad_lines) else ""
    lines = f"{plan.bad:,} line{'s' if plan.bad > 1 else ''}"
    raise CannotStart(f"{lines} can't be sent, so --strict sends nothing: {'; '.join(plan.bad_lines)}{more}")


def _settle_changed(plan: Plan, settings: Settings, output: Path, confirm: Callable[[str], bool] | None) -> None:
    if not plan.changed or settings.rows.rerun_changed:
        return
    rows = f"{plan.changed:,} answered row{'s' if plan.changed > 1 else ''}"
    asks = f"{rows} in {output.name} would ask something else now (another model, text or parameter)"
    if confirm is None:
        raise CannotStart(f"{asks}: to buy them again add --rerun-changed; to keep both name another output with -o")
    if not confirm(f"{asks}. Buy them again?"):
        raise CannotStart("nothing was sent")
