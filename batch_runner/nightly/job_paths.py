"""Paths of a job file: relative to its own folder, for a scheduler starts in another one. Pure but for the working folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from batch_runner.endpoint import CREDENTIALS_FOLDER
from batch_runner.settings import PATH_SETTINGS
from batch_runner.settings.notices import COMMANDS, STDERR


def with_full_paths(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Settings as written in a file of `folder` -> the same with paths that hold in the working folder."""
    full = dict(values)
    if isinstance(full.get("param"), dict):
        full["param"] = list(full["param"].items())
    for name in PATH_SETTINGS:
        if isinstance(full.get(name), str) and not full[name].startswith(CREDENTIALS_FOLDER) and full[name] != STDERR:
            full[name] = seen_from_here(folder, full[name])
    for name in ("system", "template", "ping", "webhook"):
        full[name] = _behind_an_at(folder, full.get(name))
    if isinstance(services := full.get("notify"), str | list):
        full["notify"] = [_behind_an_at(folder, each) for each in ([services] if isinstance(services, str) else services)]
    for name in COMMANDS:
        full[name] = _command(folder, full.get(name))
    return {name: value for name, value in full.items() if name in values}


def _behind_an_at(folder: Path, value: Any) -> Any:
    """A text that may be `@FILE`, its file seen from here."""
    if not isinstance(value, str) or not value.startswith("@") or value.startswith(("@@", f"@{CREDENTIALS_FOLDER}")):
        return value
    return "@" + seen_from_here(folder, value[1:])


def _command(folder: Path, value: Any) -> Any:
    """A command whose first word may be a path: from the file's own folder, and in full, as nobody looks for it here."""
    if not isinstance(value, list) or not value or not isinstance(value[0], str) or not value[0].startswith((".", "~")):
        return value
    return [os.path.normpath(folder / Path(value[0]).expanduser()), *value[1:]]


def seen_from_here(folder: Path, name: str) -> str:
    """A path of the job file as one would write it in the working folder: short when it lies below, else whole."""
    path = os.path.normpath(folder / Path(name).expanduser())
    near = os.path.relpath(path)
    return path if near.startswith("..") or Path.cwd() == Path("/") else near
