"""A job file: TOML with `inputs` and `output` at the top and one table for each group of settings."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_runner.failures import CannotStart, UsageMistake
from batch_runner.loader import STDIN
from batch_runner.settings import did_you_mean, read_settings, table
from batch_runner.toml_text import line_of

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = ("inputs", "output")


@dataclass(frozen=True, slots=True)
class Job:
    """What a job file says. Its paths, relative to its own folder, are turned into paths from the working folder."""

    name: str
    inputs: tuple[str, ...]
    output: Path | None
    settings: dict[str, Any]
    """By setting name, as written."""


def read_job(name: str) -> Job:
    """Read and check the job file `name`. Raises `UsageMistake` with every complaint, each with its line."""
    path = Path(name)
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise CannotStart(f"{name}: can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageMistake(f"{name}: {error}") from None
    folder = path.absolute().parent
    complaints = list(_complaints(document, folder))
    if complaints:
        raise UsageMistake("\n".join(f"{name}:{line_of(text, keys)}: {complaint}" for keys, complaint in complaints))
    values = {key: value for group, entries in document.items() if group not in TOP for key, value in entries.items()}
    return Job(path.stem, _inputs(document, folder), _output(document, folder), _with_full_paths(values, folder))


def _complaints(document: dict[str, Any], folder: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    groups = {entry.group for entry in table()}
    inputs = document.get("inputs")
    named = [inputs] if isinstance(inputs, str) else inputs
    if not isinstance(named, list) or not named or not all(isinstance(name, str) and name for name in named):
        yield ("inputs",), "`inputs` must name the files to send"
    if not isinstance(document.get("output", ""), str):
        yield ("output",), "`output` must name a file"
    for key, value in document.items():
        if key not in {*TOP, *groups}:
            yield (key,), f"there is no {key!r} here{did_you_mean(key, (*TOP, *groups))}"
        elif key in groups:
            yield from _group_complaints(key, value, folder)


def _group_complaints(group: str, values: Any, folder: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    if not isinstance(values, dict):
        yield (group,), f"{group} is a table: [{group}]"
        return
    homes = {entry.name: entry.group for entry in table()}
    for key, value in values.items():
        if homes.get(key) not in {None, group}:
            yield (group, key), f"{key} belongs under [{homes[key]}]"
            continue
        try:
            read_settings(_with_full_paths({key: value}, folder))
        except UsageMistake as mistake:
            yield (group, key), str(mistake)


def _inputs(document: dict[str, Any], folder: Path) -> tuple[str, ...]:
    inputs = document["inputs"]
    named = [inputs] if isinstance(inputs, str) else inputs
    return tuple(name if name == STDIN else _seen_from_here(folder, name) for name in named)


def _output(document: dict[str, Any], folder: Path) -> Path | None:
    return Path(_seen_from_here(folder, document["output"])) if "output" in document else None


def _with_full_paths(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    full = dict(values)
    if isinstance(full.get("param"), dict):
        full["param"] = list(full["param"].items())
    for name in ("api_key_file", "ca_bundle", "images_from", "prices", "rescue_dir", "metrics", "summary", "log"):
        if isinstance(full.get(name), str):
            full[name] = _seen_from_here(folder, full[name])
    for name in ("system", "template"):
        if str(full.get(name, "")).startswith("@") and not str(full[name]).startswith("@@"):
            full[name] = "@" + _seen_from_here(folder, full[name][1:])
    return full


def _seen_from_here(folder: Path, name: str) -> str:
    """A path of the job file as one would write it in the working folder: short when it lies below, else whole."""
    path = os.path.normpath(folder / Path(name).expanduser())
    near = os.path.relpath(path)
    return path if near.startswith("..") else near
