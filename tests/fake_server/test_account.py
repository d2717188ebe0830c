"""The account behind a key: what it may call, what it has left, and that both agree with the books."""

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession

from batch_runner.fake_server import Account, AnswerStyle, Canned, Cut, FakeGateway, Fault, Fixed, Latency, Scenario
from tests.fake_server.asking import ask, attempts, get, totals

THINKING = AnswerStyle(reasoning=Fixed(1000), visible=Fixed(10))


async def test_openai_lists_its_models_with_their_last_day(session: ClientSession) -> None:
    async with FakeGateway() as gateway:
        listed = (await get(session, gateway, "/v1/models")).body

    assert listed["object"] == "list"
    assert {"id", "object", "created", "owned_by", "shutdown_date"} <= listed["data"][0].keys()
    assert "o1-mini" in [model["id"] for model in listed["data"]]


async def test_a_gateway_lists_them_in_its_own_shape(session: ClientSession) -> None:
    async with FakeGateway(Scenario(dialect="new-api", models=("o1-mini",))) as gateway:
        listed = (await get(session, gateway, "/v1/models")).body

    assert listed["success"] is True
    assert "object" not in listed
    assert listed["data"] == [
        {
            "id": "o1-mini",
            "object": "model",
            "created": 1626777600,
            "owned_by": "openai",
            "supported_endpoint_types": ["openai"],
        }
    ]


async def test_any_model_is_no_model_of_the_list(session: ClientSession) -> None:
    async with FakeGateway(Scenario(models=("*", "mine"))) as gateway:
        listed = (await get(session, gateway, "/v1/models")).body

    assert [model["id"] for model in listed["data"]] == ["mine"]


@pytest.mark.parametrize(("dialect", "status"), [("openai", 404), ("new-api", 200)])
async def test_a_model_that_is_not_there_is_an_error_whatever_the_status(
    session: ClientSession, dialect: Any, status: int
) -> None:
    async with FakeGateway(Scenario(dialect=dialect)) as gateway:
        there, absent = [await get(session, gateway, f"/v1/models/{name}") for name in ("o1-mini", "absent")]

    assert there.body["id"] == "o1-mini"
    assert absent.status == status
    assert absent.error["code"] == "model_not_found"


async def test_what_was_spent_and_what_is_left_come_from_the_same_books(session: ClientSession) -> None:
    scenario = Scenario(dialect="new-api", account=Account(granted_usd=2.0), answers=THINKING)
    async with FakeGateway(scenario) as gateway:
        for row in range(5):
            await ask(session, gateway, str(row))
        granted = (await get(session, gateway, "/v1/dashboard/billing/subscription")).body
        used = (await get(session, gateway, "/v1/dashboard/billing/usage?start_date=2026-01-01")).body
        token = (await get(session, gateway, "/api/usage/token/")).body

    billed = totals(gateway)["billed"]
    spent = (billed["prompt_tokens"] * 1.10 + billed["completion_tokens"] * 4.40) / 1_000_000
    assert granted["hard_limit_usd"] == granted["system_hard_limit_usd"] == 2.0
    assert used["total_usage"] == pytest.approx(spent * 100)
    assert token["data"]["total_granted"] == 1_000_000
    assert token["data"]["total_used"] == pytest.approx(spent * 500_000, abs=1)
    assert token["data"]["total_available"] == 1_000_000 - token["data"]["total_used"]


async def test_an_account_without_a_limit_says_so(session: ClientSession) -> None:
    async with FakeGateway() as gateway:
        granted = (await get(session, gateway, "/dashboard/billing/subscription")).body
        token = (await get(session, gateway, "/api/usage/token")).body

    assert granted["hard_limit_usd"] == 100_000_000
    assert token["data"]["unlimited_quota"] is True


async def test_the_status_needs_no_key(session: ClientSession) -> None:
    async with FakeGateway() as gateway:
        told = await get(session, gateway, "/api/status", headers={"authorization": ""})

    assert told.status == 200
    assert told.body["data"]["quota_per_unit"] == 500_000


async def test_the_account_routes_know_the_keys(session: ClientSession) -> None:
    async with FakeGateway(Scenario(dialect="new-api", keys=("sk-other",))) as gateway:
        models = await get(session, gateway, "/v1/models")
        token = await get(session, gateway, "/api/usage/token")

    assert (models.status, models.error["message"]) == (401, "无效的令牌")
    assert token.body == {"success": False, "message": "无效的令牌"}


async def test_the_token_route_is_limited_and_says_nothing_then(session: ClientSession) -> None:
    async with FakeGateway() as gateway:
        for _ in range(20):
            assert (await get(session, gateway, "/api/usage/token")).status == 200
        async with session.get(gateway.url.replace("/v1", "/api/usage/token")) as response:
            assert (response.status, await response.read()) == (429, b"")


async def test_an_outage_meets_the_account_routes_too(session: ClientSession) -> None:
    async with FakeGateway(Scenario(faults=(Fault(Canned("overloaded"), at_door=True),))) as gateway:
        assert (await get(session, gateway, "/v1/models")).status == 503


async def test_a_quota_ends_after_so_many_answers(session: ClientSession) -> None:
    async with FakeGateway(Scenario(account=Account(answers=2))) as gateway:
        told = [await ask(session, gateway) for _ in range(3)]

    assert [each.status for each in told] == [200, 200, 429]
    assert told[2].error["code"] == told[2].error["type"] == "insufficient_quota"
    assert attempts(gateway)[2]["outcome"] == "no_money"


async def test_a_gateway_says_403_when_the_money_is_gone(session: ClientSession) -> None:
    async with FakeGateway(Scenario(dialect="new-api", account=Account(answers=0))) as gateway:
        told = await ask(session, gateway)

    assert (told.status, told.error["code"]) == (403, "insufficient_user_quota")
    assert told.error["message"].startswith("用户额度不足")


async def test_a_large_cap_is_refused_though_the_answer_would_be_cheap(session: ClientSession) -> None:
    scenario = Scenario(dialect="new-api", account=Account(granted_usd=0.01))
    async with FakeGateway(scenario) as gateway:
        large = await ask(session, gateway, max_completion_tokens=50_000)
        small = await ask(session, gateway, max_completion_tokens=1_000)

    assert (large.status, small.status) == (403, 200)


async def test_openai_holds_nothing_back(session: ClientSession) -> None:
    async with FakeGateway(Scenario(account=Account(granted_usd=0.01))) as gateway:
        assert (await ask(session, gateway, max_completion_tokens=50_000)).status == 200


async def test_what_is_held_back_for_one_request_is_missing_to_the_next(session: ClientSession) -> None:
    scenario = Scenario(dialect="new-api", account=Account(granted_usd=0.01), latency=Latency(seconds=Fixed(0.02)))
    async with FakeGateway(scenario) as gateway:
        told = await asyncio.gather(*(ask(session, gateway, str(row), max_completion_tokens=1_500) for row in range(2)))
        after = await ask(session, gateway, "later", max_completion_tokens=1_500)

    assert sorted(each.status for each in told) == [200, 403]
    assert after.status == 200


async def test_an_account_without_holds_ends_when_the_last_cent_is_spent(session: ClientSession) -> None:
    account = Account(granted_usd=0.005, holds=False)
    async with FakeGateway(Scenario(account=account, answers=THINKING)) as gateway:
        told = [(await ask(session, gateway, str(row))).status for row in range(4)]

    assert told == [200, 200, 429, 429]


async def test_a_cut_meets_the_account_routes_too(session: ClientSession) -> None:
    async with FakeGateway(Scenario(faults=(Fault(Cut(), at_door=True),))) as gateway:
        with pytest.raises(aiohttp.ClientError):
            await get(session, gateway, "/v1/models")
