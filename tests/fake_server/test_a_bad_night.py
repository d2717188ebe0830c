"""A whole bad night at once: what a client really got is what the books say it got, and what it was billed is never less."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import aiohttp
from aiohttp import ClientSession

from batch_runner.fake_server import (
    BigInteger,
    BlankLines,
    BrokenGzip,
    Canned,
    Cut,
    Drip,
    DuplicateKeys,
    Empty,
    FakeGateway,
    Fault,
    Hang,
    Html,
    Latency,
    LoneSurrogate,
    RateLimit,
    Scenario,
    Uniform,
    WrongLength,
)
from tests.fake_server.asking import request, totals

ACTIONS: tuple[Any, ...] = (
    Canned("server_error"),
    Canned("insufficient_quota", status=200),
    Html(524),
    Empty(),
    Cut(),
    Cut(inside=True, reset=True),
    Hang(inside=True, seconds=0.02),
    Drip(size=100, pause=0.001),
    WrongLength(),
    BrokenGzip(),
    BlankLines(pause=0.001),
    DuplicateKeys(),
    LoneSurrogate(),
    BigInteger(),
)
ROWS = 150
COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


async def answer(session: ClientSession, gateway: FakeGateway, row: int) -> Any:
    """The completion that came, or nothing."""
    try:
        async with session.post(f"{gateway.url}/chat/completions", json=request(f"row {row}")) as response:
            body = json.loads(await response.read())
    except (aiohttp.ClientError, ValueError):
        return None
    return body if "choices" in body else None


def summed(usages: Iterable[dict[str, Any]]) -> dict[str, int]:
    listed = list(usages)
    return {name: sum(usage[name] for usage in listed) for name in COUNTS}


async def test_the_books_agree_with_the_client(session: ClientSession) -> None:
    scenario = Scenario(
        latency=Latency(seconds=Uniform(0, 0.02)),
        limits=(RateLimit("requests", 6_000, burst=60),),
        faults=tuple(Fault(action, probability=0.05) for action in ACTIONS),
    )
    async with FakeGateway(scenario, seed=11) as gateway:
        came = await asyncio.gather(*(answer(session, gateway, row) for row in range(ROWS)))

    told = totals(gateway)
    had = [completion for completion in came if completion]
    assert told["requests"] == sum(told["outcomes"].values()) == ROWS
    assert told["answered"] == len(had)
    assert summed([told["delivered"]]) == summed(completion["usage"] for completion in had)
    assert told["billed_answers"] > told["answered"] > 0
    assert told["billed"]["total_tokens"] > told["delivered"]["total_tokens"]
    assert told["refused"] == gateway.stats()["limits"][0]["refused"] > 0


async def test_the_totals_are_the_sums_of_the_rows(session: ClientSession) -> None:
    faults = tuple(Fault(action, probability=0.05) for action in ACTIONS)
    async with FakeGateway(Scenario(faults=faults), seed=12) as gateway:
        for _ in range(2):
            await asyncio.gather(*(answer(session, gateway, row) for row in range(ROWS)))

    attempts = [attempt for row in gateway.stats()["rows"].values() for attempt in row["attempts"]]
    assert summed([totals(gateway)["billed"]]) == summed(attempt["billed"] for attempt in attempts)
    assert summed([totals(gateway)["delivered"]]) == summed(each["billed"] for each in attempts if each["delivered"])
    assert totals(gateway)["requests"] == len(attempts) == 2 * ROWS
