"""Each fault as a client meets it, and as the books remember it."""

import asyncio
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
from tests.fake_server.asking import ask, ask_by_hand, attempts, get, request, totals


async def read(session: ClientSession, gateway: FakeGateway, status: int = 200) -> bytes:
    """The body that comes, byte for byte."""
    async with session.post(f"{gateway.url}/chat/completions", json=request()) as response:
        assert response.status == status
        return await response.read()


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
            await ask(session, gateway)

    (attempt,) = attempts(gateway)
    assert attempt["billed"]["completion_tokens"] > 0
    assert not attempt["delivered"]
    assert attempt["outcome"] == attempt["fault"] != ""


@pytest.mark.parametrize("hang", [Hang(), Hang(inside=True)], ids=["before", "inside"])
async def test_a_hang_lasts_until_the_client_leaves(session: ClientSession, hang: Hang) -> None:
    async with playing(Fault(hang)) as gateway:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(session, gateway), 0.05)
        await get(session, gateway, "/stats")

        (attempt,) = attempts(gateway)
        assert attempt["outcome"] == "hang"


async def test_a_closing_gateway_ends_its_hangs(session: ClientSession) -> None:
    async with playing(Fault(Hang())) as gateway:
        asking = asyncio.ensure_future(ask(session, gateway))
        await asyncio.sleep(0.03)

    with pytest.raises(aiohttp.ClientError):
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
        completion = json.loads(await read(session, gateway))

        assert completion["choices"][0]["message"]["content"]
        (attempt,) = attempts(gateway)
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
        assert await read(session, gateway, status) == body

    assert totals(gateway)["billed"]["total_tokens"] == 0


async def test_a_page_comes_as_html(session: ClientSession) -> None:
    async with playing(Fault(Html())) as gateway:
        assert b"<h1>502 Bad Gateway</h1>" in await read(session, gateway, 502)


async def test_a_redirect_names_another_host(session: ClientSession) -> None:
    async with (
        playing(Fault(Redirect())) as gateway,
        session.post(f"{gateway.url}/chat/completions", json=request(), allow_redirects=False) as response,
    ):
        assert response.status == 307
        assert response.headers["location"].startswith("http://elsewhere.invalid/")


async def test_an_error_may_come_inside_a_success(session: ClientSession) -> None:
    async with playing(Fault(Canned("insufficient_quota", status=200))) as gateway:
        told = await ask(session, gateway)

    assert (told.status, told.error["code"]) == (200, "insufficient_quota")
    assert attempts(gateway)[0]["outcome"] == "insufficient_quota"


async def test_a_kept_alive_connection_closes_under_the_clients_feet() -> None:
    async with playing(Fault(CloseAfter())) as gateway:
        told = await ask_by_hand(gateway)

    assert b"connection" not in told.head.lower()
    assert json.loads(told.body)["object"] == "chat.completion"
    assert told.left == b""


async def test_a_huge_answer_arrives_whole(session: ClientSession) -> None:
    async with playing(Fault(Huge(size=5_000_000))) as gateway:
        assert len(await read(session, gateway)) > 5_000_000


async def test_an_odd_answer_is_odd_in_the_way_it_says(session: ClientSession) -> None:
    oddities = (DuplicateKeys(), LoneSurrogate(), BigInteger(), BlankLines(lines=3, pause=0))
    async with playing(*(Fault(oddity, times=1) for oddity in oddities)) as gateway:
        twice, half, big, blank = [await read(session, gateway) for _ in oddities]

    assert twice.count(b'"usage"') == twice.count(b'"id"') == 2
    assert b"\\ud83d" in half
    assert b":100000000000000000000000000001" in big
    assert blank.startswith(b"\n\n\n{")
