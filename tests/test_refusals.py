"""Every cell of the table of what families refuse, the words, and what `--fix` makes of it."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.chat import Defaults, build_request, request_body
from batch_runner.fake_server.protocol.chat_request import ChatRequest, read_chat_request
from batch_runner.fake_server.protocol.strictness import complaint_about
from batch_runner.loader import Line, draft
from batch_runner.records import PromptRow
from batch_runner.refusals import Mend, mended, refusals

USER = {"role": "user", "content": "hi"}
IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
COLUMNS = (
    ("o1-preview", "o1-mini"),
    ("o1", "o1-2024-12-17"),
    ("o3-mini",),
    ("o3", "o4-mini"),
    ("gpt-5", "gpt-5-mini", "gpt-5-nano"),
    ("gpt-5.1", "gpt-5.2", "gpt-5.4"),
    ("gpt-5.5", "gpt-5.6-sol", "gpt-6-luna", "gpt-6.1-sol"),
)


def asked(model: str, *messages: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": list(messages) or [USER], **fields}


TABLE: list[tuple[dict[str, Any], str]] = [  # x: refused, in the order of the columns
    ({}, "......."),
    ({"max_tokens": 100}, "xxxxxxx"),
    ({"max_completion_tokens": 100}, "......."),
    ({"temperature": 0.5}, "xxxxx.x"),
    ({"temperature": 1}, "......."),
    ({"temperature": 0.5, "reasoning_effort": "low"}, "xxxxxxx"),
    ({"top_p": 0.5}, "xxxxx.x"),
    ({"logprobs": True}, "xxxxx.x"),
    ({"logprobs": False}, "......."),
    ({"top_logprobs": 3}, "xxxxx.x"),
    ({"presence_penalty": 0.1}, "xxxxxxx"),
    ({"frequency_penalty": 0.1}, "xxxxxxx"),
    ({"presence_penalty": 0}, "......."),
    ({"logit_bias": {"7": 1}}, "xxxxxxx"),
    ({"n": 2}, "x......"),
    ({"stop": ["\n"]}, "...xxxx"),
    ({"tools": [TOOL]}, "x......"),
    ({"functions": [TOOL]}, "x......"),
    ({"parallel_tool_calls": True}, "xxxx..."),
    ({"response_format": {"type": "json_object"}}, "x......"),
    ({"response_format": SCHEMA}, "x......"),
    ({"response_format": {"type": "text"}}, "......."),
    ({"reasoning_effort": "low"}, "x......"),
    ({"reasoning_effort": "minimal"}, "xxxx.xx"),
    ({"reasoning_effort": "max"}, "xxxxxxx"),
    ({"verbosity": "low"}, "xxxx..."),
    ({"service_tier": "flex"}, "xxx...."),
    ({"service_tier": "auto"}, "......."),
    ({"temperature": None, "max_tokens": None}, "......."),
    ({"seed": 1, "user": "me", "store": False}, "......."),
    ({"messages": [{"role": "system", "content": "s"}, USER]}, "x......"),
    ({"messages": [{"role": "developer", "content": "s"}, USER]}, "x......"),
    ({"messages": [IMAGE]}, "x.x...."),
]


@pytest.mark.parametrize(
    ("model", "fields", "refused"),
    [
        pytest.param(model, fields, marks[number] == "x", id=f"{model} {json.dumps(fields)[:60]}")
        for fields, marks in TABLE
        for number, models in enumerate(COLUMNS)
        for model in models
    ],
)
def test_every_cell_of_the_table_holds(model: str, fields: dict[str, Any], *, refused: bool) -> None:
    assert bool(list(refusals(asked(model) | fields))) == refused


@pytest.mark.parametrize(
    ("model", "effort", "refused"),
    [
        ("gpt-5.1", "none", False),
        ("gpt-5.1", "xhigh", True),
        ("gpt-5.2", "xhigh", False),
        ("gpt-5.5", "none", False),
        ("gpt-6.1-sol", "none", True),
        ("gpt-6-astra", "none", True),
        ("gpt-5", "none", True),
        ("o1", "high", False),
    ],
)
def test_each_family_takes_its_own_efforts(model: str, effort: str, *, refused: bool) -> None:
    assert bool(list(refusals(asked(model, reasoning_effort=effort)))) == refused


@pytest.mark.parametrize(
    ("body", "what", "message"),
    [
        (
            asked("o1-mini", max_tokens=100),
            "max_tokens",
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        ),
        (
            asked("o1-mini", temperature=0.5),
            "temperature",
            "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is supported.",
        ),
        (
            asked("o3-mini", temperature=0.5),
            "temperature",
            "Unsupported parameter: 'temperature' is not supported with this model.",
        ),
        (
            asked("o1-mini", {"role": "system", "content": "s"}, USER),
            "role system",
            "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
        ),
        (
            asked("o1-preview", USER, {"role": "developer", "content": "s"}),
            "role developer",
            "Unsupported value: 'messages[1].role' does not support 'developer' with this model.",
        ),
        (
            asked("o1", parallel_tool_calls=False),
            "parallel_tool_calls",
            "Unsupported parameter: 'parallel_tool_calls' is not supported with this model.",
        ),
        (
            asked("o1-mini", tools=[TOOL]),
            "tools",
            (
                "tools is not supported in this model. For a list of supported models, refer to "
                "https://platform.openai.com/docs/guides/function-calling#models-supporting-function-calling."
            ),
        ),
        (
            asked("o1-mini", response_format=SCHEMA),
            "response_format",
            (
                "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model. Learn more about "
                "supported models at the Structured Outputs guide: https://platform.openai.com/docs/guides/structured-outputs"
            ),
        ),
        (
            asked("o1-mini", reasoning_effort="low"),
            "reasoning_effort",
            "Unrecognized request argument supplied: reasoning_effort",
        ),
        (
            asked("o1-mini", max_completion_tokens=65_537),
            "cap",
            "max_tokens is too large: 65537. This model supports at most 65536 completion tokens, whereas you provided 65537.",
        ),
        (
            asked("o1-pro"),
            "model",
            (
                "This is not a chat model and thus not supported in the v1/chat/completions endpoint. "
                "Did you mean to use v1/completions?"
            ),
        ),
        (
            asked("o3-pro"),
            "model",
            "This model is only supported in v1/responses and not in v1/chat/completions.",
        ),
    ],
)
def test_a_refusal_is_told_in_the_words_of_the_service(body: dict[str, Any], what: str, message: str) -> None:
    (refusal,) = refusals(body)

    assert (refusal.what, refusal.message) == (what, message)
    assert refusal.fix


def test_everything_that_is_refused_is_told_at_once() -> None:
    body = asked("o1-mini", {"role": "system", "content": "s"}, IMAGE, max_tokens=1, temperature=0, n=2, stop="x")

    assert {refusal.what for refusal in refusals(body)} == {"max_tokens", "temperature", "n", "role system", "image_url"}


values = {
    "max_tokens": st.integers(1, 10**6),
    "max_completion_tokens": st.sampled_from([1, 16_384, 32_768, 32_769, 65_536, 65_537, 100_000, 100_001, 128_000, 10**6]),
    "temperature": st.sampled_from([0, 0.5, 1, 1.0]),
    "top_p": st.sampled_from([0.5, 1]),
    "logprobs": st.booleans(),
    "presence_penalty": st.sampled_from([0, 0.5]),
    "logit_bias": st.sampled_from([{}, {"1": 2}]),
    "n": st.integers(1, 3),
    "stop": st.just("x"),
    "tools": st.just([TOOL]),
    "parallel_tool_calls": st.booleans(),
    "response_format": st.sampled_from([SCHEMA, {"type": "text"}]),
    "reasoning_effort": st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh"]),
    "verbosity": st.sampled_from(["low", "shouting"]),
    "service_tier": st.sampled_from(["flex", "auto"]),
    "seed": st.just(1),
}
roles = st.sampled_from(["system", "developer", "user", "assistant"])
spoken = st.builds(lambda role: {"role": role, "content": "hi"}, roles)
talks = st.lists(st.one_of(spoken, st.just(IMAGE)), min_size=1, max_size=4)
known = [model for models in COLUMNS for model in models if model != "o1-preview"]  # shorter answers than the fake's
models = st.sampled_from([*known, "o1-pro", "gpt-5-pro", "gpt-6-astra", "x", "gpt-4x"])
bodies = st.builds(
    lambda fields, model, messages: {"model": model, "messages": messages, **fields},
    st.fixed_dictionaries({}, optional=values),
    models,
    talks,
)


@given(body=bodies)
@settings(max_examples=400, deadline=None)
def test_what_is_foretold_is_what_a_strict_service_says(body: dict[str, Any]) -> None:
    read = read_chat_request(json.dumps(body).encode())
    assert isinstance(read, ChatRequest)
    complaint = complaint_about(read)

    told = [refusal.message for refusal in refusals(body)]

    assert (told[0] if told else None) == (complaint.message if complaint else None)


# what --fix does


def test_the_old_name_of_the_cap_is_mended_where_it_is_refused() -> None:
    assert mended(asked("o1-mini", max_tokens=7)) == (asked("o1-mini", max_completion_tokens=7), (Mend.CAP,))
    assert mended(asked("gpt-4o", max_tokens=7)) == (asked("gpt-4o", max_tokens=7), ())


def test_of_two_caps_the_new_one_stands() -> None:
    assert mended(asked("o1", max_tokens=7, max_completion_tokens=9))[0] == asked("o1", max_completion_tokens=9)
    assert mended(asked("o1", max_tokens=7, max_completion_tokens=None))[0] == asked("o1", max_completion_tokens=7)


@pytest.mark.parametrize("model", ["o1-mini", "o1-preview"])
@pytest.mark.parametrize("role", ["system", "developer"])
def test_a_rows_own_instructions_go_into_the_first_user_turn(model: str, role: str) -> None:
    body, mends = mended(asked(model, {"role": role, "content": "Be brief."}, USER))

    assert body["messages"] == [{"role": "user", "content": "Be brief.\n\nhi"}]
    assert mends == (Mend.INSTRUCTIONS,)


def test_instructions_of_a_model_that_takes_them_stay() -> None:
    body = asked("o1", {"role": "developer", "content": "Be brief."}, USER)

    assert mended(body) == (body, ())


def test_several_instructions_keep_their_order() -> None:
    opening: list[dict[str, Any]] = [
        {"role": "system", "content": "a"},
        {"role": "developer", "content": [{"type": "text", "text": "b"}]},
    ]

    body, _ = mended(asked("o1-mini", *opening, IMAGE))

    assert body["messages"][0]["content"] == [{"type": "text", "text": "a\n\nb"}, *IMAGE["content"]]


def test_instructions_later_in_the_talk_keep_their_place() -> None:
    body, _ = mended(asked("o1-mini", USER, {"role": "assistant", "content": "yes"}, {"role": "system", "content": "now"}, USER))

    assert [(each["role"], each["content"]) for each in body["messages"]] == [
        ("user", "hi"), ("assistant", "yes"), ("user", "now"), ("user", "hi"),
    ]  # fmt: skip


def test_instructions_alone_are_a_turn() -> None:
    assert mended(asked("o1-mini", {"role": "system", "content": "hi"}))[0]["messages"] == [USER]


@given(body=bodies)
@settings(max_examples=200, deadline=None)
def test_what_is_mended_needs_no_second_mending_and_loses_no_word(body: dict[str, Any]) -> None:
    before = json.dumps(body)
    better, mends = mended(body)

    assert json.dumps(body) == before
    assert mended(better) == (better, ())
    assert bool(mends) == (better != body)
    assert json.dumps(better["messages"]).count("hi") == json.dumps(body["messages"]).count("hi")


@given(body=bodies)
@settings(max_examples=100, deadline=None)
def test_a_mended_request_is_named_by_what_was_asked(body: dict[str, Any]) -> None:
    row = PromptRow("a", "in.jsonl:1", b"", body, as_written=True)
    plain, fixing = Defaults("o1-mini", None, {}), Defaults("o1-mini", None, {}, fix=True)

    assert build_request(row, fixing).fingerprint == build_request(row, plain).fingerprint


def test_a_batch_line_is_mended_too() -> None:
    line = b'{"custom_id":"x","body":{"model":"o1-mini","messages":[{"role":"user","content":"hi"}],"max_tokens":5}}'
    row = draft(Line(line, "in.jsonl:1")).row
    assert isinstance(row, PromptRow)
    plain, fixing = Defaults("o1-mini", None, {}), Defaults("o1-mini", None, {}, fix=True)

    assert request_body(row.asks, plain, as_written=True)["max_tokens"] == 5
    assert "max_tokens" in json.loads(build_request(row, plain).body)
    assert json.loads(build_request(row, fixing).body)["max_completion_tokens"] == 5
