"""A job file: TOML with `inputs` and `output` at the top, `[job]`, and one table for each group of settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_runner.failures import UsageMistake
from batch_runner.loader import STDIN
from batch_runner.nightly.job_complaints import GROUPS, complaints_about, complaints_about_all, has
from batch_runner.nightly.job_keys import JOB, JobKeys, read_job_keys
from batch_runner.nightly.job_paths import seen_from_here, with_full_paths
from batch_runner.nightly.layers import Layer, read_layers
from batch_runner.settings import KEY_SETTINGS, read_settings

if TYPE_CHECKING:
    from batch_runner.nightly.layers import Keys


@dataclass(frozen=True, slots=True)
class Job:
    """What a job file says. Its paths, relative to its own folder, are turned into paths from the working folder."""

    path: Path
    """The file, in full."""
    keys: JobKeys
    inputs: tuple[str, ...] | None
    """Paths and globs, `{date}` for the night's; `None`: the rows come out of the output itself."""
    output: str | None
    """As `inputs`; `None`: beside the single input."""
    settings: dict[str, Any]
    """By setting name, as written."""

    @property
    def name(self) -> str:
        """As `[job] name` says, or the file's."""
        return self.keys.name or self.path.stem


def read_job(name: str) -> Job:
    """Read and check the job file `name`, and what it extends. Raises `UsageMistake` with every complaint, each with its line."""
    layers = read_layers(name)
    complaints = [layer.told(*complaint) for layer in layers for complaint in complaints_about(layer)]
    complaints += [_placed(layers, *complaint) for complaint in complaints_about_all([layer.document for layer in layers])]
    if complaints:
        raise UsageMistake("\n".join(complaints))
    job = _job(layers)
    try:
        read_settings(job.settings)
    except UsageMistake as mistake:  # two that are right by themselves and not together
        raise UsageMistake(_placed(layers, ("request",), str(mistake))) from None
    return job


def _job(layers: list[Layer]) -> Job:
    settings: dict[str, Any] = {}
    keys: dict[str, Any] = {}
    for layer in layers:
        keys |= layer.document.get(JOB, {})
        groups = (layer.document.get(group, {}) for group in GROUPS if group != JOB)
        settings = _laid_over(settings, {key: value for values in groups for key, value in values.items()}, layer)
    return Job(Path(layers[-1].name).absolute(), read_job_keys(keys), _inputs(layers), _output(layers), settings)


def _laid_over(below: dict[str, Any], own: dict[str, Any], layer: Layer) -> dict[str, Any]:
    """A layer's own settings win; where it says where the key is, it says so alone."""
    if any(name in own for name in KEY_SETTINGS):
        below = {name: value for name, value in below.items() if name not in KEY_SETTINGS}
    return below | with_full_paths(own, layer.folder)


def _placed(layers: list[Layer], keys: Keys, complaint: str) -> str:
    """A complaint about the layer that said it last; about the file itself, where none did."""
    for layer in reversed(layers):
        if has(layer.document, keys):
            return layer.told(keys, complaint)
    return layers[-1].told(keys, complaint)


def _inputs(layers: list[Layer]) -> tuple[str, ...] | None:
    layer = _last_with(layers, "inputs")
    if layer is None:
        return None
    inputs = layer.document["inputs"]
    named = [inputs] if isinstance(inputs, str) else inputs
    return tuple(name if name == STDIN else seen_from_here(layer.folder, name) for name in named)


def _output(layers: list[Layer]) -> str | None:
    layer = _last_with(layers, "output")
    return None if layer is None else seen_from_here(layer.folder, layer.document["output"])


def _last_with(layers: list[Layer], key: str) -> Layer | None:
    return next((layer for layer in reversed(layers) if key in layer.document), None)
