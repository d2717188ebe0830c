"""The rules of each model family: every cell marked as refused, every cell that isn't, and the exact words."""

from typing import Any

import orjson
import pytest

from batch_runner.fake_server.protocol.chat_request import ChatRequest, read_chat_request
from batch_runner.fake_server.protocol.complaints import Complaint
from batch_runner.fake_server.protocol.families import family_of
from batch_runner.fake_server.protocol.strictness import complaint_about, streaming_refused, unknown_model

USER = {"role": "user", "content": "hello"}
IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}

O1_MINI = ("o1-mini", "o1-preview", "o1-mini-2024-09-12")
O1 = ("o1", "o1-2024-12-17")
O3_MINI = ("o3-mini",)
O3 = ("o3", "o4-mini")
GPT_5 = ("gpt-5", "gpt-5-mini", "gpt-5-nano")
GPT_5_1 = ("gpt-5.1", "gpt-5.2", "gpt-5.4")
GPT_5_5 = ("gpt-5.5", "gpt-5.6-sol", "gpt-6-luna", "gpt-6-astra", "gpt-6.1-sol")
O_SERIES = O1_MINI + O1 + O3_MINI + O3
NEWER_O = O1 + O3_MINI + O3
ALL_FAMILIES = O_SERIES + GPT_5 + GPT_5_1 + GPT_5_5


def judged(model: str, messages: Any = None, **fields: Any) -> Complaint | None:
    asked = read_chat_request(orjson.dumps({"model": model, "messages": messages or [USER], **fields}))
    assert isinstance(asked, ChatRequest)
    return complaint_about(asked)


def unsupported(name: str) -> str:
    return f"Unsupported parameter: '{name}' is not supported with this model."


REFUSED_PARAMETERS: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    (NEWER_O + GPT_5 + GPT_5_5, {"temperature": 0.5}),
    (NEWER_O + GPT_5 + GPT_5_5, {"top_p": 0.9}),
    (O_SERIES + GPT_5 + GPT_5_5, {"logprobs": True}),
    (O_SERIES + GPT_5 + GPT_5_5, {"top_logprobs": 2}),
    (NEWER_O + GPT_5 + GPT_5_1 + GPT_5_5, {"presence_penalty": 0.5}),
    (NEWER_O + GPT_5 + GPT_5_1 + GPT_5_5, {"frequency_penalty": 0.5}),
    (ALL_FAMILIES, {"logit_bias": {"50256": -100}}),
    (O3 + GPT_5 + GPT_5_1 + GPT_5_5, {"stop": ["\n"]}),
    (O_SERIES, {"parallel_tool_calls": True}),
    (O_SERIES, {"parallel_tool_calls": False}),
    (NEWER_O, {"verbosity": "low"}),
]


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        pytest.param(model, fields, id=f"{model}-{next(iter(fields))}")
        for models, fields in REFUSED_PARAMETERS
        for model in models
    ],
)
def test_a_parameter_the_family_does_not_have_is_refused_by_name(model: str, fields: dict[str, Any]) -> None:
    (name,) = fields

    assert judged(model, **fields) == Complaint(400, unsupported(name), "invalid_request_error", name, "unsupported_parameter")


@pytest.mark.parametrize("model", ALL_FAMILIES)
def test_max_tokens_is_refused_with_a_hint(model: str) -> None:
    assert judged(model, max_tokens=100) == Complaint(
        400,
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "invalid_request_error",
        "max_tokens",
        "unsupported_parameter",
    )


@pytest.mark.parametrize("model", O1_MINI)
@pytest.mark.parametrize(
    ("name", "value", "default"),
    [("temperature", 0.5, 1), ("top_p", 0.9, 1), ("n", 2, 1), ("presence_penalty", 0.5, 0), ("frequency_penalty", 1, 0)],
)
def test_the_first_reasoning_models_have_fixed_values(model: str, name: str, value: float, default: int) -> None:
    assert judged(model, **{name: value}) == Complaint(
        400,
        f"Unsupported value: '{name}' does not support {value} with this model. Only the default ({default}) value is supported.",
        "invalid_request_error",
        name,
        "unsupported_value",
    )
    assert judged(model, **{name: default}) is None


@pytest.mark.parametrize("model", O1_MINI)
@pytest.mark.parametrize("role", ["system", "developer"])
def test_the_first_reasoning_models_know_no_instructions(model: str, role: str) -> None:
    assert judged(model, [{"role": role, "content": "be brief"}, USER]) == Complaint(
        400,
        f"Unsupported value: 'messages[0].role' does not support '{role}' with this model.",
        "invalid_request_error",
        "messages[0].role",
        "unsupported_value",
    )


@pytest.mark.parametrize("model", O1_MINI)
@pytest.mark.parametrize("fields", [{"tools": [TOOL]}, {"functions": [TOOL["function"]]}])
def test_the_first_reasoning_models_know_no_tools(model: str, fields: dict[str, Any]) -> None:
    complaint = judged(model, **fields)

    assert complaint is not None
    assert complaint.status == 400
    assert complaint.message.startswith("tools is not supported in this model. For a list of supported models, refer to ")


@pytest.mark.parametrize("model", O1_MINI)
@pytest.mark.parametrize("response_format", [{"type": "json_object"}, JSON_SCHEMA])
def test_the_first_reasoning_models_know_no_formats(model: str, response_format: dict[str, Any]) -> None:
    complaint = judged(model, response_format=response_format)

    assert complaint is not None
    assert complaint.message.startswith(
        f"Invalid parameter: 'response_format' of type '{response_format['type']}' is not supported with this model. "
    )


@pytest.mark.parametrize("model", O1_MINI)
@pytest.mark.parametrize(("name", "value"), [("reasoning_effort", "low"), ("verbosity", "low")])
def test_the_first_reasoning_models_do_not_recognize_later_arguments(model: str, name: str, value: str) -> None:
    assert judged(model, **{name: value}) == Complaint(400, f"Unrecognized request argument supplied: {name}")


@pytest.mark.parametrize("model", O1_MINI + O3_MINI)
def test_images_are_refused_by_models_that_see_nothing(model: str) -> None:
    complaint = judged(model, [IMAGE])

    assert complaint is not None
    assert complaint.message == "Invalid content type. image_url is only supported by certain models."


@pytest.mark.parametrize("model", O1_MINI + O1 + O3_MINI + ("gpt-5-chat-latest",))
def test_flex_is_refused_where_it_is_not_offered(model: str) -> None:
    complaint = judged(model, service_tier="flex")

    assert complaint is not None
    assert complaint.param == "service_tier"


EFFORTS = {
    NEWER_O: ("low", "medium", "high"),
    GPT_5: ("minimal", "low", "medium", "high"),
    ("gpt-5.1",): ("none", "low", "medium", "high"),
    ("gpt-5.2", "gpt-5.4", "gpt-5.5", "gpt-6-luna", "gpt-6-sol"): ("none", "low", "medium", "high", "xhigh"),
    ("gpt-6-astra", "gpt-6.1-sol"): ("low", "medium", "high", "xhigh"),
}
EVERY_EFFORT = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


@pytest.mark.parametrize(("model", "efforts"), [(model, efforts) for models, efforts in EFFORTS.items() for model in models])
def test_each_family_has_its_own_efforts(model: str, efforts: tuple[str, ...]) -> None:
    accepted = tuple(effort for effort in EVERY_EFFORT if judged(model, reasoning_effort=effort) is None)

    assert accepted == efforts


def test_a_refused_effort_names_the_ones_there_are() -> None:
    assert judged("o3-mini", reasoning_effort="minimal") == Complaint(
        400,
        "Unsupported value: 'reasoning_effort' does not support 'minimal' with this model. "
        "Supported values are: 'low', 'medium', and 'high'.",
        "invalid_request_error",
        "reasoning_effort",
        "unsupported_value",
    )


@pytest.mark.parametrize("name_value", [("temperature", 0.5), ("top_p", 0.9), ("logprobs", True), ("top_logprobs", 2)])
@pytest.mark.parametrize(
    ("model", "effort", "complaints"),
    [
        ("gpt-5.1", None, 0),
        ("gpt-5.2", "none", 0),
        ("gpt-5.4", "low", 1),
        ("gpt-5.5", None, 1),
        ("gpt-5.5", "none", 0),
        ("gpt-6-sol", "high", 1),
    ],
)
def test_sampling_is_for_answers_without_reasoning(
    model: str, effort: str | None, complaints: int, name_value: tuple[str, Any]
) -> None:
    fields = dict([name_value], reasoning_effort=effort)

    complaint = judged(model, **fields)

    assert (complaint is not None) == complaints


ACCEPTED: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    (ALL_FAMILIES, {"max_completion_tokens": 1688}),
    (ALL_FAMILIES, {"temperature": 1}),
    (ALL_FAMILIES, {"presence_penalty": 0, "frequency_penalty": 0}),
    (ALL_FAMILIES, {"stream": True}),
    (ALL_FAMILIES, {"store": True, "metadata": {"a": "b"}, "user": "u", "seed": 7}),
    (ALL_FAMILIES, {"temperature": None, "tools": None, "max_tokens": None}),
    (ALL_FAMILIES, {"service_tier": "auto"}),
    (NEWER_O + GPT_5 + GPT_5_1 + GPT_5_5, {"n": 2}),
    (O1_MINI + O1 + O3_MINI, {"stop": ["\n"]}),
    (NEWER_O + GPT_5 + GPT_5_1 + GPT_5_5, {"tools": [TOOL]}),
    (GPT_5 + GPT_5_1 + GPT_5_5, {"tools": [TOOL], "parallel_tool_calls": False}),
    (NEWER_O + GPT_5 + GPT_5_1 + GPT_5_5, {"response_format": {"type": "json_object"}}),
    (NEWER_O + GPT_5 + GPT_5_1 + GPT_5_5, {"response_format": JSON_SCHEMA}),
    (O1_MINI, {"response_format": {"type": "text"}}),
    (GPT_5 + GPT_5_1 + GPT_5_5, {"verbosity": "medium"}),
    (O3 + GPT_5 + GPT_5_1 + GPT_5_5, {"service_tier": "flex"}),
]


@pytest.mark.parametrize(
    ("model", "fields"),
    [pytest.param(model, fields, id=f"{model}-{'-'.join(fields)}") for models, fields in ACCEPTED for model in models],
)
def test_what_is_not_known_to_be_refused_is_accepted(model: str, fields: dict[str, Any]) -> None:
    assert judged(model, **fields) is None


@pytest.mark.parametrize("model", NEWER_O + GPT_5)
def test_later_models_take_instructions(model: str) -> None:
    assert judged(model, [{"role": "system", "content": "be brief"}, USER]) is None
    assert judged(model, [{"role": "developer", "content": "be brief"}, USER]) is None


@pytest.mark.parametrize("model", O1 + O3 + GPT_5)
def test_models_that_see_take_images(model: str) -> None:
    assert judged(model, [IMAGE]) is None


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet", "deepseek-reasoner", "gpt-4-turbo", "gemini-2.5-pro"])
def test_a_model_of_no_known_family_is_asked_as_given(model: str) -> None:
    assert family_of(model).name == "other"
    assert judged(model, [{"role": "system", "content": "x"}, IMAGE], max_tokens=5, temperature=0.2, top_p=0.1) is None


def test_o1_pro_is_no_chat_model() -> None:
    assert judged("o1-pro") == Complaint(
        404,
        "This is not a chat model and thus not supported in the v1/chat/completions endpoint. "
        "Did you mean to use v1/completions?",
        param="model",
    )


@pytest.mark.parametrize("model", ["o3-pro", "gpt-5-pro", "gpt-5-codex", "o3-deep-research", "gpt-5.1-codex-max"])
def test_responses_models_are_sent_elsewhere(model: str) -> None:
    assert judged(model) == Complaint(
        404, "This model is only supported in v1/responses and not in v1/chat/completions.", param="model"
    )


@pytest.mark.parametrize(("model", "most"), [("o1-mini", 65_536), ("o1-preview", 32_768), ("o1", 100_000)])
def test_a_cap_above_what_the_model_writes_is_refused(model: str, most: int) -> None:
    assert judged(model, max_completion_tokens=most + 1) == Complaint(
        400,
        f"max_tokens is too large: {most + 1}. "
        f"This model supports at most {most} completion tokens, whereas you provided {most + 1}.",
        "invalid_request_error",
        "max_tokens",
        None,
    )
    assert judged(model, max_completion_tokens=most) is None


@pytest.mark.parametrize("cap", [0, -1])
def test_a_cap_of_nothing_is_refused(cap: int) -> None:
    complaint = judged("o1-mini", max_completion_tokens=cap)

    assert complaint is not None
    assert complaint.code == "integer_below_min_value"


@pytest.mark.parametrize(("count", "code"), [(0, "integer_below_min_value"), (129, "integer_above_max_value")])
def test_so_many_answers_to_one_request_are_refused(count: int, code: str) -> None:
    complaint = judged("o3-mini", n=count)

    assert complaint is not None
    assert (complaint.param, complaint.code) == ("n", code)


def test_an_argument_nobody_knows_is_refused_by_name() -> None:
    assert judged("o1-mini", label="spam", user="u") == Complaint(400, "Unrecognized request argument supplied: label")


def test_a_gateway_drops_an_argument_it_does_not_know() -> None:
    asked = read_chat_request(orjson.dumps({"model": "o1-mini", "messages": [USER], "label": "spam"}))
    assert isinstance(asked, ChatRequest)

    assert complaint_about(asked, drops_unknown=True) is None


def test_a_prompt_longer_than_the_context_is_refused() -> None:
    complaint = judged("o1-mini", [{"role": "user", "content": "x" * 500_000}])

    assert complaint is not None
    assert complaint.code == "context_length_exceeded"
    assert complaint.message.startswith(
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 138895 tokens. "
    )


def test_an_unknown_model_is_not_found() -> None:
    assert unknown_model("x") == Complaint(
        404, "The model `x` does not exist or you do not have access to it.", code="model_not_found"
    )


def test_a_service_without_streaming_says_so() -> None:
    assert streaming_refused() == Complaint(
        400,
        "Unsupported value: 'stream' does not support true with this model. Only the default (false) value is supported.",
        param="stream",
        code="unsupported_value",
    )


def test_the_first_offender_as_sent_is_the_one_complained_of() -> None:
    first = judged("o1-mini", temperature=0, max_tokens=5)
    second = judged("o1-mini", max_tokens=5, temperature=0)

    assert first is not None
    assert second is not None
    assert (first.param, second.param) == ("temperature", "max_tokens")


@pytest.mark.parametrize(
    ("body", "message", "param", "code"),
    [
        (b"{", "We could not parse the JSON body of your request.", None, None),
        (b"[]", "We could not parse the JSON body of your request.", None, None),
        (b'{"messages":[]}', "you must provide a model parameter", None, None),
        (b'{"model":"o1"}', "Missing required parameter: 'messages'.", "messages", "missing_required_parameter"),
        (b'{"model":"o1","messages":[]}', "Invalid 'messages': empty array.", "messages", "empty_array"),
        (
            b'{"model":"o1","messages":"hi"}',
            "Invalid type for 'messages': expected an array of objects, but got a string instead.",
            "messages",
            "invalid_type",
        ),
        (
            b'{"model":"o1","messages":["hi"]}',
            "Invalid type for 'messages[0]': expected an object, but got a string instead.",
            "messages[0]",
            "invalid_type",
        ),
        (
            b'{"model":"o1","messages":[{"content":"hi"}]}',
            "Missing required parameter: 'messages[0].role'.",
            "messages[0].role",
            "missing_required_parameter",
        ),
        (
            b'{"model":"o1","messages":[{"role":"user","content":"hi"}],"max_completion_tokens":"many"}',
            "Invalid type for 'max_completion_tokens': expected an integer, but got a string instead.",
            "max_completion_tokens",
            "invalid_type",
        ),
        (
            b'{"model":"o1","messages":[{"role":"user","content":"hi"}],"n":true}',
            "Invalid type for 'n': expected an integer, but got a boolean instead.",
            "n",
            "invalid_type",
        ),
    ],
)
def test_a_body_that_is_no_request_is_told_what_is_wrong(body: bytes, message: str, param: str | None, code: str | None) -> None:
    complaint = read_chat_request(body)

    assert isinstance(complaint, Complaint)
    assert complaint.message.startswith(message)
    assert (complaint.status, complaint.param, complaint.code) == (400, param, code)


def mended(model: str, messages: Any = None, **fields: Any) -> Any:
    body = orjson.dumps({"model": model, "messages": messages or [USER], **fields})
    asked = read_chat_request(body, mends=True)
    assert isinstance(asked, ChatRequest)
    assert complaint_about(asked, drops_unknown=True) is None
    return asked


@pytest.mark.parametrize("model", ["o1-mini", "o3", "gpt-5"])
def test_a_mending_gateway_renames_the_cap_and_drops_the_temperature(model: str) -> None:
    asked = mended(model, max_tokens=100, temperature=0.2)

    assert asked.cap == 100
    assert asked.fields.keys() == {"model", "messages", "max_completion_tokens"}


def test_a_mending_gateway_keeps_a_cap_that_has_the_right_name() -> None:
    assert mended("o1", max_tokens=100, max_completion_tokens=200).cap == 200


def test_a_mending_gateway_drops_more_for_the_newest() -> None:
    assert mended("gpt-5-mini", top_p=0.5, logprobs=True).fields.keys() == {"model", "messages"}


def test_a_mending_gateway_renames_the_instructions_but_not_the_row() -> None:
    system = [{"role": "system", "content": "be brief"}, USER]

    asked = mended("o1", system)

    assert asked.messages[0]["role"] == "developer"
    plain = read_chat_request(orjson.dumps({"model": "o1", "messages": system}))
    assert isinstance(plain, ChatRequest)
    assert asked.row == plain.row


def test_a_mending_gateway_takes_the_effort_off_the_models_name() -> None:
    asked = mended("o3-mini-high")

    assert (asked.model, asked.fields["reasoning_effort"]) == ("o3-mini", "high")


def test_even_a_mending_gateway_passes_instructions_to_o1_mini_as_they_are() -> None:
    body = orjson.dumps({"model": "o1-mini", "messages": [{"role": "system", "content": "be brief"}, USER]})
    asked = read_chat_request(body, mends=True)
    assert isinstance(asked, ChatRequest)

    assert complaint_about(asked) is not None


def test_a_mending_gateway_leaves_other_models_alone() -> None:
    assert mended("gpt-4o", max_tokens=100, temperature=0.2).fields["max_tokens"] == 100
