"""What may stand in a scenario's file: each table, each name in it, and what its value must be."""

from collections.abc import Mapping
from typing import Any

from batch_runner.fake_server.account.wallet import Account
from batch_runner.fake_server.answers.style import AnswerStyle
from batch_runner.fake_server.latency import Latency
from batch_runner.fake_server.limits.values import Change, ConcurrencyLimit, Hints, Limit, RateLimit, Tenant
from batch_runner.fake_server.scenario import Scenario
from batch_runner.fake_server.scenarios.fault_tables import SECONDS, SHARE, fault, plays_at_some_time
from batch_runner.fake_server.scenarios.parsers import (
    Parser,
    Reading,
    above_zero,
    checked,
    flag,
    integer,
    mapping,
    number,
    one_of,
    several,
    table,
    text,
)
from batch_runner.fake_server.spreads import Fixed, LogNormal, Uniform

AN_AMOUNT = number(0)

UNIFORM = checked(
    table(Uniform, {"low": AN_AMOUNT, "high": AN_AMOUNT}, needed=("low", "high")),
    (lambda spread: spread.low <= spread.high, "low is above high"),
)
LOG_NORMAL = table(
    LogNormal,
    {
        "median": above_zero,
        "sigma": AN_AMOUNT,
        "tail_share": SHARE,
        "tail_factor": AN_AMOUNT,
        "most": AN_AMOUNT,
    },
    needed=("median",),
)


def spread(value: object, reading: Reading) -> object:
    """A number is fixed, a table with `median` lognormal, one with `low` and `high` uniform."""
    if not isinstance(value, dict):
        parsed = AN_AMOUNT(value, reading)
        return Fixed(parsed) if isinstance(parsed, int | float) else parsed
    return LOG_NORMAL(value, reading) if "median" in value else UNIFORM(value, reading)


LATENCY = table(Latency, {"seconds": spread, "per_token": SECONDS, "places": integer(1)})
ANSWERS = checked(
    table(
        AnswerStyle,
        {"visible": spread, "reasoning": spread, "cached_share": spread, "refusals": SHARE, "filtered": SHARE},
    ),
    (lambda style: style.refusals + style.filtered <= 1, "refusals and filtered are more than all answers together"),
)
HINTS = table(
    Hints,
    {
        "retry_after": one_of("none", "exact", "rounded", "date", "ms", "zero", "negative", "huge", "wrong"),
        "wrong_seconds": integer(0),
        "reset": one_of("none", "go", "seconds", "0s", "6m0s", "-1"),
        "in_message": flag,
        "limit_named": flag,
    },
)
ACCOUNT = table(
    Account,
    {
        "granted_usd": AN_AMOUNT,
        "answers": integer(0),
        "prompt_price": AN_AMOUNT,
        "cached_price": AN_AMOUNT,
        "completion_price": AN_AMOUNT,
        "per_usd": integer(1),
        "holds": flag,
        "name": text,
        "expires_at": integer(-1),
    },
)
CHANGES = several(table(Change, {"at": SECONDS, "amount": AN_AMOUNT}, needed=("at", "amount")))
TENANT = checked(
    table(Tenant, {"low": SHARE, "high": SHARE, "every": above_zero}),
    (lambda tenant: tenant.low <= tenant.high < 1, "low may not be above high, and high must leave something: below 1"),
)
RATE: Mapping[str, Parser] = {
    "per": above_zero,
    "shape": one_of("bucket", "fixed", "sliding"),
    "burst": above_zero,
    "quantum": above_zero,
    "counting": one_of("reserve", "refund", "use"),
    "uncapped": integer(0),
    "refusals_count": flag,
    "changes": CHANGES,
    "tenant": TENANT,
}
KINDS = ("requests", "tokens", "at_once")


def limit(value: object, reading: Reading) -> object:
    """One limit: so many `requests` or `tokens`, or so many requests `at_once`."""
    if not isinstance(value, dict):
        return reading.complain(f"{value!r} is not a table")
    kinds = [kind for kind in KINDS if kind in value]
    if len(kinds) != 1:
        return reading.complain(f"one of {', '.join(KINDS)} is wanted, and only one")
    (kind,) = kinds
    if kind == "at_once":
        return table(_places, {"at_once": integer(1), "changes": CHANGES})(value, reading)
    return table(_rate, {kind: above_zero, **RATE})(value, reading)


def _places(*, at_once: int, **given: Any) -> Limit:
    return ConcurrencyLimit(at_once, **given)


def _rate(*, requests: float | None = None, tokens: float | None = None, **given: Any) -> Limit:
    if requests is not None:
        return RateLimit("requests", requests, **given)
    return RateLimit("tokens", tokens or 0, **given)


FAULT = checked(fault, (plays_at_some_time, "until comes before after, or last_request before first_request"))

SCENARIO = table(
    Scenario,
    {
        "name": text,
        "about": text,
        "dialect": one_of("openai", "one-api", "new-api"),
        "latency": LATENCY,
        "answers": ANSWERS,
        "limits": several(limit),
        "hints": HINTS,
        "faults": several(FAULT),
        "account": ACCOUNT,
        "answers_as": mapping(text),
        "strict": flag,
        "mends": flag,
        "streams": flag,
        "models": several(text),
        "keys": several(text),
        "usage_details": flag,
        "bill_hangups": flag,
        "most_body_bytes": integer(1),
    },
)
