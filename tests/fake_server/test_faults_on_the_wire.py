"""Each fault as a client meets it, and as the books remember it."""

import json
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession

from batch_runner.fake_server import (
    BigInteger,
    BlankLines,
    BrokenGzip,
    Canned,
    CloseAfter,
    Cut,
    Drip,
    DuplicateKeys,
    Empty,
    FakeGateway,
    Fault,
    Hang,
    Html,
    Huge,
    LoneSurrogate,
    Redirect,
    Scenario,
    Status,
    WrongLength,
)


def ask(text: str = "hello") -> dict[str, Any]:
    return {"model": "o1-mini", "messages": [{"role": "user", "content": text}]}


def only_attempt(gateway: FakeGateway) -> dict[str, Any]:
    rows: Any = gateway.stats()["rows"]
    ((row),) = rows.values()
    (attempt,) = row["attempts"]
    return dict(attempt)


def playing(*faults: Fault) -> FakeGateway:
    return FakeGateway(Scenario(faults=faults))


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(Cut(), id="cut"),
        pytest.param(Cut(reset=True), id="reset"),
        pytest.param(Cut(inside=True), id="cut inside"),
        pytest.param(Cut(inside=True, reset=True), id="reset inside"),
        pytest.param(WrongLength(), id="too long a length"),
        pytest.param(BrokenGzip(), id="broken gzip"),
        pytest.param(Hang(seconds=0.01), id="hang and close"),
        pytest.param(Hang(inside=True, seconds=0.01), id="hang inside and close"),
    ],
)
async def test_an_answer_lost_on_the_way_is_billed_but_not_delivered(session: ClientSession, action: Any) -> None:
    async with playing(Fault(action)) as gateway:
        with pytest.raises(aiohttp.ClientError):
            async with session.post(f"{gateway.url}/chat/completions", json=ask()) as response:
                await response.read()

    attempt = only_attempt(gateway)
    assert attempt["billed"]["completion_tokens"] > 0
    assert not attempt["delivered"]
    assert attempt["outcome"] == attempt["fault"] != ""


@pytest.mark.parametrize("inside", [False, True])
async def test_a_hang_lasts_until_the_client_leaves(session: ClientSession, inside: bool) -> None:
    async with playing(Fault(Hang(inside=inside))) as gateway:
        impatient = aiohttp.ClientTimeout(total=0.05)
        with pytest.raises(TimeoutError):
            async with session.post(f"{gateway.url}/chat/completions", json=ask(), timeout=impatient) as response:
                await response.read()
        async with session.get(gateway.url.replace("/v1", "/stats")):
            pass

        assert only_attempt(gateway)["outcome"] == "hang"


async def test_a_closing_gateway_ends_its_hangs(session: ClientSession) -> None:
    with pytest.raises(aiohttp.ClientError):
        async with playing(Fault(Hang())) as gateway:
            import asyncio

            asking = asyncio.ensure_future(session.post(f"{gateway.url}/chat/completions", json=ask()))
            await asyncio.sleep(0.03)
        await asking


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(Drip(size=64, pause=0), id="drip"),
        pytest.param(BlankLines(pause=0), id="blank lines"),
        pytest.param(DuplicateKeys(), id="duplicate keys"),
        pytest.param(LoneSurrogate(), id="lone surrogate"),
        pytest.param(BigInteger(), id="big integer"),
        pytest.param(Huge(size=1_000_000), id="huge"),
        pytest.param(CloseAfter(), id="close after"),
    ],
)
async def test_an_odd_answer_that_arrives_whole_is_delivered(session: ClientSession, action: Any) -> None:
    async with playing(Fault(action)) as gateway:
        async with session.post(f"{gateway.url}/chat/completions", json=ask()) as response:
            completion = json.loads(await response.read())

        assert completion["choices"][0]["message"]["content"]
        attempt = only_attempt(gateway)
        assert attempt["delivered"]
        assert attempt["outcome"] == "ok"


@pytest.mark.parametrize(
    ("action", "status", "body"),
    [
        pytest.param(Status(418, "teapot"), 418, b"teapot", id="status and text"),
        pytest.param(Status(500, {"a": 1}), 500, b'{"a":1}', id="status and JSON"),
        pytest.param(Empty(), 200, b"", id="empty"),
        pytest.param(Empty(429), 429, b"", id="an IP limiter's empty 429"),
    ],
)
async def test_a_replacement_comes_instead_of_an_answer_and_costs_nothing(
    session: ClientSession, action: Any, status: int, body: bytes
) -> None:
    async with playing(Fault(action)) as gateway:
        async with session.post(f"{gateway.url}/chat/completions", json=ask()) as response:
            assert (status, body) == (response.status, await response.read())

        assert only_attempt(gateway)["billed"]["total_tokens"] == 0


async def test_a_page_comes_as_html(session: ClientSession) -> None:
    async with playing(Fault(Html())) as gateway:
        async with session.post(f"{gateway.url}/chat/completions", json=ask()) as response:
            assert response.content_type == "text/html"
            assert "<h1>502 Bad Gateway</h1>" in await response.text()


async def test_a_redirect_names_another_host(session: ClientSession) -> None:
    async with playing(Fault(Redirect())) as gateway:
        url = f"{gateway.url}/chat/completions"
        async with session.post(url, json=ask(), allow_redirects=False) as response:
            assert response.status == 307
            assert response.headers["location"].startswith("http://elsewhere.invalid/")


async def test_an_error_may_come_inside_a_success(session: ClientSession) -> None:
    async with playing(Fault(Canned("insufficient_quota", status=200))) as gateway:
        async with session.post(f"{gateway.url}/chat/completions", json=ask()) as response:
            assert response.status == 200
            assert (await response.json())["error"]["code"] == "insufficient_quota"

        assert only_attempt(gateway)["outcome"] == "insufficient_quota"
