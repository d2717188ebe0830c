"""The official Python client, unchanged, against the fake gateway: answers, streams, and every error as its own class."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

openai = pytest.importorskip("openai")

from batch_runner.fake_server import (  # noqa: E402 - the client is optional
    AnswerStyle,
    Canned,
    Cut,
    FakeGateway,
    Fault,
    Fixed,
    Hang,
    Hints,
    Html,
    RateLimit,
    Scenario,
)
from tests.fake_server.asking import totals  # noqa: E402 - as above

HELLO = [{"role": "user", "content": "晚上好"}]


@asynccontextmanager
async def client_of(scenario: Scenario | None = None, **options: Any) -> AsyncIterator[tuple[Any, FakeGateway]]:
    """A client of its own gateway; it tries once unless told otherwise."""
    async with (
        FakeGateway(scenario) as gateway,
        openai.AsyncOpenAI(base_url=gateway.url, api_key="sk-test", **{"max_retries": 0, **options}) as client,
    ):
        yield client, gateway


async def test_it_reads_an_answer() -> None:
    async with client_of(Scenario(answers=AnswerStyle(reasoning=Fixed(64), cached_share=Fixed(0.5)))) as (client, _):
        completion = await client.chat.completions.create(model="o1-mini", messages=HELLO, max_completion_tokens=1688)

    assert completion.choices[0].message.content
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model == "gpt-4o-2024-05-13"
    assert completion.system_fingerprint == "fp_fake"
    assert completion.usage.completion_tokens_details.reasoning_tokens == 64
    assert completion.usage.prompt_tokens_details.cached_tokens == completion.usage.prompt_tokens // 2
    assert completion._request_id.startswith("req_")


async def test_it_reads_a_stream() -> None:
    async with client_of() as (client, _):
        stream = await client.chat.completions.create(
            model="o1-mini", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[-1].usage.total_tokens > 0


async def test_it_reads_a_tool_call() -> None:
    function = {"name": "look_up", "parameters": {"type": "object", "properties": {"word": {"type": "string"}}}}
    async with client_of() as (client, _):
        completion = await client.chat.completions.create(
            model="o3-mini", messages=HELLO, tools=[{"type": "function", "function": function}]
        )

    assert completion.choices[0].finish_reason == "tool_calls"
    assert completion.choices[0].message.tool_calls[0].function.name == "look_up"


async def test_it_lists_the_models() -> None:
    async with client_of() as (client, _):
        names = [model.id async for model in client.models.list()]
        one = await client.models.retrieve("o1-mini")

    assert "o1-mini" in names
    assert one.id == "o1-mini"


@pytest.mark.parametrize(
    ("fault", "kind", "status", "code"),
    [
        (Canned("invalid_prompt"), openai.BadRequestError, 400, "invalid_prompt"),
        (Canned("invalid_api_key"), openai.AuthenticationError, 401, "invalid_api_key"),
        (Canned("gateway_user_quota"), openai.PermissionDeniedError, 403, "insufficient_user_quota"),
        (Canned("model_not_found"), openai.NotFoundError, 404, "model_not_found"),
        (Canned("conflict"), openai.ConflictError, 409, None),
        (Canned("unprocessable"), openai.UnprocessableEntityError, 422, None),
        (Canned("rate_limit_exceeded"), openai.RateLimitError, 429, "rate_limit_exceeded"),
        (Canned("insufficient_quota"), openai.RateLimitError, 429, "insufficient_quota"),
        (Canned("server_error"), openai.InternalServerError, 500, None),
        (Canned("overloaded"), openai.InternalServerError, 503, "overloaded"),
        (Html(524, "A timeout occurred"), openai.InternalServerError, 524, None),
    ],
)
async def test_it_raises_its_own_error(fault: Any, kind: Any, status: int, code: str | None) -> None:
    async with client_of(Scenario(faults=(Fault(fault),))) as (client, _):
        with pytest.raises(kind) as caught:
            await client.chat.completions.create(model="o1-mini", messages=HELLO)

    assert (caught.value.status_code, caught.value.code) == (status, code)


async def test_it_is_told_what_the_model_refuses() -> None:
    async with client_of() as (client, _):
        with pytest.raises(openai.BadRequestError, match="Use 'max_completion_tokens' instead") as caught:
            await client.chat.completions.create(model="o1-mini", messages=HELLO, max_tokens=100)

    assert (caught.value.param, caught.value.code) == ("max_tokens", "unsupported_parameter")
    assert caught.value.type == "invalid_request_error"


async def test_it_sees_a_cut_as_a_lost_connection() -> None:
    async with client_of(Scenario(faults=(Fault(Cut()),))) as (client, gateway):
        with pytest.raises(openai.APIConnectionError):
            await client.chat.completions.create(model="o1-mini", messages=HELLO)

        assert totals(gateway)["billed_answers"] == 1


async def test_it_sees_a_hang_as_a_timeout() -> None:
    async with client_of(Scenario(faults=(Fault(Hang()),)), timeout=0.1) as (client, _):
        with pytest.raises(openai.APITimeoutError):
            await client.chat.completions.create(model="o1-mini", messages=HELLO)


async def test_it_comes_back_after_the_time_it_was_told() -> None:
    limits = (RateLimit("requests", 1, per=0.2),)
    async with client_of(Scenario(limits=limits, hints=Hints(retry_after="ms")), max_retries=2) as (client, gateway):
        for _ in range(2):
            await client.chat.completions.create(model="o1-mini", messages=HELLO)

    assert totals(gateway)["refused"] == 1
    assert totals(gateway)["answered"] == 2
    assert totals(gateway)["inside_retry_after"] == 0
