"""What the commands of `job` do: tell what a job comes to tonight, and run it."""

from __future__ import annotations

import os
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from batch_runner.commands.rehearsing import dry_run
from batch_runner.commands.running import leaving_tidily, run_order, shown
from batch_runner.deadline import Deadline
from batch_runner.endpoint import CREDENTIALS, FAKE, key_variable_of
from batch_runner.exits import ExitStatus
from batch_runner.failures import BatchRunnerError
from batch_runner.loader import STDIN, find_inputs
from batch_runner.nightly.job_keys import ITSELF
from batch_runner.nightly.outputs import glance
from batch_runner.nightly.placing import placement
from batch_runner.nightly.schedule import cron_text, systemd_text
from batch_runner.nightly.tonight import Tonight, order_of, tonight
from batch_runner.nightly.turn import turn
from batch_runner.reporters.systemd import Systemd
from batch_runner.reporters.voice import show, tell
from batch_runner.reporters.wording import duration, money
from batch_runner.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from datetime import time as time_of_day

    from batch_runner.commands.terminal import Face
    from batch_runner.failures import OutputBusy
    from batch_runner.nightly.job_file import Job
    from batch_runner.settings import Settings


def run_job(job: Job, settings: Settings, face: Face, *, day: date | None, wait: bool) -> int:
    """Run the night of a job; returns the exit status."""
    now = time.time()
    first = tonight(job, now, day)
    deadline = Deadline.of(settings.ending, now, time.monotonic(), first.zone)
    queue = _Queue(deadline, face, wait=wait)
    Systemd().ready()  # the turn may be another's, and that is no failure
    with leaving_tidily():
        try:
            with turn(first.lock, job.name, by_kernel=settings.disk.lock, wait=queue.stays):
                night = tonight(job, now, day)  # whoever had the turn before may have finished what was unfinished
                _check_in_time(night, settings, now)
                if night.resumed:
                    face.say(f"going on with the night of {night.night.day}, which was left unfinished")
                return run_order(order_of(night, settings, deadline), face)
        except _TimeUp as up:
            tell(str(up))
            return int(ExitStatus.DEADLINE)


def rehearse_job(job: Job, settings: Settings, face: Face, *, day: date | None) -> int:
    """Tell what the night of a job would do; returns the exit status."""
    now = time.time()
    night = tonight(job, now, day)
    deadline = Deadline.of(settings.ending, now, time.monotonic(), night.zone)
    if not (face.quiet or face.as_json):
        for name, value in _told(night, settings, deadline):
            show(f"{name:<10} {value}")
    return dry_run(order_of(night, settings, deadline), face)


class _TimeUp(Exception):
    """The deadline came before the run could begin."""


def _check_in_time(night: Tonight, settings: Settings, now: float) -> None:
    over = night.over_since(settings.ending.stop_at, now)
    if over is not None:
        at = f"{datetime.fromtimestamp(over, night.zone):%H:%M}"
        raise _TimeUp(f"the night of {night.night.day} was over at {at}; nothing was sent. Another --stop-at goes on with it now")


class _Queue:
    """Whether a run waits for its turn any longer."""

    def __init__(self, deadline: Deadline | None, face: Face, *, wait: bool) -> None:
        self._deadline = deadline
        self._face = face
        self._wait = wait
        self._told = False

    def stays(self, busy: OutputBusy) -> bool:
        """Asked while another run is at work. Raises `_TimeUp` once it isn't worth while any more."""
        if not self._wait:
            return False
        deadline = self._deadline
        if deadline is not None and deadline.seconds_left(time.time(), time.monotonic()) <= deadline.reserve:
            raise _TimeUp(f"the time is up ({deadline.told}), and {busy}; nothing was sent")
        if not self._told:
            self._told = True
            self._face.say(f"waiting: {busy}")
        return True


def check_job(job: Job) -> int:
    """Tell what a job comes to now; returns the exit status."""
    settings = read_settings(job.settings)
    now = time.time()
    night = tonight(job, now)
    deadline = Deadline.of(settings.ending, now, time.monotonic(), night.zone)
    show(f"{shown(job.path)}: the job {job.name} is fine")
    for name, value in _told(night, settings, deadline):
        show(f"  {name:<10} {value}")
    return int(ExitStatus.OK)


def _told(night: Tonight, settings: Settings, deadline: Deadline | None) -> Iterator[tuple[str, str]]:
    keys = night.job.keys
    begins = f"{datetime.fromtimestamp(night.night.begins, night.zone):%Y-%m-%d %H:%M %Z}"
    yield "night", f"{night.night.day}, from {begins}{'; left unfinished, so it is gone on with' if night.resumed else ''}"
    whose = "" if keys.zone else " (the machine's: one named in [job] holds on every machine)"
    yield "zone", f"{night.zone}{whose}"
    for name in night.inputs or ():
        yield "inputs", name if name == STDIN else f"{name}: {_found(name)}"
    if keys.retry_failed_from is not None:
        itself = keys.retry_failed_from == ITSELF
        yield (
            "retries",
            "rows of the output itself" if itself else f"rows of {night.previous or 'the night before: there is none yet'}",
        )
    yield "output", f"{night.output}: {_standing(night)}"
    yield "asks", f"{settings.request.model} at {settings.request.endpoint}; its key: {_whereabouts_of_key(settings)}"
    if keys.start_at is not None:
        yield "starts", f"{keys.start_at:%H:%M}, once `job schedule` has it started"
    if deadline is not None and deadline.at is not None:
        yield "stops", f"{datetime.fromtimestamp(deadline.at, night.zone):%Y-%m-%d %H:%M %Z}"
    if deadline is not None and deadline.ends is not None:
        yield "lasts", f"{duration(settings.ending.max_duration or 0)} at most"
    budgets = (
        (keys.max_cost_per_night, "a night"),
        (keys.max_cost_per_job, "all nights"),
        (settings.money.max_cost, "an output"),
    )
    if any(limit for limit, _ in budgets):
        yield "costs", "at most " + ", ".join(f"{money(limit)} for {what}" for limit, what in budgets if limit)


def _whereabouts_of_key(settings: Settings) -> str:
    request = settings.request
    if request.endpoint == FAKE:
        return "none is needed"
    if request.api_key_command is not None:
        return "printed by a command"
    if request.api_key_file is not None:
        there = request.api_key_file.startswith(f"${{{CREDENTIALS}}}") or Path(request.api_key_file).is_file()
        return f"in {request.api_key_file}{'' if there else ', which is not there'}"
    variable = key_variable_of(settings)
    return f"in the variable {variable}{'' if os.environ.get(variable) else ', which is not set here'}"


def _found(name: str) -> str:
    try:
        files, _ = find_inputs([name])
    except BatchRunnerError as error:
        return str(error).removeprefix(f"{name}: ")
    return f"{len(files):,} file{'s' if len(files) != 1 else ''}"


def _standing(night: Tonight) -> str:
    begun = glance(night.output)
    if begun is None:
        return "not there yet" if not night.output.exists() else "not an output"
    return "finished" if begun.finished else "unfinished"


def schedule_job(job: Job, scheduler: str, at: time_of_day | None) -> int:
    """Print what has a scheduler run the job; returns the exit status."""
    night = tonight(job, time.time())
    place = placement(job, read_settings(job.settings), night.zone, night.outputs, at=at)
    show((cron_text if scheduler == "cron" else systemd_text)(place).rstrip("\n"))
    return int(ExitStatus.OK)
