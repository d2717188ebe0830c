"""A fake o1 gateway: strict about the API, scriptable in its misdeeds, honest in its books."""

from batch_runner.fake_server.faults.actions import (
    BigInteger,
    BlankLines,
    BrokenGzip,
    Canned,
    CloseAfter,
    Cut,
    Drip,
    DuplicateKeys,
    Empty,
    Hang,
    Html,
    Huge,
    LoneSurrogate,
    Redirect,
    Status,
    WrongLength,
)
from batch_runner.fake_server.answers.style import AnswerStyle
from batch_runner.fake_server.faults.fault import Fault
from batch_runner.fake_server.gateway import FakeGateway
from batch_runner.fake_server.latency import Latency
from batch_runner.fake_server.scenarios.loading import load_scenario
from batch_runner.fake_server.scenario import Scenario
from batch_runner.fake_server.scenario_error import ScenarioError
from batch_runner.fake_server.spreads import Fixed, LogNormal, Uniform

__all__ = [
    "AnswerStyle",
    "BigInteger",
    "BlankLines",
    "BrokenGzip",
    "Canned",
    "CloseAfter",
    "Cut",
    "Drip",
    "DuplicateKeys",
    "Empty",
    "FakeGateway",
    "Fault",
    "Fixed",
    "Hang",
    "Html",
    "Huge",
    "Latency",
    "LogNormal",
    "LoneSurrogate",
    "Redirect",
    "Scenario",
    "ScenarioError",
    "Status",
    "Uniform",
    "WrongLength",
    "load_scenario",
]
