"""Limits as a client meets them: the words, the headers, and what the books say of both."""

import asyncio
import re
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from aiohttp import ClientSession

from batch_runner.fake_server import ConcurrencyLimit, FakeGateway, Fixed, Hints, Latency, RateLimit, Scenario
from batch_runner.fake_server.limits.values import SILENT
from batch_runner.fake_server.limits.words import go_duration
from tests.fake_server.asking import Told, ask, attempts, totals

TWO_A_MINUTE = RateLimit("requests", 2)


async def refused(session: ClientSession, scenario: Scenario, **fields: Any) -> Told:
    """What the third request is told, of three that come at once."""
    async with FakeGateway(scenario) as gateway:
        told = [await ask(session, gateway, **fields) for _ in range(3)]
    assert [each.status for each in told] == [200, 200, 429]
    return told[-1]


async def test_a_refusal_has_openais_words_and_hint(session: ClientSession) -> None:
    told = await refused(session, Scenario(limits=(TWO_A_MINUTE,)))

    assert (told.error["type"], told.error["code"], told.error["param"]) == ("requests", "rate_limit_exceeded", None)
    assert re.fullmatch(
        r"Rate limit reached for o1-mini in organization org-fake on requests per min \(RPM\): Limit 2, Used 2, "
        r"Requested 1\. Please try again in (29|30)(\.\d+)?s\. Visit https://platform\.openai\.com/account/rate-limits "
        r"to learn more\.",
        told.error["message"],
    )


async def test_refused_requests_are_counted_and_cost_nothing(session: ClientSession) -> None:
    async with FakeGateway(Scenario(limits=(TWO_A_MINUTE,))) as gateway:
        for _ in range(4):
            await ask(session, gateway)

    assert totals(gateway)["refused"] == 2
    assert totals(gateway)["refused_share"] == 0.5
    assert [attempt["outcome"] for attempt in attempts(gateway)] == ["ok", "ok", "refused", "refused"]
    assert attempts(gateway)[2]["billed"]["total_tokens"] == 0


@pytest.mark.parametrize(
    ("retry_after", "headers"),
    [
        ("none", {}),
        ("exact", {"retry-after": r"(29|30)\.\d\d\d"}),
        ("rounded", {"retry-after": "30"}),
        ("ms", {"retry-after-ms": r"(29|30)\d\d\d"}),
        ("zero", {"retry-after": "0"}),
        ("negative", {"retry-after": "-1"}),
        ("huge", {"retry-after": "86400"}),
        ("wrong", {"retry-after": "7"}),
    ],
)
async def test_when_to_come_back_is_told_as_the_scenario_wants(
    session: ClientSession, retry_after: Any, headers: dict[str, str]
) -> None:
    told = await refused(session, Scenario(limits=(TWO_A_MINUTE,), hints=Hints(retry_after=retry_after, wrong_seconds=7)))

    found = {name: value for name, value in told.headers.items() if name.startswith("retry-after")}
    assert found.keys() == headers.keys()
    assert all(re.fullmatch(pattern, found[name]) for name, pattern in headers.items())


async def test_when_to_come_back_may_be_told_as_a_date(session: ClientSession) -> None:
    told = await refused(session, Scenario(limits=(TWO_A_MINUTE,), hints=Hints(retry_after="date")))

    wait = parsedate_to_datetime(told.headers["retry-after"]) - parsedate_to_datetime(told.headers["date"])
    assert 29 <= wait.total_seconds() <= 31


@pytest.mark.parametrize(
    ("reset", "pattern"),
    [("go", r"1m0s|59\.\d+s"), ("seconds", "60"), ("0s", "0s"), ("6m0s", "6m0s"), ("-1", "-1")],
)
async def test_answers_tell_where_the_limits_stand(session: ClientSession, reset: Any, pattern: str) -> None:
    limits = (RateLimit("requests", 1), RateLimit("tokens", 90_000))
    async with FakeGateway(Scenario(limits=limits, hints=Hints(reset=reset))) as gateway:
        headers = (await ask(session, gateway, max_completion_tokens=1000)).headers

    assert headers["x-ratelimit-limit-requests"] == "1"
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert re.fullmatch(pattern, headers["x-ratelimit-reset-requests"])
    assert headers["x-ratelimit-limit-tokens"] == "90000"
    assert 88_900 <= int(headers["x-ratelimit-remaining-tokens"]) <= 89_050


async def test_a_silent_service_tells_nothing(session: ClientSession) -> None:
    told = await refused(
        session, Scenario(limits=(TWO_A_MINUTE,), hints=Hints(retry_after="none", reset="none", in_message=False))
    )

    assert not [name for name in told.headers if "retry" in name or "ratelimit" in name]
    assert "try again" not in told.error["message"]


@pytest.mark.parametrize(
    ("dialect", "words"),
    [
        ("openai", r"Rate limit reached for o1-mini\. Visit \S+ to learn more\."),
        ("new-api", r"当前分组上游负载已饱和，请稍后再试.*"),
    ],
)
async def test_a_refusal_need_not_name_its_limit(session: ClientSession, dialect: Any, words: str) -> None:
    told = await refused(session, Scenario(dialect=dialect, limits=(TWO_A_MINUTE,), hints=replace(SILENT, limit_named=False)))

    assert re.fullmatch(words, told.error["message"])


async def test_a_request_larger_than_the_limit_is_told_so_without_a_time(session: ClientSession) -> None:
    async with FakeGateway(Scenario(limits=(RateLimit("tokens", 30_000),))) as gateway:
        told = await ask(session, gateway, max_completion_tokens=42_000)

    assert told.status == 429
    assert told.error["message"].startswith(
        "Request too large for o1-mini in organization org-fake on tokens per min (TPM): Limit 30000, Requested 42007. "
    )
    assert "retry-after" not in told.headers


async def test_a_gateway_names_its_own_request_limit_in_chinese(session: ClientSession) -> None:
    told = await refused(session, Scenario(dialect="new-api", limits=(TWO_A_MINUTE,)))

    assert told.error["message"].startswith("您已达到总请求数限制：1分钟内最多请求2次")
    assert told.error["type"] == "new_api_error"
    assert "retry-after" not in told.headers


async def test_a_gateway_counts_in_whole_minutes(session: ClientSession) -> None:
    limit = RateLimit("requests", 2, per=10)

    told = await refused(session, Scenario(dialect="new-api", limits=(limit,)))

    assert told.error["message"].startswith("您已达到总请求数限制：1分钟内最多请求12次")


async def test_a_gateway_hides_an_upstream_limit_behind_a_busy_channel(session: ClientSession) -> None:
    limit = RateLimit("tokens", 2_500, counting="reserve")

    told = await refused(session, Scenario(dialect="one-api", limits=(limit,)), max_completion_tokens=1000)

    assert told.error["message"].startswith("当前分组上游负载已饱和，请稍后再试")


async def test_only_so_many_are_served_at_once(session: ClientSession) -> None:
    scenario = Scenario(dialect="new-api", limits=(ConcurrencyLimit(3),), latency=Latency(seconds=Fixed(0.05)))
    async with FakeGateway(scenario) as gateway:
        told = await asyncio.gather(*(ask(session, gateway, str(row)) for row in range(5)))
        again = await ask(session, gateway)

    assert sorted(each.status for each in told) == [200, 200, 200, 429, 429]
    assert {each.error["code"] for each in told if each.status == 429} == {"token_concurrency_limit_reached"}
    assert again.status == 200


async def test_unused_reservations_are_given_back_after_the_answer(session: ClientSession) -> None:
    limit = RateLimit("tokens", 10_000, counting="refund")
    async with FakeGateway(Scenario(limits=(limit,))) as gateway:
        told = [await ask(session, gateway, max_completion_tokens=9_000) for _ in range(5)]

    assert [each.status for each in told] == [200] * 5


async def test_coming_back_too_early_is_noticed(session: ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batch_runner.fake_server.books.ledger.GRACE", 0.0)
    async with FakeGateway(Scenario(limits=(TWO_A_MINUTE,))) as gateway:
        for _ in range(5):
            await ask(session, gateway)

    assert totals(gateway)["refused"] == 3
    assert totals(gateway)["inside_retry_after"] == 2


async def test_the_books_tell_of_each_limit(session: ClientSession) -> None:
    async with FakeGateway(Scenario(limits=(TWO_A_MINUTE, ConcurrencyLimit(5)))) as gateway:
        for _ in range(3):
            await ask(session, gateway)

        requests, places = gateway.stats()["limits"]
        gateway.books.reset()
        after = gateway.stats()["limits"][0]

    assert requests["name"] == "2 requests per 60 s (bucket)"
    assert (requests["refused"], requests["used"]) == (1, 2)
    assert requests["worst_second"] == pytest.approx(90)
    assert requests["worst_minute"] == pytest.approx(1.5)
    assert places["name"] == "5 at once"
    assert (after["refused"], after["used"], after["worst_second"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0s"),
        (0.006, "6ms"),
        (0.0401, "41ms"),
        (1, "1s"),
        (1.574, "1.574s"),
        (60, "1m0s"),
        (360, "6m0s"),
        (432, "7m12s"),
        (3600, "1h0m0s"),
    ],
)
def test_durations_are_written_as_go_writes_them(seconds: float, words: str) -> None:
    assert go_duration(seconds) == words


async def test_a_day_of_requests_is_told_as_such(session: ClientSession) -> None:
    told = await refused(session, Scenario(limits=(RateLimit("requests", 2, per=86_400),)))

    assert " on requests per day (RPD): Limit 2, Used 2, Requested 1. Please try again in 11h59m59" in told.error["message"]


async def test_openai_has_words_for_too_many_at_once(session: ClientSession) -> None:
    scenario = Scenario(limits=(ConcurrencyLimit(1),), latency=Latency(seconds=Fixed(0.03)))
    async with FakeGateway(scenario) as gateway:
        told = await asyncio.gather(*(ask(session, gateway, str(row)) for row in range(2)))

    (refusal,) = (each for each in told if each.status == 429)
    assert " on concurrent requests: Limit 1, Used 1, Requested 1." in refusal.error["message"]


async def test_refusals_may_use_up_the_limit(session: ClientSession) -> None:
    limit = RateLimit("requests", 2, shape="sliding", refusals_count=True)
    async with FakeGateway(Scenario(limits=(limit,))) as gateway:
        for _ in range(4):
            await ask(session, gateway)

        assert gateway._play.gate.rates[0].meter.room(gateway._play.seconds()) == -2
