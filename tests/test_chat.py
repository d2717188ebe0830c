import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.chat import Defaults, build_request, defaults, read_completion, read_usage
from batch_runner.failures import UsageMistake
from batch_runner.loader import Line, draft
from batch_runner.records import ChatRequest, Completion, PromptRow, Reply, Status, Usage
from batch_runner.settings import read_settings

RUN = Defaults("o1-mini", None, {})


def request_of(line: str, run: Defaults = RUN) -> ChatRequest:
    row = draft(Line(line.encode(), "in.jsonl:1")).row
    assert isinstance(row, PromptRow), row
    return build_request(row, run)


def body_of(line: str, run: Defaults = RUN) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(request_of(line, run).body)
    return body


def batch_line(body: str) -> str:
    return f'{{"custom_id":"x","method":"POST","url":"/v1/chat/completions","body":{body}}}'


def a_reply(body: bytes | str | dict[str, Any], status: int = 200, **headers: str) -> Reply:
    if isinstance(body, dict):
        body = json.dumps(body)
    data = body.encode() if isinstance(body, str) else body
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, data, 1.0)


def an_answer(message: dict[str, Any] | None = None, finish_reason: Any = "stop", **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "hello"} | (message or {}), "finish_reason": finish_reason}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": "o1-2024", "choices": [choice]} | fields


def completion_of(reply: Reply) -> Completion:
    completion = read_completion(reply)
    assert completion is not None
    return completion


# requests


def test_a_row_becomes_a_request() -> None:
    request = request_of('{"id":"a","prompt":"hi"}')

    assert request.row_id == "a"
    assert request.model == "o1-mini"
    assert json.loads(request.body) == {
        "model": "o1-mini",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": False,
    }


def test_no_cap_is_sent_unless_one_is_given() -> None:
    assert request_of('{"prompt":"hi"}').max_completion_tokens is None
    assert "max_completion_tokens" not in body_of('{"prompt":"hi"}')


def test_what_a_row_asks_stands_above_what_the_run_asks() -> None:
    run = Defaults("o1-mini", None, {"max_completion_tokens": 100, "seed": 1, "reasoning_effort": "low"})

    body = body_of('{"prompt":"hi","model":"o3","max_completion_tokens":50,"params":{"seed":2}}', run)

    assert (body["model"], body["max_completion_tokens"], body["seed"], body["reasoning_effort"]) == ("o3", 50, 2, "low")


@pytest.mark.parametrize("model", ["null", '""'])
def test_a_row_without_a_model_of_its_own_is_sent_to_the_runs(model: str) -> None:
    plain, batch = (
        body_of(f'{{"prompt":"hi","model":{model}}}'),
        body_of(batch_line(f'{{"model":{model},"messages":[{{"role":"user","content":"hi"}}]}}')),
    )

    assert plain["model"] == batch["model"] == "o1-mini"


def test_a_null_in_a_row_does_not_undo_what_the_run_asks() -> None:
    run = Defaults("o1-mini", None, {"reasoning_effort": "low"})

    assert body_of('{"prompt":"hi","reasoning_effort":null}', run)["reasoning_effort"] == "low"


def test_a_batch_lines_body_is_sent_as_it_was_written() -> None:
    written = '{"model":"o1","messages":[{"role":"user","content":"hi"}],"seed":7,"max_tokens":5}'

    request = request_of(batch_line(written), Defaults("o3", "Be brief.", {"temperature": 0.5}))

    assert request.body.decode() == written
    assert (request.model, request.max_completion_tokens) == ("o1", 5)


def test_a_batch_line_asks_the_same_as_the_plain_row_it_says() -> None:
    batch = request_of(batch_line('{"model":"o1-mini","messages":[{"role":"user","content":"hi"}]}'))

    assert batch.fingerprint == request_of('{"prompt":"hi"}').fingerprint


# instructions


def test_instructions_of_the_run_go_first() -> None:
    messages = body_of('{"prompt":"hi","model":"o1"}', Defaults("o1", "Be brief.", {}))["messages"]

    assert messages == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]


@pytest.mark.parametrize("role", ["system", "developer"])
def test_instructions_of_the_rows_own_stand(role: str) -> None:
    own = f'[{{"role":"{role}","content":"Be loud."}},{{"role":"user","content":"hi"}}]'

    messages = body_of(f'{{"messages":{own}}}', Defaults("o1", "Be brief.", {}))["messages"]

    assert messages == json.loads(own)


@pytest.mark.parametrize("model", ["o1-mini", "o1-preview", "o1-mini-2024-09-12"])
def test_models_without_instructions_get_them_in_the_first_user_message(model: str) -> None:
    messages = body_of('{"prompt":"hi"}', Defaults(model, "Be brief.", {}))["messages"]

    assert messages == [{"role": "user", "content": "Be brief.\n\nhi"}]


def test_instructions_join_the_parts_of_a_message() -> None:
    line = '{"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}'

    messages = body_of(line, Defaults("o1-mini", "Be brief.", {}))["messages"]

    assert messages[0]["content"] == [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "hi"}]


def test_instructions_of_a_run_without_any_user_message_open_the_talk() -> None:
    messages = body_of('{"messages":[{"role":"assistant","content":"hi"}]}', Defaults("o1-mini", "Be brief.", {}))["messages"]

    assert [message["role"] for message in messages] == ["user", "assistant"]


# sizes


@pytest.mark.parametrize(
    ("line", "completion"),
    [
        pytest.param('{"prompt":"hi"}', 65_536, id="no cap: the most the model can"),
        pytest.param('{"prompt":"hi","max_completion_tokens":50}', 50, id="cap"),
        pytest.param('{"prompt":"hi","params":{"max_tokens":50}}', 50, id="cap by its old name"),
        pytest.param('{"prompt":"hi","max_completion_tokens":50,"params":{"n":3}}', 150, id="three choices"),
        pytest.param('{"prompt":"hi","model":"somebody/else"}', 272_000, id="unknown model"),
    ],
)
def test_the_worst_of_a_request_is_known(line: str, completion: int) -> None:
    assert request_of(line).worst.completion == completion


@given(text=st.text(min_size=1, max_size=300))
@settings(max_examples=80, deadline=None)
def test_no_prompt_can_have_more_tokens_than_its_worst(text: str) -> None:
    row = PromptRow("a", "in.jsonl:1", b"", {"messages": [{"role": "user", "content": text}]})

    request = build_request(row, RUN)

    assert request.worst.prompt >= len(text.encode())
    assert request.expected.prompt <= request.worst.prompt


def test_an_odd_cap_never_makes_a_number_that_no_output_can_hold() -> None:
    odd = draft(
        Line(b'{"prompt":"hi","max_completion_tokens":9223372036854775807,"params":{"n":9223372036854775807}}', "a:1")
    ).row

    if isinstance(odd, PromptRow):
        orjson.dumps(8192 * build_request(odd, RUN).worst.completion)


# defaults


def test_settings_become_what_the_run_asks() -> None:
    run = defaults(
        read_settings(
            {"model": "o1", "max_completion_tokens": 9, "reasoning_effort": "low", "temperature": 1, "param": ["seed=7"]}
        )
    )

    assert run == Defaults("o1", None, {"seed": 7, "max_completion_tokens": 9, "reasoning_effort": "low", "temperature": 1.0})


def test_instructions_can_come_from_a_file(tmp_path: Any) -> None:
    (tmp_path / "system.txt").write_text("Be brief.\n", encoding="utf-8")

    assert defaults(read_settings({"system": f"@{tmp_path}/system.txt"})).system == "Be brief."


def test_blank_instructions_are_none() -> None:
    assert defaults(read_settings({"system": " \n"})).system is None


def test_instructions_from_a_file_that_is_gone_are_a_usage_mistake(tmp_path: Any) -> None:
    with pytest.raises(UsageMistake, match="system: can't read"):
        defaults(read_settings({"system": f"@{tmp_path}/gone.txt"}))


# answers


def test_an_answer_is_read() -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 10,
        "total_tokens": 19,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 6},
    }

    completion = completion_of(a_reply(an_answer(usage=usage), x_request_id="req_1"))

    assert completion == Completion(Status.OK, "hello", "stop", "o1-2024", Usage(9, 4, 10, 6, 19), "req_1", 200)


@pytest.mark.parametrize(
    ("message", "finish_reason", "status", "answer"),
    [
        pytest.param({}, "stop", Status.OK, "hello", id="stop"),
        pytest.param({}, "length", Status.TRUNCATED, "hello", id="length"),
        pytest.param({"content": ""}, "length", Status.TRUNCATED, "", id="eaten up by reasoning"),
        pytest.param({}, "max_tokens", Status.TRUNCATED, "hello", id="max_tokens"),
        pytest.param({}, "content_filter", Status.REFUSED, "hello", id="content filter"),
        pytest.param({"content": None}, "content_filter", Status.REFUSED, "", id="content filter without content"),
        pytest.param({"content": None, "refusal": "I can't."}, "stop", Status.REFUSED, "", id="refusal"),
        pytest.param({"refusal": None}, "stop", Status.OK, "hello", id="no refusal"),
        pytest.param({"content": None, "tool_calls": [{"id": "c"}]}, "tool_calls", Status.OK, "", id="tool calls"),
        pytest.param({}, None, Status.OK, "hello", id="no finish reason"),
        pytest.param({}, 3, Status.OK, "hello", id="odd finish reason"),
        pytest.param({}, "whatever", Status.OK, "hello", id="unknown finish reason"),
        pytest.param({"content": [{"type": "text", "text": "hel"}, {"text": "lo"}]}, "stop", Status.OK, "hello", id="parts"),
        pytest.param({"content": ["x", {"type": "image"}, None]}, "stop", Status.OK, "", id="odd parts"),
        pytest.param({"content": 7}, "stop", Status.OK, "", id="odd content"),
        pytest.param({"content": "a\ud83db"}, "stop", Status.OK, "a\ufffdb", id="lone surrogate"),
        pytest.param({"reasoning_content": "hm", "x": 2**70}, "stop", Status.OK, "hello", id="more fields"),
    ],
)
def test_a_paid_answer_is_taken_as_it_is(message: dict[str, Any], finish_reason: Any, status: Status, answer: str) -> None:
    completion = completion_of(a_reply(an_answer(message, finish_reason)))

    assert (completion.status, completion.answer) == (status, answer)


def test_a_refusal_is_told_in_the_models_words() -> None:
    completion = completion_of(a_reply(an_answer({"content": None, "refusal": "I can't."})))

    assert completion.message == "I can't."


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"choices":[{"message":{"content":"\\ud83d"}}]}', id="lone surrogate"),
        pytest.param(b'{"choices":[{"message":{"content":"x"}}],"n":123456789012345678901234567890}', id="30 digits"),
        pytest.param(b'{"choices":[{"message":{"content":"x"},"logprobs":NaN}]}', id="NaN"),
        pytest.param(b'{"choices":[{"message":{"content":"x"}}],"t":1e999}', id="beyond a double"),
        pytest.param(b'{"choices":[{"message":{"content":"caf\xe9"}}]}', id="not UTF-8"),
        pytest.param(b'{"choices":[{"message":{"content":"x\ny\tz"}}]}', id="raw line break"),
        pytest.param(b'\n \n{"choices":[{"message":{"content":"x"}}]}\n', id="blank lines around"),
        pytest.param(b'\xef\xbb\xbf{"choices":[{"message":{"content":"x"}}]}', id="BOM"),
        pytest.param(b'{"error":null,"choices":[{"message":{"content":"x"}}]}', id="null error"),
        pytest.param(b'{"error":{},"choices":[{"message":{"content":"x"}}]}', id="empty error"),
        pytest.param(b'{"choices":[{"message":{"content":"x"}}],"usage":[],"model":7}', id="odd usage and model"),
        pytest.param(b'{"choices":[{"message":{}},{"message":{"content":"x"}}]}', id="two choices"),
    ],
)
def test_no_answer_is_thrown_away_for_how_it_is_written(body: bytes) -> None:
    assert read_completion(a_reply(body)) is not None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"<html></html>", id="a page"),
        pytest.param(b"{}", id="empty object"),
        pytest.param(b'{"choices":[]}', id="no choice"),
        pytest.param(b'{"choices":{"message":{}}}', id="odd choices"),
        pytest.param(b'{"choices":["x"]}', id="odd choice"),
        pytest.param(b'{"choices":[{"message":"x"}]}', id="odd message"),
        pytest.param(b'{"choices":[{"message":{"content":"x"}', id="cut off"),
        pytest.param(b'{"error":{"message":"no"},"choices":[{"message":{"content":"x"}}]}', id="an error beside"),
    ],
)
def test_what_holds_no_answer_is_none(body: bytes) -> None:
    assert read_completion(a_reply(body)) is None


def test_the_services_own_request_id_is_kept() -> None:
    gateway = completion_of(a_reply(an_answer(), x_oneapi_request_id="2026"))
    both = completion_of(a_reply(an_answer(), x_request_id="req", x_oneapi_request_id="2026"))

    assert (gateway.request_id, both.request_id) == ("2026", "req")


def test_texts_of_an_answer_always_fit_an_output() -> None:
    reply = a_reply(an_answer({"content": "\ud83d", "refusal": "\ude00"}, "\udfff", model="\ud800"), x_request_id="\udce9")

    completion = completion_of(reply)

    orjson.dumps(
        [completion.answer, completion.finish_reason, completion.model_answered, completion.message, completion.request_id]
    )


# usage


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        pytest.param({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}, Usage(1, None, 2, None, 3), id="plain"),
        pytest.param({"prompt_tokens": 1, "completion_tokens": 2}, Usage(1, None, 2, None, 3), id="no total"),
        pytest.param(
            {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": -1}, Usage(1, None, 2, None, 3), id="odd total"
        ),
        pytest.param({"prompt_tokens": 1.0, "completion_tokens": 2.0}, Usage(1, None, 2, None, 3), id="floats"),
        pytest.param({"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7}, Usage(7, None, 0, None, 7), id="no answer"),
        pytest.param(
            {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 6}},
            Usage(5, None, 2, None, 7),
            id="more cached than prompt",
        ),
        pytest.param(
            {"prompt_tokens": 5, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 10**11}},
            Usage(5, None, 2, None, 7),
            id="more reasoning than completion",
        ),
        pytest.param(
            {
                "prompt_tokens": 5,
                "completion_tokens": 2,
                "total_tokens": 107,
                "completion_tokens_details": {"reasoning_tokens": 100},
            },
            Usage(5, None, 102, 100, 107),
            id="reasoning beside the completion",
        ),
        pytest.param({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, None, id="zeros"),
        pytest.param(
            {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": None, "completion_tokens_details": []},
            Usage(1, None, 2, None, 3),
            id="odd details",
        ),
        pytest.param(
            {"prompt_tokens": 1, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": "many"}},
            Usage(1, None, 2, None, 3),
            id="odd detail",
        ),
        pytest.param(None, None, id="null"),
        pytest.param({}, None, id="empty"),
        pytest.param([], None, id="a list"),
        pytest.param({"prompt_tokens": None, "completion_tokens": 2}, None, id="null prompt"),
        pytest.param({"prompt_tokens": 1}, None, id="no completion"),
        pytest.param({"prompt_tokens": -1, "completion_tokens": 2}, None, id="negative"),
        pytest.param({"prompt_tokens": "1", "completion_tokens": 2}, None, id="text"),
        pytest.param({"prompt_tokens": True, "completion_tokens": 2}, None, id="boolean"),
        pytest.param({"prompt_tokens": 1.5, "completion_tokens": 2}, None, id="fraction"),
        pytest.param({"prompt_tokens": 1e300, "completion_tokens": 2}, None, id="huge float"),
        pytest.param({"prompt_tokens": 10**30, "completion_tokens": 2}, None, id="huge"),
        pytest.param({"prompt_tokens": 999_999_999_999, "completion_tokens": 2}, None, id="more than anybody reads"),
        pytest.param({"prompt_tokens": float("nan"), "completion_tokens": 2}, None, id="NaN"),
        pytest.param({"prompt_tokens": float("inf"), "completion_tokens": 2}, None, id="infinite"),
    ],
)
def test_a_usage_that_can_not_be_meant_so_is_none(usage: Any, read: Usage | None) -> None:
    assert read_usage(usage) == read
