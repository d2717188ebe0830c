"""Values of any origin (keyword arguments, a job file, an output's run line) -> checked `Settings`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batch_runner.failures import UsageMistake
from batch_runner.json_text import is_json
from batch_runner.nearest import did_you_mean
from batch_runner.settings.groups import Setting, Settings, build, table

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_SETTINGS = ("api_key_env", "api_key_file", "api_key_command")
"""Each names where the key is."""

PATH_SETTINGS = ("api_key_file", "ca_bundle", "images_from", "prices", "rescue_dir", "metrics", "summary", "log")
"""Each names a file or a folder."""

FLAGGED_PARAMETERS = {
    "model": "--model",
    "max_completion_tokens": "--max-completion-tokens",
    "max_tokens": "--max-completion-tokens",
    "reasoning_effort": "--reasoning-effort",
    "temperature": "--temperature",
    "messages": "the input rows",
}
"""Request parameters that have a better place than `--param`."""

KEY_NAMES = frozenset({"api_key", "apikey", "authorization", "key", "token"})
"""No request parameters: who sends a key so would find it in the output, which remembers all settings."""


def read_settings(values: Mapping[str, Any]) -> Settings:
    """Check `values` (by setting name) and build settings from them.

    Raises `UsageMistake` naming the first unknown setting or the first value that can't be meant so.
    """
    names = [entry.name for entry in table()]
    for name in values:
        if name not in names:
            raise UsageMistake(f"there is no setting {name!r}{did_you_mean(name, names)}")
    settings = build(values, convert)
    _check_params(settings)
    flat = settings.flat()
    if len(named := [name for name in KEY_SETTINGS if flat[name]]) > 1:
        raise UsageMistake(f"{named[0]} and {named[1]} both name a key: keep one")
    system = text_or_file(settings.request.system or "", "system").strip() or None
    template = None if settings.request.template is None else text_or_file(settings.request.template, "template")
    return replace(settings, request=replace(settings.request, system=system, template=template))


def convert(entry: Setting, value: Any) -> Any:
    """The value of one setting in its own type; raises `UsageMistake` when it can't be meant so."""
    if value is None or (type(value) is type(entry.default) and value == entry.default):
        return entry.default
    try:
        if entry.facts.many:
            each = value.items() if isinstance(value, dict) else [value] if isinstance(value, str) else value
            return tuple(_converted(entry, one) for one in each)
        return _converted(entry, value)
    except click.BadParameter as mistake:
        raise UsageMistake(f"{entry.name}: {mistake.message}") from None


def text_or_file(value: str, setting: str) -> str:
    """The text itself, or what stands in FILE when it is written `@FILE`; `@@` opens a text that begins with `@`."""
    if not value.startswith("@"):
        return value
    if value.startswith("@@"):
        return value[1:]
    try:
        return Path(value[1:]).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, ValueError, RuntimeError) as error:  # also `~nobody`, and a NUL in the name
        raise UsageMistake(f"{setting}: can't read {value[1:]}: {error}") from None


def as_written(text: str) -> str:
    """`text` as a setting would be written that `text_or_file` reads as just that text."""
    return "@" + text if text.startswith("@") else text


def _converted(entry: Setting, value: Any) -> Any:
    kind = click.types.convert_type(entry.facts.kind)
    if entry.facts.kind is bool and not isinstance(value, bool):
        raise click.BadParameter(f"{value!r} is neither true nor false")
    if entry.facts.kind is str and not isinstance(value, str):
        raise click.BadParameter(f"{value!r} isn't text")
    return kind.convert(value, None, None)


def _check_params(settings: Settings) -> None:
    for key, value in settings.request.param:
        if key in FLAGGED_PARAMETERS:
            raise UsageMistake(f"--param {key}=…: use {FLAGGED_PARAMETERS[key]} for that")
        if key.lower().replace("-", "_") in KEY_NAMES:
            raise UsageMistake(f"--param {key}=…: a key is never sent as a parameter; name it by --api-key-env or --api-key-file")
        if key == "stream" and value:
            raise UsageMistake("--param stream=true: answers are read whole; leave it out")
        if not is_json({key: value}):
            raise UsageMistake(f"--param {key!r}: {value!r} can't be written as JSON")
