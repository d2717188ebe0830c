"""Finding scenarios: the shipped ones by name, any other by its file."""

import tomllib
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from batch_runner.fake_server.scenario import Scenario
from batch_runner.fake_server.scenario_error import ScenarioError
from batch_runner.fake_server.scenarios.parsers import Reading
from batch_runner.fake_server.scenarios.schema import SCENARIO

SUFFIX = ".toml"
SHIPPED = files("batch_runner.fake_server.scenarios")


def load_scenario(name_or_path: str) -> Scenario:
    """The shipped scenario of that name, or the one in that file; raises `ScenarioError` with all that is wrong."""
    shipped = SHIPPED / f"{name_or_path}{SUFFIX}"
    if name_or_path in shipped_names():
        return read_scenario(shipped.read_text(encoding="utf-8"), name_or_path, name_or_path)
    path = Path(name_or_path)
    try:
        written = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        names = ", ".join(shipped_names())
        raise ScenarioError(name_or_path, [f"neither a file nor a shipped scenario; those are {names}"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(name_or_path, [f"can't be read: {error}"]) from error
    return read_scenario(written, path.stem, name_or_path)


def read_scenario(written: str, name: str, source: str) -> Scenario:
    """The scenario in a text; it is called `name` unless it says otherwise."""
    try:
        tables = tomllib.loads(written)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(source, [f"not TOML: {error}"]) from error
    reading = Reading()
    scenario = SCENARIO({"name": name, "about": "", **tables}, reading)
    if not isinstance(scenario, Scenario):
        raise ScenarioError(source, reading.complaints)
    return scenario


def shipped_names() -> list[str]:
    """The names of the shipped scenarios."""
    return sorted(entry.name.removesuffix(SUFFIX) for entry in _shipped())


def _shipped() -> Iterator[Traversable]:
    return (entry for entry in SHIPPED.iterdir() if entry.name.endswith(SUFFIX))
