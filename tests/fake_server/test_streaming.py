"""Answers as server-sent events: the same answer, in pieces, and the ways in which streams go wrong."""

from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import ClientSession

from batch_runner.fake_server import AnswerStyle, Cut, Drip, FakeGateway, Fault, OddStream, Scenario
from tests.fake_server.asking import ask, attempts, request, totals

Events = list[bytes]


async def stream(session: ClientSession, gateway: FakeGateway, **fields: Any) -> Events:
    """The blocks of a stream, as they came."""
    async with session.post(f"{gateway.url}/chat/completions", json=request(stream=True, **fields)) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        return [block for block in (await response.read()).split(b"\n\n") if block]


def chunks(events: Events) -> list[Any]:
    """The JSON in the events that hold some."""
    return [orjson.loads(event.removeprefix(b"data: ")) for event in events if event.startswith(b"data: {")]


async def test_a_stream_adds_up_to_the_answer(session: ClientSession) -> None:
    async with FakeGateway() as gateway:
        whole = (await ask(session, gateway)).body
        pieces = chunks(await stream(session, gateway))

    deltas = [chunk["choices"][0]["delta"] for chunk in pieces]
    assert "".join(delta.get("content", "") for delta in deltas) == whole["choices"][0]["message"]["content"]
    assert deltas[0]["role"] == "assistant"
    assert pieces[-1]["choices"][0]["finish_reason"] == "stop"
    assert {chunk["object"] for chunk in pieces} == {"chat.completion.chunk"}
    assert {chunk["system_fingerprint"] for chunk in pieces} == {"fp_fake"}


async def test_a_stream_ends_with_done_and_with_usage_if_asked(session: ClientSession) -> None:
    async with FakeGateway() as gateway:
        plain = await stream(session, gateway)
        counted = await stream(session, gateway, stream_options={"include_usage": True})

    assert plain[-1] == counted[-1] == b"data: [DONE]"
    assert all("usage" not in chunk for chunk in chunks(plain))
    last = chunks(counted)[-1]
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == attempts(gateway)[1]["billed"]["total_tokens"]


async def test_a_service_may_not_stream_at_all(session: ClientSession) -> None:
    async with FakeGateway(Scenario(streams=False)) as gateway:
        told = await ask(session, gateway, stream=True)

    assert (told.status, told.error["param"], told.error["code"]) == (400, "stream", "unsupported_value")


async def test_comments_may_stand_between_events(session: ClientSession) -> None:
    async with FakeGateway(Scenario(faults=(Fault(OddStream("comments")),))) as gateway:
        events = await stream(session, gateway)

    assert events[0] == b": ping"
    assert len(events) == 2 * len(chunks(events)) + 2
    assert totals(gateway)["answered"] == 1


async def test_the_end_or_the_usage_may_be_missing(session: ClientSession) -> None:
    faults = (Fault(OddStream("no_done"), attempts=(1,)), Fault(OddStream("no_usage"), attempts=(2,)))
    async with FakeGateway(Scenario(faults=faults)) as gateway:
        endless = await stream(session, gateway)
        uncounted = await stream(session, gateway, stream_options={"include_usage": True})

    assert b"data: [DONE]" not in endless
    assert all("usage" not in chunk for chunk in chunks(uncounted))


async def test_an_error_may_stand_in_the_middle_as_a_bare_line(session: ClientSession) -> None:
    async with FakeGateway(Scenario(faults=(Fault(OddStream("error_line")),))) as gateway:
        events = await stream(session, gateway)

    assert orjson.loads(events[-1])["error"]["type"] == "upstream_error"
    assert not attempts(gateway)[0]["delivered"]
    assert attempts(gateway)[0]["outcome"] == "odd_stream"


@pytest.mark.parametrize("action", [Drip(size=200, pause=0), Cut(inside=True)])
async def test_a_stream_may_meet_any_fault_of_the_wire(session: ClientSession, action: Any) -> None:
    async with FakeGateway(Scenario(faults=(Fault(action),))) as gateway:
        if isinstance(action, Drip):
            assert (await stream(session, gateway))[-1] == b"data: [DONE]"
        else:
            with pytest.raises(aiohttp.ClientPayloadError):
                await stream(session, gateway)

    assert totals(gateway)["billed"]["total_tokens"] > 0


async def test_refusals_and_tool_calls_are_streamed_as_such(session: ClientSession) -> None:
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
    async with FakeGateway(Scenario(answers=AnswerStyle(refusals=1.0))) as gateway:
        refused = chunks(await stream(session, gateway))
        gateway.scenario = Scenario()
        called = chunks(await stream(session, gateway, model="o3-mini", tools=[tool]))

    assert any(chunk["choices"][0]["delta"].get("refusal") for chunk in refused)
    assert any(chunk["choices"][0]["delta"].get("tool_calls") for chunk in called)
    assert called[-1]["choices"][0]["finish_reason"] == "tool_calls"
