"""The books: who asked what and when, what it cost, and what of it arrived."""

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession

from batch_runner.fake_server import Canned, FakeGateway, Fault, Fixed, Latency, RateLimit, Scenario
from batch_runner.fake_server.peaks import SlidingPeak
from tests.fake_server.asking import ask, attempts, get, request, totals

IN_A_MOMENT = Latency(seconds=Fixed(0.03))


async def hang_up(session: ClientSession, gateway: FakeGateway, text: str = "hello") -> None:
    """Asks, and leaves before the answer."""
    with pytest.raises(TimeoutError):
        await session.post(f"{gateway.url}/chat/completions", json=request(text), timeout=aiohttp.ClientTimeout(total=0.01))


async def test_what_the_books_bill_is_what_the_answer_says(session: ClientSession) -> None:
    async with FakeGateway() as gateway:
        usage = (await ask(session, gateway)).body["usage"]

    assert totals(gateway)["billed"] == totals(gateway)["delivered"] == attempts(gateway)[0]["billed"]
    assert attempts(gateway)[0]["billed"] == {
        "prompt_tokens": usage["prompt_tokens"],
        "cached_tokens": usage["prompt_tokens_details"]["cached_tokens"],
        "completion_tokens": usage["completion_tokens"],
        "reasoning_tokens": usage["completion_tokens_details"]["reasoning_tokens"],
        "total_tokens": usage["total_tokens"],
    }


async def test_a_client_that_hangs_up_pays_all_the_same(session: ClientSession) -> None:
    async with FakeGateway(Scenario(latency=IN_A_MOMENT)) as gateway:
        await hang_up(session, gateway)
        await asyncio.sleep(0.04)

        (attempt,) = attempts(gateway)
        assert attempt["billed"]["completion_tokens"] > 0
        assert (attempt["outcome"], attempt["delivered"]) == ("hung_up", False)
        assert totals(gateway)["delivered"]["total_tokens"] == 0


async def test_a_scenario_may_let_clients_hang_up_for_free(session: ClientSession) -> None:
    async with FakeGateway(Scenario(latency=IN_A_MOMENT, bill_hangups=False)) as gateway:
        await hang_up(session, gateway)
        await asyncio.sleep(0.04)

        assert attempts(gateway)[0]["outcome"] == "hung_up"
        assert totals(gateway)["billed"]["total_tokens"] == 0


async def test_a_request_being_served_is_open(session: ClientSession) -> None:
    async with FakeGateway(Scenario(latency=IN_A_MOMENT)) as gateway:
        asking = asyncio.ensure_future(ask(session, gateway))
        await asyncio.sleep(0.015)

        assert totals(gateway)["open"] == 1
        assert attempts(gateway)[0]["outcome"] == "open"
        assert attempts(gateway)[0]["seconds"] is None
        await asking


async def test_all_attempts_of_a_row_stand_together(session: ClientSession) -> None:
    faults = (Fault(Canned("server_error"), attempts=(1, 2)),)
    async with FakeGateway(Scenario(faults=faults)) as gateway:
        statuses = [(await ask(session, gateway)).status for _ in range(3)]

    assert statuses == [500, 500, 200]
    assert [attempt["outcome"] for attempt in attempts(gateway)] == ["server_error", "server_error", "ok"]
    assert totals(gateway)["rows"] == 1
    assert totals(gateway)["requests"] == 3
    assert totals(gateway)["answered"] == 1


async def test_a_row_is_its_messages_however_their_keys_are_ordered(session: ClientSession) -> None:
    async with FakeGateway() as gateway:
        for message in ({"role": "user", "content": "a"}, {"content": "a", "role": "user"}):
            await ask(session, gateway, messages=[message], max_completion_tokens=500)

    assert len(attempts(gateway, "a")) == 2


async def test_only_the_beginning_of_a_prompt_is_kept(session: ClientSession) -> None:
    async with FakeGateway() as gateway:
        await ask(session, gateway, "x" * 1000)

    assert attempts(gateway, "x" * 200)


async def test_a_refused_request_is_not_billed(session: ClientSession) -> None:
    async with FakeGateway() as gateway:
        assert (await ask(session, gateway, max_tokens=5)).status == 400

    assert attempts(gateway)[0]["outcome"] == "invalid"
    assert totals(gateway)["billed"]["total_tokens"] == 0


async def test_the_peak_of_open_requests_is_kept(session: ClientSession) -> None:
    async with FakeGateway(Scenario(latency=IN_A_MOMENT)) as gateway:
        await asyncio.gather(*(ask(session, gateway, str(row)) for row in range(20)))

        assert totals(gateway)["peak_concurrency"] == 20
        assert totals(gateway)["busiest_second"] == 20
        assert totals(gateway)["open"] == 0


async def test_keys_and_clients_are_counted(session: ClientSession) -> None:
    async with FakeGateway() as gateway:
        await ask(session, gateway)
        headers = {"authorization": "Bearer other", "x-client-request-id": "run-7"}
        async with session.post(f"{gateway.url}/chat/completions", json=request(), headers=headers):
            pass

    assert totals(gateway)["authorizations"] == {"Bearer sk-test": 1, "Bearer other": 1}
    assert totals(gateway)["clients"] == {"run-7": 1}


async def test_the_books_can_be_read_over_http_with_rows_or_without(session: ClientSession) -> None:
    async with FakeGateway() as gateway:
        await ask(session, gateway)

        whole, short = await get(session, gateway, "/stats"), await get(session, gateway, "/stats?rows=0")

        assert whole.body == gateway.stats()
        assert short.body == gateway.stats(rows=False)
        assert "rows" not in short.body


async def test_the_books_can_be_reset(session: ClientSession) -> None:
    async with FakeGateway() as gateway:
        await ask(session, gateway)
        async with session.post(gateway.url.replace("/v1", "/stats/reset")) as response:
            assert response.status == 200

        assert gateway.stats()["rows"] == {}
        assert totals(gateway)["requests"] == totals(gateway)["billed"]["total_tokens"] == 0


async def test_a_request_open_at_a_reset_stays_with_the_old_books(session: ClientSession) -> None:
    async with FakeGateway(Scenario(latency=IN_A_MOMENT)) as gateway:
        asking = asyncio.ensure_future(ask(session, gateway))
        await asyncio.sleep(0.015)
        gateway.books.reset()
        await asking

        assert totals(gateway)["billed"]["total_tokens"] == 0
        assert totals(gateway)["peak_concurrency"] == 1


async def test_the_page_shows_the_books_and_escapes_what_rows_say(session: ClientSession) -> None:
    async with FakeGateway(Scenario(limits=(RateLimit("requests", 600),))) as gateway:
        await ask(session, gateway, "<script>")
        async with session.get(gateway.url.replace("/v1", "/stats.html")) as response:
            page = await response.text()

    assert response.content_type == "text/html"
    assert "Fake gateway: calm" in page
    assert "600 requests per 60 s (bucket)" in page
    assert "&lt;script&gt;" in page
    assert "<script>" not in page


async def test_a_new_scenario_begins_at_once_and_keeps_the_books(session: ClientSession) -> None:
    async with FakeGateway() as gateway:
        await ask(session, gateway)
        gateway.scenario = Scenario(name="down", faults=(Fault(Canned("overloaded")),))
        assert (await ask(session, gateway)).status == 503

        assert gateway.stats()["scenario"] == "down"
        assert [attempt["outcome"] for attempt in attempts(gateway)] == ["ok", "overloaded"]


async def test_hundreds_are_open_at_once(session: ClientSession) -> None:
    async with FakeGateway(Scenario(latency=Latency(seconds=Fixed(0.5)))) as gateway:
        await asyncio.gather(*(ask(session, gateway, str(row)) for row in range(500)))

        assert totals(gateway)["peak_concurrency"] >= 450
        assert totals(gateway)["answered"] == 500


@pytest.mark.parametrize(
    ("events", "largest"),
    [
        ([(0, 1), (0.5, 1), (0.9, 1), (1.0, 1)], 3),
        ([(0, 1), (5, 1), (5.2, 1)], 2),
        ([(0, 10), (1.5, 3), (1.6, 4)], 10),
        ([], 0),
    ],
)
def test_a_sliding_peak_is_the_most_in_any_window(events: list[Any], largest: float) -> None:
    peak = SlidingPeak(1.0)

    for now, amount in events:
        peak.add(now, amount)

    assert peak.largest == largest


def test_events_of_one_moment_are_remembered_as_one() -> None:
    peak = SlidingPeak(60.0)

    for number in range(1000):
        peak.add(number / 1_000_000)

    assert peak.largest == 1000
    assert len(peak._events) == 1
