"""The table of keys that only a job has, `[job]` in its file. Reading, complaints and docs are read off it, as off `settings`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import time
from typing import TYPE_CHECKING, Any

import click

from batch_runner.settings import Setting
from batch_runner.settings.facts import setting
from batch_runner.settings.kinds import Count, Dollars, Duration, TimeOfDay, ZoneName
from batch_runner.settings.reading import convert

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

JOB = "job"
"""The table's name in a job file."""

PREVIOUS, ITSELF = "previous", "itself"


@dataclass(frozen=True, slots=True)
class JobKeys:
    """What a job is told beside the settings of its runs."""

    name: str | None = setting(None, "What the job is called. Default: its file's name without `.toml`.", metavar="NAME")
    zone: str | None = setting(
        None, "The time zone that its dates and times are told in. Default: the machine's.", kind=ZoneName(), metavar="Area/City"
    )
    start_at: time | None = setting(None, "When `job schedule` has it start.", kind=TimeOfDay(), metavar="HH:MM")
    day_starts: time = setting(
        time(12), "When a night's date begins: a run before it belongs to the night of the day before.", kind=TimeOfDay()
    )
    resume_within: float = setting(
        18 * 3600.0,
        "An unfinished output of an earlier night that was begun less than this ago is resumed instead of a new one begun.",
        kind=Duration(),
    )
    retry_failed_from: str | None = setting(
        None,
        "Which failed and unfinished rows are tried again. `previous`: the night before's, with tonight's inputs if there are"
        " any. `itself`: the output's own, in it; then there are no inputs.",
        kind=click.Choice((PREVIOUS, ITSELF)),
    )
    fail_on_drift: bool = setting(False, "End with 11 instead of 0 when a night departs from those before it.", kind=bool)
    keep: int | None = setting(
        None, "How many nights keep their outputs as they are; older ones are packed. Default: all.", kind=Count(), metavar="N"
    )
    keep_packed: int | None = setting(
        None, "How many packed outputs are kept besides; older ones are removed. Default: all.", kind=Count(), metavar="N"
    )
    max_cost_per_night: float | None = setting(
        None, "The most that all runs of a night may cost, lost answers at their worst.", kind=Dollars(), metavar="USD"
    )
    max_cost_per_job: float | None = setting(
        None, "The most that all nights of the job may cost together.", kind=Dollars(), metavar="USD"
    )


def job_table() -> Iterator[Setting]:
    """All job keys in their order."""
    for entry in fields(JobKeys):
        yield Setting(entry.name, JOB, entry.default, entry.metadata["facts"])


def read_job_keys(values: Mapping[str, Any]) -> JobKeys:
    """Check `values` (by key, all known) and build the keys. Raises `UsageMistake` for the first that can't be meant so."""
    return JobKeys(**{entry.name: convert(entry, values[entry.name]) for entry in job_table() if entry.name in values})
