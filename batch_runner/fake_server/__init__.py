"""A fake o1 gateway: strict about the API, scriptable in its misdeeds, honest in its books.

    async with FakeGateway(load_scenario("gateway_at_night")) as gateway:
        ...                                  any client, pointed at gateway.url
        gateway.stats()["totals"]["billed"]  what it was made to pay

It shares no code with the client it is used to judge. A request's walk through it:

    gateway     the server and its routes
    chat        one chat request, step by step
    protocol/   what may be asked, and the words of every refusal
    account/    the money behind a key, and the routes that tell of it
    limits/     rates and places: meters, the gate before them, what is said at it
    answers/    what the model says and what it costs
    latency     how long that takes
    faults/     what goes wrong instead, and how a reply gets onto the wire
    books/      what really happened
    scenario    all that is played, as one value; scenarios/ reads it from a file
"""

from batch_runner.fake_server.account.wallet import Account
from batch_runner.fake_server.answers.scripts import Script
from batch_runner.fake_server.answers.style import AnswerStyle
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
    OddStream,
    Redirect,
    Status,
    WrongLength,
)
from batch_runner.fake_server.faults.fault import Fault
from batch_runner.fake_server.gateway import FakeGateway
from batch_runner.fake_server.latency import Latency
from batch_runner.fake_server.limits.values import Change, ConcurrencyLimit, Hints, RateLimit, Tenant
from batch_runner.fake_server.scenario import Scenario
from batch_runner.fake_server.scenario_error import ScenarioError
from batch_runner.fake_server.scenarios.loading import load_scenario
from batch_runner.fake_server.spreads import Fixed, LogNormal, Uniform

__all__ = [
    "Account",
    "AnswerStyle",
    "BigInteger",
    "BlankLines",
    "BrokenGzip",
    "Canned",
    "Change",
    "CloseAfter",
    "ConcurrencyLimit",
    "Cut",
    "Drip",
    "DuplicateKeys",
    "Empty",
    "FakeGateway",
    "Fault",
    "Fixed",
    "Hang",
    "Hints",
    "Html",
    "Huge",
    "Latency",
    "LogNormal",
    "LoneSurrogate",
    "OddStream",
    "RateLimit",
    "Redirect",
    "Scenario",
    "ScenarioError",
    "Script",
    "Status",
    "Tenant",
    "Uniform",
    "WrongLength",
    "load_scenario",
]
