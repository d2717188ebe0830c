"""A job file and the files it extends, read: each a layer with its text, so that a complaint can name file and line."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_runner.endpoint import CREDENTIALS
from batch_runner.failures import CannotStart, UsageMistake
from batch_runner.redaction import redact
from batch_runner.toml_text import line_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EXTENDS = "extends"
VARIABLE = re.compile(r"\$(?P<escaped>\$(?=\{))|\$\{(?P<name>[^{}]*)\}")
SECRET = re.compile(r"KEY(_|$)|(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL)(_|$)", re.IGNORECASE)
"""Names of variables that hold keys."""

Keys = tuple[str, ...]
"""The way to a value: table and key."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One file of a job."""

    name: str
    """As it was named."""
    folder: Path
    """Its own, from which its paths start."""
    text: str
    document: dict[str, Any]
    """Variables put in."""
    complaints: tuple[tuple[Keys, str], ...] = field(default=())
    """About what can't be put in."""

    def told(self, keys: Keys, complaint: str) -> str:
        """A complaint with its place: `nightly.toml:12: …`."""
        return f"{self.name}:{line_of(self.text, keys)}: {complaint}"


def read_layers(name: str, environment: Mapping[str, str] = os.environ) -> list[Layer]:
    """The file `name` and those it extends, the furthest first. Raises `UsageMistake` or `CannotStart`."""
    layers: list[Layer] = []
    seen: list[Path] = []
    while True:
        path = Path(name)
        layer = _read(name, environment)
        if path.resolve() in seen:
            raise UsageMistake(layers[0].told((EXTENDS,), f"{name} extends itself in a circle"))
        seen.append(path.resolve())
        layers.insert(0, layer)
        base = layer.document.get(EXTENDS)
        if base is None:
            return layers
        if not isinstance(base, str) or not base:
            raise UsageMistake(layer.told((EXTENDS,), f"`{EXTENDS}` names one file"))
        name = os.path.normpath(Path(name).parent / Path(base).expanduser())


def _read(name: str, environment: Mapping[str, str]) -> Layer:
    path = Path(name)
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise CannotStart(f"{name}: can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageMistake(f"{name}: {error}") from None
    complaints: list[tuple[Keys, str]] = []
    filled = {key: _filled(value, (key,), environment, complaints) for key, value in document.items()}
    return Layer(name, path.absolute().parent, text, filled, tuple(complaints))


def _filled(value: Any, keys: Keys, environment: Mapping[str, str], complaints: list[tuple[Keys, str]]) -> Any:
    """`value` with variables put in where it says `${NAME}`; `$${` stands for the characters themselves."""
    if isinstance(value, dict):
        return {key: _filled(each, (*keys, key), environment, complaints) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, keys, environment, complaints) for each in value]
    if not isinstance(value, str):
        return value
    complaints.extend((keys, complaint) for complaint in _unfillable(value, environment))
    return VARIABLE.sub(lambda found: "$" if found["escaped"] else environment.get(found["name"], found[0]), value)


def _unfillable(text: str, environment: Mapping[str, str]) -> Iterator[str]:
    for found in VARIABLE.finditer(text):
        name = found["name"]
        if found["escaped"]:
            continue
        value = environment.get(name)
        if SECRET.search(name) or (value is not None and redact(value) != value):
            yield f"{found[0]} looks like a secret: name where the key is with api_key_env, api_key_file or api_key_command"
        elif value is None and name != CREDENTIALS:  # systemd's: only a unit has it, and api_key_file waits for it
            yield f"there is no variable {name!r} in the environment; ${found[0]} stands for the characters themselves"
