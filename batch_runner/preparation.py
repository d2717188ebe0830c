"""An order -> everything a run needs before its first request: the output held, what it holds known, the plan made.

Nothing is sent here. Whatever is wrong with input, settings or output is found here, and nothing has been spent.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_runner.clock import compact_timestamp
from batch_runner.deadline import Deadline
from batch_runner.endpoint import CREDENTIALS_FOLDER, FAKE, Endpoint, trust, with_key
from batch_runner.failures import CannotStart
from batch_runner.intent import Intent, Order, output_of
from batch_runner.loader import STDIN, InputFiles, RowSource
from batch_runner.output.aside import aside_path
from batch_runner.output.history import hold
from batch_runner.output.kept_inputs import Joined, stdin_copy_path
from batch_runner.output.rescue import find_rescued, rescue_folders, take_in
from batch_runner.settings import PATH_SETTINGS, as_written, table

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping

    from batch_runner.admission import Cap
    from batch_runner.chat import Defaults
    from batch_runner.clock import Clock
    from batch_runner.output.history import History
    from batch_runner.plan import Plan
    from batch_runner.pricing import Prices
    from batch_runner.settings import Settings


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that could begin."""

    intent: Intent
    output: Path
    endpoint: Endpoint
    """With its key, if anything is to be sent."""
    trust: ssl.SSLContext | bool
    """Whose certificates are trusted; see `endpoint.trust`."""
    source: RowSource
    history: History
    plan: Plan
    refuges: tuple[Path, ...] = ()
    """Folders for a rescue file, the best first."""
    taken_in: tuple[Path, ...] = ()
    """Rescue files of the last run whose lines stand in the output now."""
    caps: tuple[Cap, ...] = ()
    """Caps on cost, with what earlier runs have used of them."""
    deadline: Deadline | None = None
    """When the run has to be over."""

    @property
    def order(self) -> Order:
        """What somebody wants run."""
        return self.intent.order

    @property
    def settings(self) -> Settings:
        """What the run was told."""
        return self.order.settings

    @property
    def defaults(self) -> Defaults:
        """What rows ask for that don't say it themselves."""
        return self.intent.defaults

    @property
    def prices(self) -> Prices:
        """Those that the run was told to count with."""
        return self.intent.prices

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
    intent, output = Intent.of(order, environment), output_of(order)
    deadline = order.deadline or Deadline.of(order.settings.ending, clock(), time.monotonic())
    intent.check_output(output)
    trusted = trust(intent.endpoint, order.settings, environment)
    with ExitStack() as held:
        found = _hold(order, output, held)
        history = found.history
        intent.check_endpoint(history)
        keyed = partial(with_key, intent.endpoint, order.settings, environment)
        endpoint = intent.endpoint if history.index.lines else keyed()  # a long plan shouldn't come before a missing key
        source = _source(intent, history, held)
        plan = _planned(intent, source, history, confirm)
        caps = intent.caps(history, plan)
        if plan.to_send and endpoint.key is None:  # it isn't asked for twice: somebody may have to type something
            endpoint = keyed()
        if not plan.nothing_to_do:
            source = _made_ready(source, output, order, compact_timestamp(clock()))
        yield Prepared(intent, output, endpoint, trusted, source, history, plan, found.refuges, found.taken_in, caps, deadline)


@dataclass(frozen=True, slots=True)
class _Held:
    """An output that no other run can take."""

    history: History
    refuges: tuple[Path, ...]
    taken_in: tuple[Path, ...]


def _hold(order: Order, output: Path, held: ExitStack) -> _Held:
    settings = order.settings
    with _told_when_unusable():
        output.parent.mkdir(parents=True, exist_ok=True)
        refuges = _refuges(output, settings.disk.rescue_dir)
        history = order.history or held.enter_context(hold(output, as_new=settings.rows.fresh, by_kernel=settings.disk.lock))
        return _Held(history, refuges, () if settings.rows.fresh else _taken_in(history, refuges))


def _planned(intent: Intent, source: RowSource, history: History, confirm: Callable[[str], bool] | None) -> Plan:
    """The plan, where nothing in it stands in the way of a run."""
    plan = intent.plan(source, history)
    _check_strict(plan, intent.order.settings)
    _settle_changed(plan, intent.order.settings, history.path, confirm)
    return plan


def _refuges(output: Path, named: str | None) -> tuple[Path, ...]:
    """Folders for a rescue file. One that the user names is tried now: when it is needed it is too late."""
    folders = rescue_folders(output, named)
    if named is None:
        return folders
    try:
        folders[0].mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "it isn't a folder" if isinstance(error, FileExistsError) else error.strerror
        raise CannotStart(f"--rescue-dir {named}: {reason}") from None
    if not os.access(folders[0], os.W_OK):
        raise CannotStart(f"--rescue-dir {named}: can't be written: permission denied")
    return folders


def _taken_in(history: History, refuges: tuple[Path, ...]) -> tuple[Path, ...]:
    """Append what the last run had to put elsewhere, before it is bought again; the files it stood in.

    Where the output itself is gone, what stands beside it is all there is.
    """
    run = history.index.last_run
    if run is None:
        rescued = find_rescued(history.path, None, (history.path.parent,))
    else:
        recorded = run.settings.get("rescue_dir")
        rescued = find_rescued(history.path, run.id, dict.fromkeys((*refuges, *([Path(recorded)] if recorded else []))))
    for path in rescued:
        try:
            take_in(history.path, history.index.size, path)
        except OSError as error:
            raise CannotStart(f"{history.path} still can't take what its last run put into {path}: {error.strerror}") from None
        history.reopen()
    if rescued:
        history.tidy()  # what was taken in may stand in the output twice
    return tuple(rescued)


def _source(intent: Intent, history: History, held: ExitStack) -> RowSource:
    """Where the rows come from; a copy of standard input is taken, and removed again if the run doesn't begin."""
    if intent.order.inputs is None:
        return intent.kept_inputs(history)
    new_copy = _new_copy(history.path)
    held.callback(new_copy.unlink, missing_ok=True)
    with _told_when_unusable():
        return intent.with_earlier(intent.source(new_copy), held)


def _made_ready(source: RowSource, output: Path, order: Order, at: str) -> RowSource:
    """Everything in its place for a run that begins now; whatever refuses one has left everything in its place before."""
    if not os.access(output if output.exists() else output.parent, os.W_OK):
        raise CannotStart(f"{output}: can't be written: permission denied")
    with _told_when_unusable():
        if order.settings.rows.fresh:
            _set_aside(output, at)
        if STDIN in (order.inputs or ()) and isinstance(source, InputFiles | Joined):
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


def recorded_settings(settings: Settings) -> dict[str, Any]:
    """The settings as a run line keeps them for `retry`: without those meant once, files by their full name."""
    told = settings.flat()
    flat = {entry.name: told[entry.name] for entry in table() if entry.facts.sticks}
    for name in ("system", "template"):
        flat[name] = None if flat[name] is None else as_written(flat[name])
    for name in PATH_SETTINGS:
        if flat.get(name) is not None:
            flat[name] = _by_full_name(flat[name])
    return flat


def _by_full_name(name: str) -> str:
    return name if name.startswith(CREDENTIALS_FOLDER) else str(Path(name).expanduser().absolute())


def _set_aside(output: Path, at: str) -> None:
    """Move the output, and the copy of standard input that belongs to it, out of the way; nothing is ever overwritten."""
    if not output.exists():
        return
    aside = aside_path(output, at, "bak")
    output.rename(aside)
    copy = stdin_copy_path(output)
    if copy.exists():
        shutil.copyfile(copy, stdin_copy_path(aside))  # not moved: it may be the input of this very run


def _new_copy(output: Path) -> Path:
    """Where standard input is copied until the run is sure to begin."""
    copy = stdin_copy_path(output)
    return copy.with_name(copy.name.removesuffix(".zst") + ".new.zst")


def _check_strict(plan: Plan, settings: Settings) -> None:
    if not settings.rows.strict or not plan.bad:
        return
    more = f"; and {plan.bad - len(plan.bad_lines):,} more" if plan.bad > len(plan.bad_lines) else ""
    lines = f"{plan.bad:,} line{'s' if plan.bad > 1 else ''}"
    named = "; ".join(f"{place.at}: {place.what}" for place in plan.bad_lines)
    raise CannotStart(f"{lines} can't be sent, so --strict sends nothing: {named}{more}")


def _settle_changed(plan: Plan, settings: Settings, output: Path, confirm: Callable[[str], bool] | None) -> None:
    if not plan.changed or settings.rows.rerun_changed:
        return
    rows = f"{plan.changed:,} answered row{'s' if plan.changed > 1 else ''}"
    asks = f"{rows} in {output.name} would ask something else now (another model, text or parameter)"
    if confirm is None:
        raise CannotStart(f"{asks}: to buy them again add --rerun-changed; to keep both name another output with -o")
    if not confirm(f"{asks}. Buy them again?"):
        raise CannotStart("nothing was sent")
