"""What goes over the wire and what is kept of the reply, at a server written by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from batch_runner import run_file
from batch_runner.fake_server import BigInteger, BlankLines, CloseAfter, Drip, DuplicateKeys, Fault, LoneSurrogate, Scenario
from tests.end_to_end.conftest import KEY

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Place, Servers

REPLY = (
    '{"id":"chatcmpl-9ypKDcXoLbTpxUJ1A8T8Qf0VxvDqL","object":"chat.completion","created":1724333921,'
    '"model":"gpt-4o-2024-05-13","choices":[{"index":0,"message":{"role":"assistant","content":"晚上好！有什么可以帮您的吗？"},'
    '"logprobs":null,"finish_reason":"stop"}],'
    '"usage":{"prompt_tokens":9,"completion_tokens":10,"total_tokens":19},"system_fingerprint":"fp_abc28019ad"}'
)


class Listener:
    """A service that writes down what it is asked and answers with the same reply."""

    def __init__(self, reply: str | bytes = REPLY, **headers: str) -> None:
        self.reply = reply.encode() if isinstance(reply, str) else reply
        self.headers = headers
        self.heard: list[tuple[str, str, dict[str, str], Any]] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.heard.append((request.method, request.path_qs, headers, json.loads(await request.text())))
        return web.Response(body=self.reply, content_type="application/json", headers=self.headers)


async def test_a_row_is_asked_as_the_service_documents_it_and_its_answer_is_recorded_whole(
    place: Place, servers: Servers
) -> None:
    listener = Listener(**{"x-request-id": "req_1"})
    url = servers.by_hand(listener)
    place.write([{"id": "greet-1", "prompt": "晚上好", "mine": {"a": [1, None]}}])

    report = await run_file(place.prompts, endpoint=f"{url}/v1", model="o1-mini", max_completion_tokens=1688)

    ((method, path, headers, body),) = listener.heard
    assert report.exit_status == 0
    assert (method, path) == ("POST", "/v1/chat/completions")
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["content-type"] == "application/json"
    assert body == {
        "model": "o1-mini",
        "messages": [{"role": "user", "content": "晚上好"}],
        "max_completion_tokens": 1688,
        "stream": False,
    }
    (row,) = place.rows()
    usage = {"prompt_tokens": 9, "cached_tokens": None, "completion_tokens": 10, "reasoning_tokens": None, "total_tokens": 19}
    assert row["status"] == "ok"
    assert row["answer"] == "晚上好！有什么可以帮您的吗？"
    assert (row["model"], row["model_answered"]) == ("o1-mini", "gpt-4o-2024-05-13")
    assert row["usage"] == usage
    assert row["finish_reason"] == "stop"
    assert row["http_status"] == 200
    assert row["request_id"] == "req_1"
    assert json.loads(row["extra"]) == {"mine": {"a": [1, None]}}
    assert json.loads(row["body"]) == json.loads(REPLY)
    assert row["source"] == f"{place.prompts}:1"
    assert place.totals()["job"]["tokens"]["total_tokens"] == 19


@pytest.mark.parametrize("address", ["{}/v1", "{}/v1/", "{}/v1/chat/completions", "{}/v1/chat/completions/"])
async def test_an_address_is_understood_with_and_without_its_route(place: Place, servers: Servers, address: str) -> None:
    listener = Listener()
    place.write_questions(1)

    await run_file(place.prompts, endpoint=address.format(servers.by_hand(listener)))

    assert [path for _, path, _, _ in listener.heard] == ["/v1/chat/completions"]


async def test_without_a_cap_none_is_sent(place: Place, servers: Servers) -> None:
    listener = Listener()
    place.write_questions(1)

    await run_file(place.prompts, endpoint=servers.by_hand(listener))

    assert set(listener.heard[0][3]) == {"model", "messages", "stream"}
    assert place.rows()[0]["max_completion_tokens"] is None


async def test_a_row_overrides_what_the_run_asks_and_its_own_fields_stay_at_home(place: Place, servers: Servers) -> None:
    listener = Listener()
    place.write(
        [
            {
                "prompt": "hi",
                "model": "o3-mini",
                "reasoning_effort": "low",
                "max_completion_tokens": 50,
                "params": {"service_tier": "flex"},
                "user": "a column",
                "seed": 7,
                "temperature": 0.3,
            }
        ]
    )

    await run_file(place.prompts, endpoint=servers.by_hand(listener), max_completion_tokens=900, param={"store": False})

    assert listener.heard[0][3] == {
        "model": "o3-mini",
        "messages": [{"role": "user", "content": "hi"}],
        "store": False,
        "max_completion_tokens": 50,
        "reasoning_effort": "low",
        "service_tier": "flex",
        "stream": False,
    }
    assert json.loads(place.rows()[0]["extra"]) == {"user": "a column", "seed": 7, "temperature": 0.3}


async def test_an_openai_batch_line_is_sent_as_it_is_written(place: Place, servers: Servers) -> None:
    listener = Listener()
    body = {"model": "o1", "messages": [{"role": "developer", "content": "be brief"}], "max_completion_tokens": 5, "user": "u"}
    place.write([{"custom_id": "b-1", "method": "POST", "url": "/v1/chat/completions", "body": body}])

    await run_file(place.prompts, endpoint=servers.by_hand(listener), model="o3", system="ignored")

    assert listener.heard[0][3] == body
    assert place.rows()[0]["id"] == "b-1"


async def test_instructions_go_into_the_first_user_turn_of_models_that_take_none(place: Place, servers: Servers) -> None:
    listener = Listener()
    place.write([{"prompt": "one"}, {"prompt": "two", "model": "o1"}])

    await run_file(place.prompts, endpoint=servers.by_hand(listener), system="be brief", concurrency=1)

    assert [body["messages"] for _, _, _, body in listener.heard] == [
        [{"role": "user", "content": "be brief\n\none"}],
        [{"role": "system", "content": "be brief"}, {"role": "user", "content": "two"}],
    ]


async def test_numbers_beyond_64_bits_are_neither_sent_nor_kept_as_something_else(place: Place, servers: Servers) -> None:
    listener = Listener()
    place.write(['{"prompt": "hi", "params": {"seed": 123456789012345678901234567890}, "mine": 98765432109876543210987654321}'])

    await run_file(place.prompts, endpoint=servers.by_hand(listener))

    assert listener.heard[0][3]["seed"] == 123456789012345678901234567890
    assert json.loads(place.rows()[0]["extra"]) == {"mine": 98765432109876543210987654321}


async def test_ids_of_any_letters_are_known_again(place: Place, servers: Servers) -> None:
    listener = Listener()
    ids: list[str | int] = ['a"b\\c', "é\0x", "晚\n上", "x\u2028y", "😀", "run", "totals", 7, "x" * 5000]
    place.write([{"id": row_id, "prompt": f"question {row_id}"} for row_id in ids])

    url = servers.by_hand(listener)
    await run_file(place.prompts, endpoint=url)
    again = await run_file(place.prompts, endpoint=url)

    assert again.exit_status == 0
    assert len(listener.heard) == len(ids)
    assert {row["id"] for row in place.rows()} == {str(row_id) for row_id in ids}


# Odd answers that were paid for

ODD = {
    "a lone surrogate": REPLY.replace("晚上好！", r"\ud83d half"),
    "an integer beyond 64 bits": REPLY.replace("1724333921", "123456789012345678901234567890"),
    "NaN": REPLY.replace("1724333921", "NaN"),
    "no usage": REPLY[: REPLY.index('"usage"')] + '"x":1}',
    "usage null": REPLY.replace('{"prompt_tokens":9,"completion_tokens":10,"total_tokens":19}', "null"),
    "usage of another kind": REPLY.replace('{"prompt_tokens":9,"completion_tokens":10,"total_tokens":19}', '[{"tokens":"many"}]'),
    "a huge count": REPLY.replace('"prompt_tokens":9', '"prompt_tokens":99999999999999999999999'),
    "a negative count": REPLY.replace('"prompt_tokens":9', '"prompt_tokens":-9'),
    "keys twice": REPLY.replace('{"id":', '{"id":"first","usage":{},"id":'),
    "blank lines before it": "\n\n \n" + REPLY,
    "content in parts": REPLY.replace(
        '"晚上好！有什么可以帮您的吗？"', '[{"type":"text","text":"晚上好"},{"type":"text","text":"！"}]'
    ),
    "content null": REPLY.replace('"晚上好！有什么可以帮您的吗？"', "null"),
    "no finish reason": REPLY.replace(',"finish_reason":"stop"', ""),
    "no model": REPLY.replace('"model":"gpt-4o-2024-05-13",', ""),
    "a model that isn't text": REPLY.replace('"gpt-4o-2024-05-13"', '{"name":1}'),
    "an error that is null": REPLY.replace('{"id":', '{"error":null,"id":'),
    "choices that tell more": REPLY.replace('"logprobs":null', '"logprobs":{"content":[]},"reasoning_content":"hm"'),
    "a byte order mark": "\ufeff" + REPLY,
    "deep nesting": REPLY.replace('"fp_abc28019ad"', "[" * 500 + "]" * 500),
    "a null byte in the text": REPLY.replace("晚上好！", r"\u0000\u2028"),
}


async def test_an_answer_with_a_broken_byte_is_taken_all_the_same(place: Place, servers: Servers) -> None:
    listener = Listener(REPLY.encode().replace("晚上好！".encode(), b"good\xff evening"))
    place.write_questions(1)

    report = await run_file(place.prompts, endpoint=servers.by_hand(listener))

    assert report.exit_status == 0
    assert len(listener.heard) == 1
    assert place.rows()[0]["answer"].startswith("good\ufffd evening")


@pytest.mark.parametrize("reply", ODD.values(), ids=ODD.keys())
async def test_an_odd_answer_is_taken_once_and_never_bought_again(place: Place, servers: Servers, reply: str) -> None:
    listener = Listener(reply)
    url = servers.by_hand(listener)
    place.write_questions(1)

    first = await run_file(place.prompts, endpoint=url)
    second = await run_file(place.prompts, endpoint=url)

    assert (first.exit_status, second.exit_status) == (0, 0)
    assert len(listener.heard) == 1
    (row,) = place.rows()
    assert row["status"] == "ok"
    assert row["body"].strip().strip("\ufeff") == reply.strip().strip("\ufeff")


async def test_a_usage_that_was_not_told_is_counted_as_such_and_not_as_zero(place: Place, servers: Servers) -> None:
    place.write_questions(1)

    await run_file(place.prompts, endpoint=servers.by_hand(Listener(ODD["no usage"])))

    assert set(place.rows()[0]["usage"].values()) == {None}
    assert place.totals()["job"]["usage_missing"] == 1


async def test_blank_lines_that_keep_a_connection_awake_are_waited_through(place: Place, servers: Servers) -> None:
    gateway = servers.gateway(Scenario(faults=(Fault(BlankLines(lines=20, pause=0.005)),)))
    place.write_questions(3)

    report = await run_file(place.prompts, endpoint=gateway.url)

    assert report.exit_status == 0
    assert gateway.books().requests == 3
    assert place.totals()["job"]["tokens"]["total_tokens"] == gateway.books().billed["total_tokens"]


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(LoneSurrogate(), id="lone surrogate"),
        pytest.param(BigInteger(), id="an integer of 30 digits"),
        pytest.param(DuplicateKeys(), id="keys twice"),
        pytest.param(CloseAfter(), id="a connection that closes after it"),
        pytest.param(Drip(size=40, pause=0.001), id="drop by drop"),
    ],
)
async def test_an_answer_delivered_oddly_is_bought_once(place: Place, servers: Servers, action: Any) -> None:
    gateway = servers.gateway(Scenario(faults=(Fault(action),)))
    place.write_questions(5)

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=2)
    again = await run_file(place.prompts, endpoint=gateway.url, concurrency=2)

    assert (report.exit_status, again.exit_status) == (0, 0)
    assert gateway.books().requests == 5


async def test_a_refusal_and_a_filtered_answer_are_kept_as_refused(place: Place, servers: Servers) -> None:
    refusal = REPLY.replace('"content":"晚上好！有什么可以帮您的吗？"', '"content":null,"refusal":"I can’t help with that."')
    place.write_questions(1)
    await run_file(place.prompts, place.folder / "a.jsonl", endpoint=servers.by_hand(Listener(refusal)))

    filtered = REPLY.replace('"finish_reason":"stop"', '"finish_reason":"content_filter"')
    report = await run_file(place.prompts, place.folder / "b.jsonl", endpoint=servers.by_hand(Listener(filtered)))

    (a,), (b,) = place.rows(place.folder / "a.jsonl"), place.rows(place.folder / "b.jsonl")
    assert (a["status"], a["message"]) == ("refused", "I can’t help with that.")
    assert (b["status"], b["answer"]) == ("refused", "晚上好！有什么可以帮您的吗？")
    assert report.exit_status == 10
    assert a["spent"]["total_tokens"] == b["spent"]["total_tokens"] == 19
