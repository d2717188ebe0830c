"""Faults in a file: a table with an action, what belongs to that action, and the conditions."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from batch_runner.fake_server.faults import actions
from batch_runner.fake_server.faults.fault import Fault
from batch_runner.fake_server.protocol.catalogue import CATALOGUE
from batch_runner.fake_server.scenarios.parsers import (
    WRONG,
    Parser,
    Reading,
    flag,
    integer,
    mapping,
    number,
    one_of,
    several,
    table,
    text,
)

STATUS = integer(100, 599)
HEADERS = mapping(text)
SHARE = number(0, 1)
SECONDS = number(0)


def _body(value: object, reading: Reading) -> object:
    return value if isinstance(value, dict) else text(value, reading)


ACTIONS: Mapping[str, tuple[Callable[..., Any], Mapping[str, Parser]]] = MappingProxyType(
    {
        "status": (actions.Status, {"status": STATUS, "body": _body, "headers": HEADERS}),
        "error": (actions.Canned, {"error": one_of(*CATALOGUE), "status": STATUS, "headers": HEADERS}),
        "html": (actions.Html, {"status": STATUS, "title": text}),
        "empty": (actions.Empty, {"status": STATUS}),
        "redirect": (actions.Redirect, {"to": text, "status": integer(300, 399)}),
        "hang": (actions.Hang, {"inside": flag, "seconds": SECONDS}),
        "drip": (actions.Drip, {"size": integer(1), "pause": SECONDS}),
        "cut": (actions.Cut, {"inside": flag, "reset": flag}),
        "wrong_length": (actions.WrongLength, {"off": integer()}),
        "broken_gzip": (actions.BrokenGzip, {}),
        "blank_lines": (actions.BlankLines, {"lines": integer(1), "pause": SECONDS}),
        "duplicate_keys": (actions.DuplicateKeys, {}),
        "huge": (actions.Huge, {"size": integer(1)}),
        "lone_surrogate": (actions.LoneSurrogate, {}),
        "big_integer": (actions.BigInteger, {}),
        "close_after": (actions.CloseAfter, {}),
        "odd_stream": (actions.OddStream, {"oddity": one_of("comments", "no_done", "no_usage", "error_line")}),
    }
)

CONDITIONS: Mapping[str, Parser] = MappingProxyType(
    {
        "prompt": text,
        "attempts": several(integer(1)),
        "probability": SHARE,
        "first_request": integer(1),
        "last_request": integer(1),
        "after": SECONDS,
        "until": SECONDS,
        "times": integer(1),
        "authorization": text,
        "at_door": flag,
        "billed": flag,
        "delay": SECONDS,
    }
)


def fault(value: object, reading: Reading) -> object:
    """One fault."""
    if not isinstance(value, dict):
        return reading.complain(f"{value!r} is not a table")
    name = one_of(*ACTIONS)(value.get("action"), reading.at("action"))
    if name is WRONG:
        return WRONG
    make, parameters = ACTIONS[str(name)]
    rest = {key: item for key, item in value.items() if key != "action"}
    return table(_fault(make, parameters), {**parameters, **CONDITIONS}, needed=_needed(str(name)))(rest, reading)


def _needed(name: str) -> tuple[str, ...]:
    return ("error",) if name == "error" else ()


def _fault(make: Callable[..., Any], parameters: Mapping[str, Parser]) -> Callable[..., Fault]:
    def build(**given: Any) -> Fault:
        action = make(**{name: value for name, value in given.items() if name in parameters})
        return Fault(action, **{name: value for name, value in given.items() if name not in parameters})

    return build


def plays_at_some_time(played: Fault) -> bool:
    """Whether the times and numbers of a fault leave it any room."""
    return played.after < played.until and played.first_request <= played.last_request and not math.isnan(played.until)
