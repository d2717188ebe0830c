"""The service as a whole: keys, models, sizes, headers, dialects, and connections."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from aiohttp import ClientSession, ServerDisconnectedError

from batch_runner.fake_server import FakeGateway, Fixed, Latency, Scenario, Script
from batch_runner.fake_server.protocol.catalogue import CATALOGUE
from tests.fake_server.asking import ask, ask_by_hand, attempts, get, request, totals


async def test_an_answer_has_the_shape_of_openais(session: ClientSession) -> None:
    async with FakeGateway() as gateway:
        told = await ask(session, gateway)

    assert told.body.keys() == {"id", "object", "created", "model", "choices", "usage", "system_fingerprint"}
    assert told.body["object"] == "chat.completion"
    assert told.body["id"].startswith("chatcmpl-")
    assert told.body["system_fingerprint"] == "fp_fake"
    assert told.body["choices"][0].keys() == {"index", "message", "logprobs", "finish_reason"}
    assert told.body["choices"][0]["message"].keys() == {"role", "content", "refusal"}
    assert told.headers["x-request-id"].startswith("req_")
    assert told.headers["openai-processing-ms"].isdigit()
    assert told.headers["content-type"] == "application/json"


async def test_the_model_that_answers_may_be_another_one(session: ClientSession) -> None:
    async with FakeGateway() as gateway:
        alias, itself = await ask(session, gateway), await ask(session, gateway, model="o3-mini")

    assert (alias.body["model"], itself.body["model"]) == ("gpt-4o-2024-05-13", "o3-mini")


async def test_usage_may_come_without_details(session: ClientSession) -> None:
    async with FakeGateway(Scenario(usage_details=False)) as gateway:
        usage = (await ask(session, gateway)).body["usage"]

    assert usage.keys() == {"prompt_tokens", "completion_tokens", "total_tokens"}


async def test_each_request_and_attempt_has_an_id_of_its_own(session: ClientSession) -> None:
    async with FakeGateway() as gateway:
        told = [await ask(session, gateway) for _ in range(3)]

    assert len({each.headers["x-request-id"] for each in told}) == 3
    assert len({each.body["id"] for each in told}) == 3


async def test_the_same_seed_gives_the_same_answers_in_another_gateway(session: ClientSession) -> None:
    async with FakeGateway(seed=5) as first, FakeGateway(seed=5) as second, FakeGateway(seed=6) as third:
        bodies = [(await ask(session, gateway)).body for gateway in (first, second, third)]

    assert bodies[0]["choices"] == bodies[1]["choices"]
    assert bodies[0]["id"] == bodies[1]["id"] != bodies[2]["id"]


async def test_an_echo_keeps_chinese_text(session: ClientSession) -> None:
    async with FakeGateway(echo=True) as gateway:
        told = await ask(session, gateway, "晚上好，帮我看看这段代码 🙂")

    assert told.body["choices"][0]["message"]["content"] == "晚上好，帮我看看这段代码 🙂"


async def test_scripts_answer_their_prompts(session: ClientSession) -> None:
    async with FakeGateway(Scenario(scripts=(Script(prompt="hello", content="scripted"),))) as gateway:
        scripted, made_up = await ask(session, gateway), await ask(session, gateway, "other")

    assert scripted.body["choices"][0]["message"]["content"] == "scripted"
    assert made_up.body["choices"][0]["message"]["content"] != "scripted"


@pytest.mark.parametrize(
    ("dialect", "no_key", "wrong_key"),
    [
        ("openai", "You didn't provide an API key.", "Incorrect API key provided: sk-s***"),
        ("one-api", "未提供令牌 (request id: ", "无效的令牌 (request id: "),
        ("new-api", "未提供令牌 (request id: ", "无效的令牌 (request id: "),
    ],
)
async def test_a_key_that_is_missing_or_wrong_is_told_in_the_services_words(
    session: ClientSession, dialect: Any, no_key: str, wrong_key: str
) -> None:
    async with FakeGateway(Scenario(dialect=dialect, keys=("sk-right",))) as gateway:
        url = f"{gateway.url}/chat/completions"
        async with session.post(url, json=request(), headers={"authorization": ""}) as missing:
            assert (missing.status, (await missing.json())["error"]["message"][: len(no_key)]) == (401, no_key)
        async with session.post(url, json=request(), headers={"authorization": "Bearer sk-secret-key"}) as wrong:
            assert (wrong.status, (await wrong.json())["error"]["message"][: len(wrong_key)]) == (401, wrong_key)

    assert totals(gateway)["outcomes"] == {"unauthorized": 2}


async def test_a_wrong_key_is_not_echoed_whole(session: ClientSession) -> None:
    async with FakeGateway(Scenario(keys=("sk-right",))) as gateway:
        url = f"{gateway.url}/chat/completions"
        async with session.post(url, json=request(), headers={"authorization": "Bearer sk-secret-key"}) as wrong:
            assert "sk-secret-key" not in await wrong.text()


@pytest.mark.parametrize(
    ("dialect", "status", "words"),
    [
        ("openai", 404, "The model `llama` does not exist or you do not have access to it."),
        ("new-api", 503, "当前分组 default 下对于模型 llama 无可用渠道"),
    ],
)
async def test_a_model_nobody_has_is_refused(session: ClientSession, dialect: Any, status: int, words: str) -> None:
    async with FakeGateway(Scenario(dialect=dialect)) as gateway:
        told = await ask(session, gateway, model="llama")

    assert told.status == status
    assert told.error["message"].startswith(words)


async def test_any_model_may_be_let_in(session: ClientSession) -> None:
    async with FakeGateway(Scenario(models=("*",))) as gateway:
        assert (await ask(session, gateway, model="llama")).status == 200


async def test_a_lenient_scenario_answers_what_the_model_would_refuse(session: ClientSession) -> None:
    async with FakeGateway(Scenario(strict=False)) as gateway:
        assert (await ask(session, gateway, max_tokens=100, temperature=0.2)).status == 200


async def test_a_gateway_puts_its_request_id_into_every_message(session: ClientSession) -> None:
    async with FakeGateway(Scenario(dialect="new-api")) as gateway:
        told = await ask(session, gateway, max_tokens=100)

    name = told.headers["x-oneapi-request-id"]
    assert told.error["message"].endswith(f" (request id: {name})")
    assert told.error["code"] == "unsupported_parameter"


@pytest.mark.parametrize("size", [10_000, 900_000])
async def test_a_body_that_is_too_large_is_refused(session: ClientSession, size: int) -> None:
    async with FakeGateway(Scenario(most_body_bytes=5_000)) as gateway:
        told = await ask(session, gateway, "x" * size)

    assert (told.status, told.error["code"]) == (413, "request_too_large")
    assert totals(gateway)["outcomes"] == {"invalid": 1}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff"])
async def test_a_body_that_is_no_json_is_refused(session: ClientSession, body: bytes) -> None:
    async with (
        FakeGateway() as gateway,
        session.post(f"{gateway.url}/chat/completions", data=body) as response,
    ):
        assert response.status == 400
        assert (await response.json())["error"]["message"].startswith("We could not parse the JSON body")


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/v1/chat/completions", "/v1/responses"])
async def test_a_wrong_path_is_told(session: ClientSession, path: str) -> None:
    async with (
        FakeGateway() as gateway,
        session.post(gateway.url.removesuffix("/v1") + path, json=request()) as response,
    ):
        assert response.status == 404
        assert (await response.json())["error"]["message"] == f"Invalid URL (POST {path})"


async def test_a_wrong_method_is_told(session: ClientSession) -> None:
    async with FakeGateway() as gateway:
        told = await get(session, gateway, "/v1/chat/completions")

    assert (told.status, told.error["message"]) == (404, "Invalid URL (GET /v1/chat/completions)")


@pytest.mark.parametrize(
    ("version", "left"),
    [
        ("HTTP/1.1", None),
        ("HTTP/1.1\r\nconnection: close", b""),
        ("HTTP/1.0", b""),
        ("HTTP/1.0\r\nconnection: keep-alive", None),
    ],
)
async def test_a_connection_is_kept_as_the_client_asks(version: str, left: bytes | None) -> None:
    async with FakeGateway() as gateway:
        told = await ask_by_hand(gateway, version)

    assert told.left == left


async def test_a_client_that_waits_for_leave_to_send_its_body_gets_it() -> None:
    async with FakeGateway() as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(gateway.url).port)
        body = orjson.dumps(request())
        head = "POST /v1/chat/completions HTTP/1.1\r\nhost: fake\r\nauthorization: Bearer x\r\nexpect: 100-continue"
        writer.write(f"{head}\r\ncontent-length: {len(body)}\r\n\r\n".encode())

        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 1) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
        await writer.wait_closed()


async def test_many_requests_go_over_one_connection(session: ClientSession) -> None:
    async with FakeGateway() as gateway:
        for row in range(10):
            assert (await ask(session, gateway, str(row))).status == 200

        assert len(gateway._wires.connections) == 1


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_error_of_the_catalogue_is_json_in_a_known_shape(name: str) -> None:
    body = orjson.loads(CATALOGUE[name].body())

    assert body.keys() & {"error", "message"}
    assert 200 <= CATALOGUE[name].status < 600


@pytest.mark.parametrize(
    ("name", "status", "error"),
    [
        (
            "token_limit_exceeded",
            429,
            {
                "message": "Rate limit reached for o1-mini in organization org-fake on tokens per min (TPM): Limit 200000, "
                "Used 162960, Requested 42288. Please try again in 1.574s. "
                "Visit https://platform.openai.com/account/rate-limits to learn more.",
                "type": "tokens",
                "param": None,
                "code": "rate_limit_exceeded",
            },
        ),
        ("gateway_no_token", 401, {"message": "未提供令牌", "type": "one_api_error"}),
        (
            "gateway_opaque",
            502,
            {
                "message": "bad response status code 502",
                "type": "upstream_error",
                "param": "502",
                "code": "bad_response_status_code",
            },
        ),
        (
            "gateway_bad_row_500",
            500,
            {"message": "请求参数错误", "type": "new_api_error", "param": "", "code": "invalid_request"},
        ),
        ("gateway_panic", 500, {"message": "Panic detected, error: runtime error", "type": "new_api_panic"}),
        (
            "openrouter_no_credits",
            402,
            {"code": 402, "message": "Insufficient credits. Add more to continue.", "metadata": {}},
        ),
        ("anthropic_overloaded", 529, {"type": "overloaded_error", "message": "Overloaded"}),
    ],
)
def test_errors_are_worded_as_their_services_word_them(name: str, status: int, error: dict[str, Any]) -> None:
    complaint = CATALOGUE[name]

    assert complaint.status == status
    assert orjson.loads(complaint.body())["error"] == error


def test_some_services_send_their_errors_flat() -> None:
    assert orjson.loads(CATALOGUE["vllm_bad_request_old"].body()) == {
        "object": "error",
        "message": "max_tokens must be at least 1",
        "type": "BadRequestError",
        "param": None,
        "code": 400,
    }
    assert orjson.loads(CATALOGUE["admin_refusal"].body())["success"] is False


async def test_the_row_of_a_prompt_can_be_found_by_its_text(session: ClientSession) -> None:
    async with FakeGateway() as gateway:
        await ask(session, gateway, messages=[{"role": "user", "content": [{"type": "text", "text": "in parts"}]}])

    assert len(attempts(gateway, "in parts")) == 1


async def test_a_gateway_that_closes_leaves_nothing_at_work_for_clients_that_left_nor_for_those_who_wait(
    session: ClientSession,
) -> None:
    others = asyncio.all_tasks()
    async with FakeGateway(Scenario(latency=Latency(seconds=Fixed(60.0)))) as gateway:
        asked = [asyncio.create_task(ask(session, gateway)) for _ in range(2)]
        while gateway.stats()["totals"]["open"] < 2:
            await asyncio.sleep(0.001)
        asked[0].cancel()
        await asyncio.sleep(0.01)

    with pytest.raises(ServerDisconnectedError):
        await asked[1]
    assert asyncio.all_tasks() == others
