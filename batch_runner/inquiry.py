"""Asks a service about a key's account. Nothing asked here costs anything."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from batch_runner.account import Quota, read_billing, read_models, read_token_usage
from batch_runner.failures import Failure, FailureKind, Scope
from batch_runner.json_text import loads_leniently
from batch_runner.records import Completion, Reply
from batch_runner.redaction import redact
from batch_runner.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from batch_runner.account import Model
    from batch_runner.endpoint import Endpoint
    from batch_runner.records import Outcome
    from batch_runner.transport import Asker

T = TypeVar("T")

MODELS = "/models"
KEY_USAGE = "/api/usage/token"
BILLING = "/dashboard/billing"

TELLS_NOTHING = frozenset({"api.openai.com"})
"""Hosts that show no balance to an API key, so that asking for it is in vain."""

ABOUT_THE_KEY = frozenset({FailureKind.INVALID_KEY, FailureKind.QUOTA_EXHAUSTED})


@dataclass(frozen=True, slots=True)
class Account:
    """What a look at a key's account brought; `None` stands for what wasn't told in time, or not at all."""

    models: tuple[Model, ...] | None = None
    quota: Quota | None = None
    refusal: Failure | None = None
    """The service's word against the key itself."""


@dataclass(frozen=True, slots=True)
class Untold:
    """Nobody told a quota: which routes were asked, and what each answered instead."""

    answers: tuple[tuple[str, Failure], ...] = ()

    @property
    def refusal(self) -> Failure | None:
        """The first word against the key itself, where every route that is there says such a thing: one may want a login."""
        words = [failure for _, failure in self.answers if failure.kind is not FailureKind.WRONG_ENDPOINT]
        return words[0] if words and all(failure.kind in ABOUT_THE_KEY for failure in words) else None

    @property
    def kind(self) -> str:
        """The failure kind that sums it up; empty where nobody was asked."""
        told = self.refusal or (self.answers[-1][1] if self.answers else None)
        return "" if told is None else str(told.kind)


async def look(asker: Asker, endpoint: Endpoint, *, seconds: float) -> Account:
    """Ask for models and quota together, no longer than `seconds`."""
    models, quota = await asyncio.gather(
        _within(seconds, ask_models(asker, endpoint)),
        _within(seconds, ask_quota(asker, endpoint, routes=likely_routes(endpoint))),
    )
    told = quota if isinstance(quota, Quota) else None
    if isinstance(models, Failure):
        return Account(None, told, models if models.kind in ABOUT_THE_KEY else None)
    return Account(models, told)


async def look_again(asker: Asker, endpoint: Endpoint, before: Quota, *, seconds: float) -> Quota | None:
    """Ask the route that told `before` once more, no longer than `seconds`."""
    quota = await _within(seconds, ask_quota(asker, endpoint, routes=(before.route,)))
    return quota if isinstance(quota, Quota) else None


async def ask_models(asker: Asker, endpoint: Endpoint) -> tuple[Model, ...] | Failure:
    """The models that the endpoint lists for its key."""
    outcome = await asker.get(endpoint.url + MODELS)
    models = read_models(_body(outcome))
    return _failure(outcome, endpoint) if models is None else models


async def ask_quota(asker: Asker, endpoint: Endpoint, *, routes: Sequence[str] | None = None) -> Quota | Untold:
    """What is left on the key: the first of `routes` that tells it; of all that a gateway may have, unless told."""
    answers: list[tuple[str, Failure]] = []
    for route in all_routes(endpoint) if routes is None else routes:
        told = await (_ask_billing if route.endswith(BILLING) else _ask_key_usage)(asker, endpoint, route)
        if isinstance(told, Quota):
            return told
        answers.append((route, told))
        if told.http_status is None:  # nobody there, or no whole answer: the next route would wait in vain as well
            break
    return Untold(tuple(answers))


def likely_routes(endpoint: Endpoint) -> tuple[str, ...]:
    """The routes that gateways document: new-api's own first, as its units are sure; then the one that all have."""
    below = endpoint.url.removeprefix(endpoint.root)
    return () if endpoint.host in TELLS_NOTHING else (f"{KEY_USAGE}/", f"{below}{BILLING}")


def all_routes(endpoint: Endpoint) -> tuple[str, ...]:
    """Those, and the other form of each: gin sends the form it hasn't to the other by a redirect, which isn't followed."""
    likely = likely_routes(endpoint)
    return tuple(dict.fromkeys((*likely, KEY_USAGE, BILLING))) if likely else ()


async def _ask_key_usage(asker: Asker, endpoint: Endpoint, route: str) -> Quota | Failure:
    outcome = await asker.get(endpoint.root + route)
    return read_token_usage(_body(outcome), route) or _failure(outcome, endpoint)


async def _ask_billing(asker: Asker, endpoint: Endpoint, route: str) -> Quota | Failure:
    places = (f"{endpoint.root}{route}/{name}" for name in ("subscription", "usage"))
    subscription, usage = await asyncio.gather(*map(asker.get, places))
    return read_billing(_body(subscription), _body(usage), route) or _failure(subscription, endpoint)


async def _within(seconds: float, asked: Awaitable[T]) -> T | None:
    try:
        async with asyncio.timeout(seconds):
            return await asked
    except TimeoutError:
        return None


def _body(outcome: Outcome) -> Any:
    """The JSON in a success, or `None`."""
    return loads_leniently(outcome.body) if isinstance(outcome, Reply) and outcome.status < 300 else None  # noqa: PLR2004 - success


def _failure(outcome: Outcome, endpoint: Endpoint) -> Failure:
    """Why `outcome` tells nothing."""
    if isinstance(outcome, Reply) and 300 <= outcome.status < 400:  # noqa: PLR2004 - redirections
        place = redact(outcome.headers.get("location", "").partition("?")[0], endpoint.key) or "an unnamed place"
        return Failure(FailureKind.WRONG_ENDPOINT, Scope.RUN, f"redirected to {place}", http_status=outcome.status)
    judged = judge(outcome, now=time.time(), key=endpoint.key)
    if isinstance(judged, Completion):  # whoever answers everything with a chat completion
        return Failure(FailureKind.UNREADABLE_REPLY, Scope.RUN, "a chat completion", http_status=200)
    return judged
