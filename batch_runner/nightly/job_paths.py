"""Paths of a job file: relative to its own folder, for a scheduler starts in another one. Pure but for the working folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from batch_runner.endpoint import CREDENTIALS
from batch_runner.settings import PATH_SETTINGS


def with_full_paths(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Settings as written in a file of `folder` -> the same with paths that hold in the working folder."""
    full = dict(values)
    if isinstance(full.get("param"), dict):
        full["param"] = list(full["param"].items())
    for name in PATH_SETTINGS:
        if isinstance(full.get(name), str) and not full[name].startswith(f"${{{CREDENTIALS}}}"):
            full[name] = seen_from_here(folder, full[name])
    for name in ("system", "template"):
        if str(full.get(name, "")).startswith("@") and not str(full[name]).startswith("@@"):
            full[name] = "@" + seen_from_here(folder, full[name][1:])
    return full


def seen_from_here(folder: Path, name: str) -> str:
    """A path of the job file as one would write it in the working folder: short when it lies below, else whole."""
    path = os.path.normpath(folder / Path(name).expanduser())
    near = os.path.relpath(path)
    return path if near.startswith("..") else near
