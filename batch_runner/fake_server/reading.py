"""Reading scenarios: TOML files, the shipped ones by name."""

from batch_runner.fake_server.scenario import Scenario
from batch_runner.fake_server.scenario_error import ScenarioError


def load_scenario(name_or_path: str) -> Scenario:
    """The scenario of that name, or in that file."""
    if name_or_path == "calm":
        return Scenario()
    raise ScenarioError(name_or_path, ["no such scenario"])
