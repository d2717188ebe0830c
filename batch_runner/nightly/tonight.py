"""A job and a moment -> the night's run: its date, inputs and output, and whether an earlier night is gone on with."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, time, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from batch_runner.clock import seconds_of
from batch_runner.endpoint import FAKE
from batch_runner.failures import CannotStart
from batch_runner.intent import Order, output_of
from batch_runner.nightly.diary import Diary
from batch_runner.nightly.job_keys import ITSELF, PREVIOUS
from batch_runner.nightly.nights import Night
from batch_runner.nightly.outputs import DATE, Outputs, glance
from batch_runner.output.heartbeat import read_heartbeat
from batch_runner.output.history import History
from batch_runner.settings import Settings
from batch_runner.spending import WiderCap
from batch_runner.totals import UNATTEMPTED, Totals
from batch_runner.zones import local_zone, next_moment, zone_named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_runner.deadline import Deadline
    from batch_runner.nightly.job_file import Job

TOO_LATE_SECONDS = 3600.0
"""How long after its `stop_at` a night isn't gone on with by itself."""
PER_NIGHT, PER_JOB = "max_cost_per_night", "max_cost_per_job"


class Left(NamedTuple):
    """An earlier night that wasn't finished."""

    day: date
    unsent: int | None
    """Rows that were never sent; `None` where its last run was killed and only the whole file tells."""


@dataclass(frozen=True, slots=True)
class Tonight:
    """What a job comes to at one moment."""

    job: Job
    zone: tzinfo
    night: Night
    """Whose date stands in the names."""
    resumed: bool
    """True when it is an earlier night, which was left unfinished."""
    inputs: tuple[str, ...] | None
    outputs: Outputs

    @property
    def output(self) -> Path:
        """The night's."""
        return self.outputs.on(self.night.day)

    @property
    def lock(self) -> Path:
        """What a run of the job holds, beside its output: the output of another night is another file."""
        return self.outputs.home / f"{self.job.name}.job"

    @property
    def diary(self) -> Path:
        """The job's history."""
        return self.outputs.home / f"{self.job.name}.history.jsonl"

    def over_since(self, stop_at: time | None, now: float) -> float | None:
        """When the night was over, where it was begun and this start comes just too late for it; else `None`.

        Whatever starts a killed night again may do so in the very minute in which it should have ended: it must not go on until
        `stop_at` of the next day.
        """
        begun = glance(self.output)
        if stop_at is None or begun is None or begun.finished:
            return None
        over = next_moment(self._last_began(begun.at), stop_at, self.zone)
        return over if over <= now < over + TOO_LATE_SECONDS else None

    def _last_began(self, first: float) -> float:
        """When the last run of the output began, as its heartbeat tells; else when the `first` did."""
        with suppress(KeyError, ValueError, TypeError):
            return seconds_of(read_heartbeat(self.output)["started"])
        return first

    @property
    def previous(self) -> Path | None:
        """The output of the last night before this one, if there is one."""
        return self._before[1] if self._before else None

    @property
    def left(self) -> Left | None:
        """The last night before this one, where it has rows that were never sent. Only where inputs carry the date: others hold
        those rows again.
        """
        if self._before is None or not any(DATE in name for name in self.job.inputs or ()):
            return None
        day, path = self._before
        begun = glance(path)
        if begun is None or begun.finished or begun.job != self.job.name:
            return None
        unsent = None if begun.spent is None else begun.spent.rows[UNATTEMPTED]
        return None if unsent == 0 else Left(day, unsent)

    @property
    def _before(self) -> tuple[date, Path] | None:
        return next(((day, path) for day, path in self.outputs.nights() if day < self.night.day), None)


def tonight(job: Job, now: float, day: date | None = None) -> Tonight:
    """The night that `job` is to run at `now`: that of `day`, else one that was left unfinished, else the one it is.

    Raises `CannotStart` where the machine doesn't know the zone.
    """
    zone = zone_named(job.keys.zone) if job.keys.zone else local_zone()
    outputs = Outputs(job.output or str(output_of(Order(Settings(), job.inputs))))
    current = Night.at(now, zone, job.keys.day_starts) if day is None else Night.on(day, zone, job.keys.day_starts)
    unfinished = None if day is not None or glance(outputs.on(current.day)) else _unfinished(job, outputs, current, now)
    night = current if unfinished is None else Night.on(unfinished, zone, job.keys.day_starts)
    named = night.day.isoformat()
    inputs = None if job.inputs is None else tuple(name.replace(DATE, named) for name in job.inputs)
    return Tonight(job, zone, night, unfinished is not None, inputs, outputs)


def _unfinished(job: Job, outputs: Outputs, current: Night, now: float) -> date | None:
    """The latest earlier night of the job that was left unfinished, if it was begun lately enough."""
    for day, path in outputs.nights():
        begun = glance(path)
        if day < current.day and begun is not None and begun.job == job.name:
            return None if begun.finished or now - begun.at > job.keys.resume_within else day
    return None


def order_of(night: Tonight, settings: Settings, deadline: Deadline | None) -> Order:
    """The order that runs it. Raises `CannotStart` where its rows are to come out of an output that isn't there."""
    keys, output, inputs = night.job.keys, night.output, night.inputs
    if keys.retry_failed_from == ITSELF and not output.is_file():
        raise CannotStart(
            f"{output}: there is no such output yet, so none of its rows can be sent again: run the job that makes it"
        )
    also = night.previous if keys.retry_failed_from == PREVIOUS else None
    if keys.retry_failed_from == PREVIOUS and inputs is None:
        if also is None:
            raise CannotStart(
                f"there is no earlier night than {night.night.day} to retry: give the job `inputs` for its first one"
            )
        inputs = ()
    return Order(
        dated(settings, night.night.day),
        inputs,
        output,
        job=night.job.name,
        also_failed_in=also,
        deadline=deadline,
        wider_caps=tuple(_wider_caps(night, real=settings.request.endpoint != FAKE)),
    )


def dated(settings: Settings, day: date) -> Settings:
    """Settings with the date of the night in the names of what is written of it."""
    summary, log = ((name or "").replace(DATE, day.isoformat()) or None for name in (settings.notify.summary, settings.log.log))
    return replace(settings, notify=replace(settings.notify, summary=summary), log=replace(settings.log, log=log))


def _wider_caps(night: Tonight, *, real: bool) -> Iterator[WiderCap]:
    keys = night.job.keys
    if keys.max_cost_per_night is not None:
        yield WiderCap(PER_NIGHT, keys.max_cost_per_night, None if night.outputs.dated else night.night.begins)
    if keys.max_cost_per_job is not None:
        yield WiderCap(PER_JOB, keys.max_cost_per_job, None, _of_other_nights(night, real=real))


def _of_other_nights(night: Tonight, *, real: bool) -> Totals:
    """What all nights but this one came to: by their outputs, or by the job's history where those are packed or gone."""
    spent, there = Totals(), set[str]()
    for _, path in night.outputs.nights():
        begun = glance(path)
        there.add(os.path.realpath(path))
        if path == night.output or begun is None:
            continue
        if begun.spent is not None:
            spent = spent.merge(begun.spent)
            continue
        with History(path) as history:
            spent = spent.merge(history.job_so_far(real=real))
    for entry in Diary(night.diary).entries if night.outputs.dated else ():
        if entry.output not in there:
            spent = spent.merge(entry.totals)
    return spent
