"""What a job comes to at one moment, told beforehand: its night, its files, its deadline, its budgets. Nothing is sent."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_runner.clock import timestamp
from batch_runner.endpoint import CREDENTIALS_FOLDER, FAKE, is_loopback, key_variable_of, resolve
from batch_runner.failures import BatchRunnerError
from batch_runner.loader import STDIN, find_inputs
from batch_runner.nightly.job_keys import ITSELF
from batch_runner.nightly.outputs import glance
from batch_runner.nightly.tonight import dated
from batch_runner.notices.whom import whom
from batch_runner.reporters.wording import duration, many, money, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_runner.deadline import Deadline
    from batch_runner.nightly.tonight import Tonight
    from batch_runner.settings import Settings

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Outlook:
    """A job's night, before it is run."""

    night: Tonight
    settings: Settings
    deadline: Deadline | None

    def lines(self) -> Iterator[tuple[str, str]]:
        """For a person: what a line is about, and what it says."""
        night, keys = self.night, self.night.job.keys
        begins = f"{datetime.fromtimestamp(night.night.begins, night.zone):%Y-%m-%d %H:%M %Z}"
        yield "night", f"{night.night.day}, from {begins}{'; left unfinished, so it is gone on with' if night.resumed else ''}"
        yield "zone", f"{night.zone}{'' if keys.zone else ' (the machine is in it; one named in [job] holds everywhere)'}"
        for name, found, _ in self._inputs():
            yield "inputs", name if name == STDIN else f"{name}: {found}"
        if keys.retry_failed_from is not None:
            yield "retries", self._retried()
        if told := left_in_words(night):
            yield "left", told
        yield "output", f"{night.output}: {self._standing()}"
        yield (
            "asks",
            f"{self.settings.request.model} at {self.settings.request.endpoint}; its key: {_whereabouts(self.settings)[0]}",
        )
        yield from self._times()
        if budgets := [f"{money(limit)} for {what}" for _, limit, what in self._budgets()]:
            yield "costs", f"at most {', '.join(budgets)}"
        yield from (("tells", told) for told, _ in self._told())
        if keys.keep is not None:
            packed = "" if keys.keep_packed is None else f", {keys.keep_packed:,} packed"
            yield "keeps", f"{many(keys.keep, 'night')}{packed or ', older ones packed'}"

    def lacking(self) -> list[str]:
        """What the job names and isn't there at this moment, by the words that its lines begin with."""
        there = {
            "inputs": all(there for _, _, there in self._inputs()),
            "retries": self._can_retry(),
            "its key": _whereabouts(self.settings)[1],
            "tells": all(there for _, there in self._told()),
        }
        return [word for word, all_there in there.items() if not all_there]

    def document(self) -> dict[str, Any]:
        """For a program."""
        night, deadline = self.night, self.deadline
        return {
            "schema": SCHEMA,
            "job": night.job.name,
            "file": str(night.job.path),
            "night": night.night.day.isoformat(),
            "night_begins": timestamp(night.night.begins),
            "resumed": night.resumed,
            "zone": str(night.zone),
            "inputs": None if night.inputs is None else [{"name": name, "found": found} for name, found, _ in self._inputs()],
            "retry_failed_from": None if night.job.keys.retry_failed_from is None else self._retried(),
            "left": None if night.left is None else {"night": night.left.day.isoformat(), "unsent": night.left.unsent},
            "output": str(night.output),
            "output_is": self._standing(),
            "endpoint": self.settings.request.endpoint,
            "model": self.settings.request.model,
            "stops_at": None if deadline is None or deadline.at is None else timestamp(deadline.at),
            "max_duration_s": self.settings.ending.max_duration,
            "tells": [told for told, _ in self._told()],
            "lacking": self.lacking(),
            "keep": night.job.keys.keep,
            "keep_packed": night.job.keys.keep_packed,
            "budgets_usd": {name: limit for name, limit, _ in self._budgets()},
        }

    def _told(self) -> Iterator[tuple[str, bool]]:
        return whom(dated(self.settings, self.night.night.day))

    def _inputs(self) -> Iterator[tuple[str, str, bool]]:
        for name in self.night.inputs or ():
            yield name, *(("read once", True) if name == STDIN else _found(name))

    def _can_retry(self) -> bool:
        """Whether there is an output that rows can be taken from, where a night has no other rows."""
        if self.night.job.keys.retry_failed_from == ITSELF:
            return self.night.output.is_file()
        return self.night.inputs is not None or self.night.previous is not None

    def _retried(self) -> str:
        if self.night.job.keys.retry_failed_from == ITSELF:
            return "rows of the output itself"
        return f"rows of {self.night.previous or 'the night before: there is none yet'}"

    def _standing(self) -> str:
        begun = glance(self.night.output)
        if begun is None:
            return "not an output" if self.night.output.exists() else "not there yet"
        return "finished" if begun.finished else "unfinished"

    def _times(self) -> Iterator[tuple[str, str]]:
        start_at, longest = self.night.job.keys.start_at, self.settings.ending.max_duration
        if start_at is not None:
            yield "starts", f"{start_at:%H:%M}, once `job schedule` has it started"
        if self.deadline is not None and self.deadline.at is not None:
            yield "stops", f"{datetime.fromtimestamp(self.deadline.at, self.night.zone):%Y-%m-%d %H:%M %Z}"
        if longest is not None:
            yield "lasts", f"{duration(longest)} at most"

    def _budgets(self) -> list[tuple[str, float, str]]:
        keys = self.night.job.keys
        named = (
            ("max_cost_per_night", keys.max_cost_per_night, "a night"),
            ("max_cost_per_job", keys.max_cost_per_job, "all nights"),
            ("max_cost", self.settings.money.max_cost, "an output"),
        )
        return [(name, limit, what) for name, limit, what in named if limit is not None]


def left_in_words(night: Tonight) -> str:
    """What the night before was left with, and how that is sent; empty where this one takes care of it, or there is nothing."""
    left = night.left
    if left is None:
        return ""
    what = "was killed, and may have rows" if left.unsent is None else f"was left with {rows(left.unsent)}"
    again = shlex.join(["batch-runner", "job", "run", os.path.relpath(night.job.path), "--night", left.day.isoformat()])
    return f"the night of {left.day} {what} never sent, which tonight's inputs don't hold: {again}"


def _found(name: str) -> tuple[str, bool]:
    try:
        return many(len(find_inputs([name])[0]), "file"), True
    except BatchRunnerError as error:
        return str(error).removeprefix(f"{name}: "), False


def _whereabouts(settings: Settings) -> tuple[str, bool]:
    """Of the key, and whether it is there."""
    request, variable = settings.request, key_variable_of(settings)
    if request.endpoint == FAKE:
        return "none is needed", True
    if request.api_key_command is not None:
        return "printed by a command", True
    if request.api_key_file is not None:
        there = request.api_key_file.startswith(CREDENTIALS_FOLDER) or Path(request.api_key_file).is_file()
        return f"in {request.api_key_file}{'' if there else ', which is not there'}", there
    if os.environ.get(variable):
        return f"in the variable {variable}", True
    optional = request.api_key_env is None and is_loopback(resolve(settings).host)
    return ("none is set, none is sent", True) if optional else (f"in the variable {variable}, which is not set here", False)
