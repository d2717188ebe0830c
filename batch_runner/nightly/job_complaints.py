"""What is wrong with a job file, all of it at once, each complaint with the way to what it is about."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from batch_runner.failures import UsageMistake
from batch_runner.nearest import did_you_mean
from batch_runner.nightly.job_keys import ITSELF, JOB, PREVIOUS, job_table, read_job_keys
from batch_runner.nightly.job_paths import with_full_paths
from batch_runner.nightly.layers import EXTENDS
from batch_runner.nightly.outputs import DATE
from batch_runner.settings import read_settings, table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batch_runner.nightly.layers import Keys, Layer

RETRY = "retry_failed_from"
KEEPS = ("keep", "keep_packed")
TOP = (EXTENDS, "inputs", "output")
GROUPS = (JOB, *dict.fromkeys(entry.group for entry in table()))
DATED = (("notify", "summary"), ("log", "log"))
"""The settings in which `{date}` stands for the night's, as it does in `inputs` and `output`."""
PLACEHOLDER = re.compile(r"(?<!\$)\{[\w:%. -]*\}")
HOMES = {entry.name: entry.group for entry in (*table(), *job_table())}
"""The table that each key belongs under."""


def complaints_about(layer: Layer) -> Iterator[tuple[Keys, str]]:
    """Each with the way to its value."""
    yield from layer.complaints
    for key, value in layer.document.items():
        if key == "inputs" and not _names_files(value):
            yield (key,), "`inputs` must name the files to send"
        elif key == "output" and not (isinstance(value, str) and value):
            yield (key,), "`output` must name a file"
        elif key in ("inputs", "output"):
            yield from (((key,), complaint) for complaint in _misread(value))
        elif key in GROUPS:
            yield from _group_complaints(key, value, layer.folder)
        elif key in HOMES:
            yield (key,), f"{key} belongs under [{HOMES[key]}]"
        elif key not in TOP:
            yield (key,), f"there is no {key!r} here{did_you_mean(key, (*TOP, *GROUPS))}"


def complaints_about_all(documents: list[dict[str, Any]]) -> Iterator[tuple[Keys, str]]:
    """What only shows in a job file and what it extends together, the furthest first."""
    retried = next((document[JOB][RETRY] for document in reversed(documents) if has(document, (JOB, RETRY))), None)
    inputs = any("inputs" in document for document in documents)
    if not inputs and retried is None:
        yield ("inputs",), "`inputs` must name the files to send"
    if inputs and retried == ITSELF:
        yield (JOB, RETRY), f'{RETRY} = "{ITSELF}" sends rows of the output again: leave `inputs` out'
    output = next((document["output"] for document in reversed(documents) if "output" in document), None)
    keeps = [key for key in KEEPS if any(has(document, (JOB, key)) for document in documents)]
    if keeps and DATE not in str(output):
        yield (JOB, keeps[0]), f"{keeps[0]} is about nights with an output each: write {DATE} into `output`"
    elif keeps == [KEEPS[1]]:
        yield (JOB, KEEPS[1]), f"{KEEPS[1]} counts what {KEEPS[0]} has packed: say how many nights to {KEEPS[0]} as they are"
    if retried is not None and output is None:
        yield (JOB, RETRY), f"{RETRY} needs an `output`"
    elif retried == PREVIOUS and DATE not in str(output):
        yield (JOB, RETRY), f'{RETRY} = "{PREVIOUS}" needs an `output` for each night, with {DATE} in its name'


def has(document: dict[str, Any], keys: Keys) -> bool:
    """Whether there is something at the end of the way `keys`."""
    place: Any = document
    for key in keys:
        if not isinstance(place, dict) or key not in place:
            return False
        place = place[key]
    return True


def _names_files(inputs: Any) -> bool:
    named = [inputs] if isinstance(inputs, str) else inputs
    return isinstance(named, list) and bool(named) and all(isinstance(name, str) and name for name in named)


def _misread(names: str | list[str]) -> Iterator[str]:
    """What looks like a placeholder in names of files and would become a part of them as it is."""
    for name in [names] if isinstance(names, str) else names:
        for word in PLACEHOLDER.findall(name):
            if word != DATE:
                yield f"{word} stands for nothing here; the date of the night is {DATE}"


def _group_complaints(group: str, values: Any, folder: Path) -> Iterator[tuple[Keys, str]]:
    if not isinstance(values, dict):
        yield (group,), f"{group} is a table: [{group}]"
        return
    for key, value in values.items():
        if key in HOMES and HOMES[key] != group:
            yield (group, key), f"{key} belongs under [{HOMES[key]}]"
            continue
        try:
            _check(group, key, value, folder)
        except UsageMistake as mistake:
            yield (group, key), str(mistake)
            continue
        if (group, key) in DATED:
            yield from (((group, key), complaint) for complaint in _misread(value))


def _check(group: str, key: str, value: Any, folder: Path) -> None:
    if key not in HOMES:
        here = [name for name, home in HOMES.items() if home == group]
        raise UsageMistake(f"there is no {key!r} under [{group}]{did_you_mean(key, here) or _elsewhere(key)}")
    if group == JOB:
        read_job_keys({key: value})
    else:
        read_settings(with_full_paths({key: value}, folder))


def _elsewhere(key: str) -> str:
    hint = did_you_mean(key, HOMES)
    return hint.replace("?", f" under [{HOMES[hint.split(chr(39))[1]]}]?") if hint else ""
