"""Which routes are asked, in which order, and what is made of odd answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from batch_runner.account import Model, Quota
from batch_runner.endpoint import Endpoint
from batch_runner.failures import Failure, FailureKind
from batch_runner.inquiry import Untold, ask_models, ask_quota, look, look_again
from batch_runner.records import NoAnswer, Outcome, Reply, Unreached

HOST = "https://gateway.example"
ENDPOINT = Endpoint(f"{HOST}/v1", "gateway.example", "sk-rehearsal-4711")
LISTED = {"success": True, "data": [{"id": "o1-mini"}]}
TOKEN_USAGE = {"code": True, "data": {"total_granted": 10, "total_used": 4, "total_available": 6, "unlimited_quota": False}}
SUBSCRIPTION = {"object": "billing_subscription", "hard_limit_usd": 2}
USAGE = {"object": "list", "total_usage": 50}
REFUSED = {"error": {"message": "无效的令牌", "type": "new_api_error"}}


def reply(body: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode(), 0.01)


NOT_THERE = reply(b"404 page not found", 404)


class Gateway:
    """Answers by path, 404 elsewhere, and keeps the paths asked."""

    def __init__(self, replies: Mapping[str, Outcome | float]) -> None:
        self.replies = replies
        self.asked: list[str] = []

    async def get(self, url: str) -> Outcome:
        path = url.removeprefix(HOST)
        self.asked.append(path)
        answer = self.replies.get(path, NOT_THERE)
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            return NOT_THERE
        return answer


async def test_the_models_are_asked_for_once() -> None:
    gateway = Gateway({"/v1/models": reply(LISTED)})

    assert await ask_models(gateway, ENDPOINT) == (Model("o1-mini"),)
    assert gateway.asked == ["/v1/models"]


@pytest.mark.parametrize(
    ("outcome", "kind", "words"),
    [
        (NOT_THERE, FailureKind.WRONG_ENDPOINT, "HTTP 404"),
        (reply(b"<html><title>Welcome</title></html>"), FailureKind.WRONG_ENDPOINT, "Welcome"),
        (reply(b""), FailureKind.UNREADABLE_REPLY, "empty body"),
        (reply(b"[[[[", 500), FailureKind.SERVER_ERROR, "HTTP 500"),
        (reply(b"", 429), FailureKind.RATE_LIMITED, "HTTP 429"),
        (reply(REFUSED), FailureKind.INVALID_KEY, "无效的令牌"),
        (reply({"success": False, "message": "无效的令牌"}), FailureKind.INVALID_KEY, "无效的令牌"),
        (
            reply(b"", 302, location="https://elsewhere/login?key=sk-rehearsal-4711"),
            FailureKind.WRONG_ENDPOINT,
            "elsewhere/login",
        ),
        (reply({"choices": [{"message": {"content": "hi"}}]}), FailureKind.UNREADABLE_REPLY, "a chat completion"),
        (Unreached("nobody there", 0.1), FailureKind.UNREACHABLE, "nobody there"),
        (NoAnswer("no answer within 5 s", 5, timed_out=True), FailureKind.TIMEOUT, "within 5 s"),
        (NoAnswer("the reply is longer than 32 MiB", 1), FailureKind.CONNECTION_LOST, "32 MiB"),
    ],
)
async def test_an_odd_answer_is_a_failure_that_says_what_came(outcome: Outcome, kind: FailureKind, words: str) -> None:
    told = await ask_models(Gateway({"/v1/models": outcome}), ENDPOINT)

    assert isinstance(told, Failure)
    assert told.kind is kind
    assert words in told.message
    assert "sk-rehearsal" not in told.message


async def test_the_gateways_own_route_is_asked_first_and_alone_when_it_tells() -> None:
    gateway = Gateway({"/api/usage/token/": reply(TOKEN_USAGE), "/v1/dashboard/billing/subscription": reply(SUBSCRIPTION)})

    told = await ask_quota(gateway, ENDPOINT)

    assert isinstance(told, Quota)
    assert told.left == Decimal(6)
    assert gateway.asked == ["/api/usage/token/"]


@pytest.mark.parametrize("form", ["/v1/dashboard/billing", "/dashboard/billing"])
async def test_billing_is_found_with_and_without_v1(form: str) -> None:
    gateway = Gateway({f"{form}/subscription": reply(SUBSCRIPTION), f"{form}/usage": reply(USAGE)})

    told = await ask_quota(gateway, ENDPOINT)

    assert isinstance(told, Quota)
    assert (told.route, told.left) == (form, Decimal("1.5"))


async def test_the_route_without_its_slash_is_found() -> None:
    gateway = Gateway({"/api/usage/token/": reply(b"", 301, location="/api/usage/token"), "/api/usage/token": reply(TOKEN_USAGE)})

    told = await ask_quota(gateway, ENDPOINT)

    assert isinstance(told, Quota)
    assert told.route == "/api/usage/token"


async def test_an_error_in_a_success_is_passed_over_for_the_next_route() -> None:
    error = reply({"error": {"message": "record not found", "type": "upstream_error"}})
    gateway = Gateway(
        {
            "/api/usage/token/": error,
            "/v1/dashboard/billing/subscription": reply(SUBSCRIPTION),
            "/v1/dashboard/billing/usage": error,
        }
    )

    told = await ask_quota(gateway, ENDPOINT)

    assert isinstance(told, Quota)
    assert (told.granted, told.left) == (Decimal(2), None)


async def test_where_no_route_is_there_each_is_named_with_its_status() -> None:
    told = await ask_quota(Gateway({}), ENDPOINT)

    assert isinstance(told, Untold)
    assert {failure.http_status for _, failure in told.answers} == {404}
    assert [route for route, _ in told.answers] == [
        "/api/usage/token/",
        "/v1/dashboard/billing",
        "/api/usage/token",
        "/dashboard/billing",
    ]
    assert told.refusal is None


async def test_nobody_is_asked_again_who_is_not_there() -> None:
    gateway = Gateway({"/api/usage/token/": Unreached("nobody", 0.1)})

    assert isinstance(await ask_quota(gateway, ENDPOINT), Untold)
    assert gateway.asked == ["/api/usage/token/"]


async def test_a_key_is_refused_when_every_route_that_is_there_says_so() -> None:
    refused = dict.fromkeys(("/api/usage/token/", "/v1/dashboard/billing/subscription"), reply(REFUSED, 401))
    wants_login = {"/api/usage/token/": reply({"success": False, "message": "未登录"}, 401)}
    forbidden = wants_login | {"/v1/dashboard/billing/subscription": reply(b"", 500)}

    told = [await ask_quota(Gateway(replies), ENDPOINT) for replies in (refused, forbidden)]

    assert isinstance(told[0], Untold)
    assert isinstance(told[1], Untold)
    assert told[0].refusal is not None
    assert told[1].refusal is None


async def test_openai_is_not_asked_for_what_it_never_tells() -> None:
    gateway = Gateway({})

    assert await ask_quota(gateway, Endpoint("https://api.openai.com/v1", "api.openai.com", "sk-1")) == Untold()
    assert gateway.asked == []


async def test_an_address_without_v1_has_its_routes_below_it() -> None:
    gateway = Gateway({})

    await ask_quota(gateway, Endpoint(f"{HOST}/llm/api", "gateway.example", "sk-1"))

    assert gateway.asked[0] == "/llm/api/api/usage/token/"
    assert gateway.asked[1] == "/llm/api/dashboard/billing/subscription"


async def test_a_look_asks_models_and_quota_together_and_few_routes() -> None:
    gateway = Gateway({})

    account = await look(gateway, ENDPOINT, seconds=5)

    assert (account.models, account.quota, account.refusal) == (None, None, None)
    assert sorted(gateway.asked) == [
        "/api/usage/token/",
        "/v1/dashboard/billing/subscription",
        "/v1/dashboard/billing/usage",
        "/v1/models",
    ]


async def test_a_look_takes_what_comes_in_time() -> None:
    gateway = Gateway({"/v1/models": reply(LISTED), "/api/usage/token/": 30.0})

    account = await look(gateway, ENDPOINT, seconds=0.02)

    assert account.models == (Model("o1-mini"),)
    assert account.quota is None


async def test_a_look_keeps_the_word_against_the_key_and_no_other() -> None:
    refused = await look(Gateway({"/v1/models": reply(REFUSED, 401)}), ENDPOINT, seconds=5)
    forbidden = await look(Gateway({"/v1/models": reply(b"", 403)}), ENDPOINT, seconds=5)

    assert refused.refusal is not None
    assert forbidden.refusal is None


async def test_a_second_look_asks_the_route_that_told_before_and_once() -> None:
    gateway = Gateway({"/api/usage/token/": reply(TOKEN_USAGE)})
    before = await ask_quota(gateway, ENDPOINT)
    assert isinstance(before, Quota)
    gateway.asked.clear()

    assert await look_again(gateway, ENDPOINT, before, seconds=5) == before
    gateway.replies = {}
    assert await look_again(gateway, ENDPOINT, before, seconds=5) is None
    assert gateway.asked == ["/api/usage/token/"] * 2
