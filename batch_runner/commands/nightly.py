"""What the commands of `job` do: tell what a job comes to tonight, and run it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING

from batch_runner.commands.announcing import telling_obstacles
from batch_runner.commands.rehearsing import dry_run
from batch_runner.commands.running import run_order
from batch_runner.commands.signals import heard_asleep, leaving_tidily
from batch_runner.commands.terminal import print_json, shown
from batch_runner.commands.tidying import tidied
from batch_runner.deadline import Deadline
from batch_runner.exits import ExitStatus
from batch_runner.failures import OutputBusy, UsageMistake
from batch_runner.intent import Order
from batch_runner.nightly.book import Book
from batch_runner.nightly.outlook import Outlook, left_in_words
from batch_runner.nightly.placing import placement
from batch_runner.nightly.schedule import cron_text, systemd_text
from batch_runner.nightly.tonight import Tonight, order_of, tonight
from batch_runner.nightly.turn import turn
from batch_runner.reporters.systemd import Systemd
from batch_runner.reporters.voice import show, tell
from batch_runner.settings import read_settings

if TYPE_CHECKING:
    from datetime import date
    from datetime import time as time_of_day

    from batch_runner.commands.terminal import Face
    from batch_runner.nightly.job_file import Job
    from batch_runner.settings import Settings


def run_job(
    job: Job, settings: Settings, face: Face, *, day: date | None, wait: bool, fail_on_drift: bool, pilot: int | None
) -> int:
    """Run the night of a job, so many rows first as a `pilot`; returns the exit status."""
    now = time.time()
    first = tonight(job, now, day)
    deadline = Deadline.of(settings.ending, now, time.monotonic(), first.zone)
    queue = _Queue(deadline, face, wait=wait)
    Systemd().ready()  # the turn may be another's, and that is no failure
    with leaving_tidily(), ExitStack() as held:
        try:
            with heard_asleep() as sleep:
                held.enter_context(turn(first.lock, job.name, by_kernel=settings.disk.lock, wait=queue.stays, sleep=sleep))
            night = tonight(job, now, day)  # whoever had the turn before may have finished what was unfinished
            _check_in_time(night, settings, now)
        except _TimeUp as up:
            tell(str(up))
            return int(ExitStatus.DEADLINE)
        if night.resumed:
            face.say(f"going on with the night of {night.night.day}, which was left unfinished")
        if left := left_in_words(night):
            face.say(left)
        book = Book(night, fail_on_drift=fail_on_drift or job.keys.fail_on_drift, clock=time.time, say=tell)
        with telling_obstacles(Order(settings, night.inputs, night.output, job=job.name), book):
            order = order_of(night, settings, deadline)
        status = run_order(order, face, book, pilot)
        for line in tidied(night.outputs, job.keys):
            face.say(line)
        return status


def rehearse_job(job: Job, settings: Settings, face: Face, *, day: date | None) -> int:
    """Tell what the night of a job would do; returns the exit status."""
    outlook = _outlook(job, settings, day)
    if not (face.quiet or face.as_json):
        for name, value in outlook.lines():
            show(f"{name:<10} {value}")
    return dry_run(order_of(outlook.night, settings, outlook.deadline), face, {"job": outlook.document()})


def tidy_job(job: Job, *, dry: bool) -> int:
    """Put away the outputs of old nights; returns the exit status. Raises `UsageMistake` where nothing says how many to keep."""
    if job.keys.keep is None:
        raise UsageMistake(f"{job.path.name}: nothing says how many nights to keep: keep = 14 under [job]")
    night, told = tonight(job, time.time()), False
    for line in tidied(night.outputs, job.keys, dry=dry):
        told = True
        show(line)
    if not told:
        show("nothing to put away")
    return int(ExitStatus.OK)


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
        """Asked while another run is at work. Raises `OutputBusy` without `--wait`, `_TimeUp` once it isn't worth while."""
        if not self._wait:
            raise OutputBusy(f"{busy}; --wait waits for its turn") from None
        deadline = self._deadline
        if deadline is not None and deadline.seconds_left(time.time(), time.monotonic()) <= deadline.reserve:
            raise _TimeUp(f"the time is up ({deadline.told}), and {busy}; nothing was sent")
        if not self._told:
            self._told = True
            self._face.say(f"waiting: {busy}")
        return True


def check_job(job: Job, *, as_json: bool) -> int:
    """Tell what a job comes to now; returns the exit status, which isn't 0 where something that it names isn't there."""
    outlook = _outlook(job, read_settings(job.settings), None)
    lacking = outlook.lacking()
    status = int(ExitStatus.CANNOT_START if lacking else ExitStatus.OK)
    if as_json:
        print_json(outlook.document())
        return status
    but = f"'s file is fine, but not all that it names is there: {', '.join(lacking)}" if lacking else " is fine"
    show(f"{shown(job.path)}: the job {job.name}{but}")
    for name, value in outlook.lines():
        show(f"  {name:<10} {value}")
    return status


def _outlook(job: Job, settings: Settings, day: date | None) -> Outlook:
    now = time.time()
    night = tonight(job, now, day)
    return Outlook(night, settings, Deadline.of(settings.ending, now, time.monotonic(), night.zone))


def schedule_job(job: Job, scheduler: str, at: time_of_day | None) -> int:
    """Print what has a scheduler run the job; returns the exit status."""
    night = tonight(job, time.time())
    place = placement(job, read_settings(job.settings), night.zone, night.outputs, at=at)
    show((cron_text if scheduler == "cron" else systemd_text)(place).rstrip("\n"))
    return int(ExitStatus.OK)
