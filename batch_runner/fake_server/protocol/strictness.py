"""What the service refuses before it computes anything: the rules of the model's family, in the service's own words.

The fields of a request are judged in the order they were sent, each by the rules that know its name; then its messages.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from batch_runner.fake_server.protocol.chat_request import ChatRequest
from batch_runner.fake_server.protocol.complaints import Complaint
from batch_runner.fake_server.protocol.families import OTHER, Family, answers_chat, family_of
from batch_runner.fake_server.protocol.fields import FIELDS

MODEL_DEFAULTS: Mapping[str, object] = MappingProxyType(
    {"temperature": 1, "top_p": 1, "n": 1, "presence_penalty": 0, "frequency_penalty": 0}
)
"""The only values a family takes that has fixed these parameters."""

HARMLESS: Mapping[str, tuple[object, ...]] = MappingProxyType(
    {
        "temperature": (1,),
        "presence_penalty": (0,),
        "frequency_penalty": (0,),
        "logprobs": (False,),
        "logit_bias": ({},),
    }
)
"""Values of a refused parameter that the service lets pass, because they change nothing."""

FUNCTION_FIELDS = ("tools", "functions", "tool_choice", "function_call")
MOST_CHOICES = 128
VERBOSITIES = ("low", "medium", "high")
TOO_LARGE = Complaint(413, "Request body too large. Please shorten it and try again.", code="request_too_large")


def complaint_about(request: ChatRequest, *, drops_unknown: bool = False) -> Complaint | None:
    """The first thing a model's family refuses about a request."""
    family = family_of(request.model)
    if family is OTHER:
        return None
    if not answers_chat(request.model):
        return not_on_this_route(request.model)
    unknown = None if drops_unknown else _unknown_field(request)
    return unknown or _about_fields(request, family) or _about_messages(request, family)


def _unknown_field(request: ChatRequest) -> Complaint | None:
    for name in request.fields:
        if name not in FIELDS:
            return _unrecognized(name)
    return None


def _unrecognized(name: str) -> Complaint:
    return Complaint(400, f"Unrecognized request argument supplied: {name}")


def unknown_model(model: str) -> Complaint:
    """The service has no such model, or not for this key."""
    message = f"The model `{model}` does not exist or you do not have access to it."
    return Complaint(404, message, code="model_not_found")


def not_on_this_route(model: str) -> Complaint:
    """The model speaks the Responses API only."""
    if model.startswith("o1-pro"):
        message = (
            "This is not a chat model and thus not supported in the v1/chat/completions endpoint. "
            "Did you mean to use v1/completions?"
        )
    else:
        message = "This model is only supported in v1/responses and not in v1/chat/completions."
    return Complaint(404, message, param="model")


def streaming_refused() -> Complaint:
    """What a service says that can't stream this model."""
    return _unsupported(
        "Unsupported value: 'stream' does not support true with this model. Only the default (false) value is supported.",
        "stream",
    )


def _about_fields(request: ChatRequest, family: Family) -> Complaint | None:
    for name, value in request.fields.items():
        # Null is as good as absent; `model` and `messages` have no rule of their own, which most requests consist of.
        if value is None or name not in family.judged:
            continue
        if complaint := _about_field(name, value, request, family):
            return complaint
    return None


def _about_field(name: str, value: object, request: ChatRequest, family: Family) -> Complaint | None:
    if name in family.unrecognized:
        return _unrecognized(name)
    if name in family.refused or (name in family.sampling and not _reasons_not(request, family)):
        return _refused_parameter(name, value)
    if name in family.fixed:
        return _fixed_value(name, value)
    judge = JUDGES.get(name)
    return judge(value, request, family) if judge else None


def _reasons_not(request: ChatRequest, family: Family) -> bool:
    return (request.fields.get("reasoning_effort") or family.default_effort) == "none"


def _refused_parameter(name: str, value: object) -> Complaint | None:
    if value in HARMLESS.get(name, ()):
        return None
    hint = " Use 'max_completion_tokens' instead." if name == "max_tokens" else ""
    message = f"Unsupported parameter: '{name}' is not supported with this model.{hint}"
    return Complaint(400, message, param=name, code="unsupported_parameter")


def _fixed_value(name: str, value: object) -> Complaint | None:
    default = MODEL_DEFAULTS[name]
    if value == default:
        return None
    return _unsupported(
        f"Unsupported value: '{name}' does not support {_shown(value)} with this model. "
        f"Only the default ({default}) value is supported.",
        name,
    )


def _tools(_value: object, _request: ChatRequest, family: Family) -> Complaint | None:
    if family.tools:
        return None
    return Complaint(
        400,
        "tools is not supported in this model. For a list of supported models, refer to "
        "https://platform.openai.com/docs/guides/function-calling#models-supporting-function-calling.",
    )


def _response_format(value: object, _request: ChatRequest, family: Family) -> Complaint | None:
    kind = value.get("type") if isinstance(value, Mapping) else None
    if family.formats or kind in {None, "text"}:
        return None
    return Complaint(
        400,
        f"Invalid parameter: 'response_format' of type '{kind}' is not supported with this model. Learn more about "
        "supported models at the Structured Outputs guide: https://platform.openai.com/docs/guides/structured-outputs",
    )


def _effort(value: object, _request: ChatRequest, family: Family) -> Complaint | None:
    return _outside("reasoning_effort", value, family.efforts)


def _verbosity(value: object, _request: ChatRequest, family: Family) -> Complaint | None:
    return _outside("verbosity", value, VERBOSITIES) if family.efforts else None


def _outside(name: str, value: object, allowed: tuple[str, ...]) -> Complaint | None:
    if not allowed or value in allowed:
        return None
    return _unsupported(
        f"Unsupported value: '{name}' does not support {_shown(value)} with this model. "
        f"Supported values are: {_listed(allowed)}.",
        name,
    )


def _service_tier(value: object, request: ChatRequest, family: Family) -> Complaint | None:
    if value != "flex" or (family.flex and "-chat" not in request.model):
        return None
    return _unsupported("Unsupported value: 'service_tier' does not support 'flex' with this model.", "service_tier")


def _count(value: object, _request: ChatRequest, _family: Family) -> Complaint | None:
    count = value if isinstance(value, int) else 1
    if 1 <= count <= MOST_CHOICES:
        return None
    side, code, bound = (
        ("below minimum", "below_min", ">= 1") if count < 1 else ("above maximum", "above_max", f"<= {MOST_CHOICES}")
    )
    message = f"Invalid 'n': integer {side} value. Expected a value {bound}, but got {count} instead."
    return Complaint(400, message, param="n", code=f"integer_{code}_value")


def _cap(value: object, _request: ChatRequest, family: Family) -> Complaint | None:
    cap = value if isinstance(value, int) else 1
    if cap < 1:
        return Complaint(
            400,
            f"Invalid 'max_completion_tokens': integer below minimum value. Expected a value >= 1, but got {cap} instead.",
            param="max_completion_tokens",
            code="integer_below_min_value",
        )
    if cap <= family.most_output:
        return None
    return Complaint(
        400,
        f"max_tokens is too large: {cap}. This model supports at most {family.most_output} completion tokens, "
        f"whereas you provided {cap}.",
        param="max_tokens",
    )


Judge = Callable[[object, ChatRequest, Family], Complaint | None]

JUDGES: Mapping[str, Judge] = MappingProxyType(
    {
        **dict.fromkeys(FUNCTION_FIELDS, _tools),
        "response_format": _response_format,
        "reasoning_effort": _effort,
        "verbosity": _verbosity,
        "service_tier": _service_tier,
        "n": _count,
        "max_completion_tokens": _cap,
        "max_tokens": _cap,
    }
)


def _about_messages(request: ChatRequest, family: Family) -> Complaint | None:
    if request.prompt_tokens > family.context:
        return _too_long(request.prompt_tokens, family)
    if family.roles_refused and (complaint := _refused_role(request, family)):
        return complaint
    return _refused_image(request) if request.has_parts and not family.images else None


def _too_long(tokens: int, family: Family) -> Complaint:
    return Complaint(
        400,
        f"This model's maximum context length is {family.context} tokens. However, your messages resulted in {tokens} "
        "tokens. Please reduce the length of the messages.",
        param="messages",
        code="context_length_exceeded",
    )


def _refused_role(request: ChatRequest, family: Family) -> Complaint | None:
    for place, message in enumerate(request.messages):
        if message["role"] in family.roles_refused:
            param = f"messages[{place}].role"
            words = f"Unsupported value: '{param}' does not support '{message['role']}' with this model."
            return _unsupported(words, param)
    return None


def _refused_image(request: ChatRequest) -> Complaint | None:
    for place, message in enumerate(request.messages):
        content = message.get("content")
        for part_place, part in enumerate(content if isinstance(content, list) else ()):
            if isinstance(part, Mapping) and part.get("type") == "image_url":
                return Complaint(
                    400,
                    "Invalid content type. image_url is only supported by certain models.",
                    param=f"messages.[{place}].content.[{part_place}].type",
                )
    return None


def _unsupported(message: str, param: str) -> Complaint:
    return Complaint(400, message, param=param, code="unsupported_value")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, str) else str(value)


def _listed(words: Iterable[str]) -> str:
    *others, last = (f"'{word}'" for word in words)
    return f"{', '.join(others)}, and {last}"
