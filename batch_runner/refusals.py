"""What a model's family refuses about a request, in the service's own words, and what can be mended without asking. Pure.

Sources of the words: a fixture in vercel/ai, reports to public repositories (openai/openai-python, leafo/lua-openai,
CherryHQ/cherry-studio, davidmigloz/langchain_dart, codelion/optillm, HeyPuter/puter), and OpenAI's community threads 1025430 and
1110750.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from batch_runner.models import FUNCTIONS, OTHER, Family, family_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

CAPS = ("max_completion_tokens", "max_tokens")
DEFAULTS: Mapping[str, Any] = {"temperature": 1, "top_p": 1, "n": 1, "presence_penalty": 0, "frequency_penalty": 0}
HARMLESS: Mapping[str, tuple[Any, ...]] = {
    "temperature": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logprobs": (False,),
    "logit_bias": ({},),
}
"""Values of a refused parameter that change nothing, and so pass."""
VERBOSITIES = ("low", "medium", "high")
TAKEN = frozenset({"model", "messages", "stream"})
"""Parts of a body that no family refuses as such."""


class Mend(StrEnum):
    """What `--fix` may do to a request: nothing that changes what is asked."""

    CAP = "max_tokens is sent as max_completion_tokens"
    INSTRUCTIONS = "system and developer messages are sent inside the user turns"


class Refusal(NamedTuple):
    """One thing that the model's family refuses."""

    what: str
    """The parameter or part of the request, as the service names it."""
    message: str
    """What the service says."""
    fix: str
    """What the user can do."""
    mend: Mend | None = None
    """What `--fix` does about it."""


def refusals(body: Mapping[str, Any]) -> Iterator[Refusal]:
    """Everything that the family of the body's model refuses about it; nothing for a model that nobody knows."""
    family = family_of(body["model"])
    if family is OTHER:
        return
    if not family.on_chat:
        yield _not_on_chat(body["model"])
        return
    for name, value in body.items():
        if name not in TAKEN and value is not None and (found := _about(name, value, body, family)):
            yield found
    yield from _about_messages(body["messages"], family)


def mended(body: dict[str, Any]) -> tuple[dict[str, Any], tuple[Mend, ...]]:
    """`body` with what can be mended safely, and what was. The same body when there is nothing to mend."""
    mends = tuple(dict.fromkeys(refusal.mend for refusal in refusals(body) if refusal.mend is not None))
    if Mend.CAP in mends:
        body = _with_one_cap(body)
    if Mend.INSTRUCTIONS in mends:
        body = {**body, "messages": inside_user_turns(body["messages"], family_of(body["model"]).roles)}
    return body, mends


def folded(messages: list[dict[str, Any]], instructions: str) -> list[dict[str, Any]]:
    """`instructions` at the head of the first user turn, for models that take none of their own."""
    place = next((number for number, message in enumerate(messages) if message["role"] == "user"), None)
    if place is None:
        return [{"role": "user", "content": instructions}, *messages]
    content = messages[place]["content"]
    turn = f"{instructions}\n\n{content}" if isinstance(content, str) else [{"type": "text", "text": instructions}, *content]
    return [*messages[:place], {**messages[place], "content": turn}, *messages[place + 1 :]]


def inside_user_turns(messages: list[dict[str, Any]], roles: frozenset[str]) -> list[dict[str, Any]]:
    """Messages of `roles` moved into the first user turn, those before it; later ones, which say something about their place
    in the talk, become user turns themselves.
    """
    first_turn = next((number for number, message in enumerate(messages) if message["role"] == "user"), len(messages))
    opening = [message for message in messages[:first_turn] if message["role"] in roles]
    rest = [message for number, message in enumerate(messages) if number >= first_turn or message["role"] not in roles]
    spoken = [{**message, "role": "user"} if message["role"] in roles else message for message in rest]
    instructions = "\n\n".join(filter(None, (_text(message.get("content")) for message in opening)))
    return folded(spoken, instructions) if instructions or not spoken else spoken


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def _with_one_cap(body: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in body.items() if key != "max_tokens"}
    return rest if rest.get("max_completion_tokens") is not None else {**rest, "max_completion_tokens": body["max_tokens"]}


def _about(name: str, value: Any, body: Mapping[str, Any], family: Family) -> Refusal | None:
    if name in family.unrecognized:
        return Refusal(name, f"Unrecognized request argument supplied: {name}", f"leave {name} out, or ask a later model")
    if name in family.refused or (name in family.unless_thinking and not _thinks_not(body, family)):
        return _unsupported_parameter(name, value, family)
    if name in family.fixed and value != DEFAULTS[name]:
        words = (
            f"'{name}' does not support {_shown(value)} with this model. Only the default ({DEFAULTS[name]}) value is supported."
        )
        return Refusal(name, f"Unsupported value: {words}", f"leave {name} out: {family.name} takes only {DEFAULTS[name]}")
    return BY_VALUE[name](name, value, family) if name in BY_VALUE else None


def _unsupported_parameter(name: str, value: Any, family: Family) -> Refusal | None:
    if value in HARMLESS.get(name, ()):
        return None
    said = f"Unsupported parameter: '{name}' is not supported with this model."
    if name == "max_tokens":
        return Refusal(
            name, f"{said} Use 'max_completion_tokens' instead.", "write max_completion_tokens, or add --fix", Mend.CAP
        )
    thinks = " (or ask with reasoning_effort none)" if name in family.unless_thinking else ""
    return Refusal(name, said, f"leave {name} out{thinks}")


def _thinks_not(body: Mapping[str, Any], family: Family) -> bool:
    return (body.get("reasoning_effort") or family.default_effort) == "none"


def _about_cap(_name: str, value: Any, family: Family) -> Refusal | None:
    most = family.most_completion
    if not isinstance(value, int) or value <= most:
        return None
    said = (
        f"max_tokens is too large: {value}. This model supports at most {most} completion tokens, whereas you provided {value}."
    )
    return Refusal("cap", said, f"lower the cap to {most:,}, the most that {family.name} can answer with")


def _about_functions(name: str, _value: Any, family: Family) -> Refusal | None:
    if family.functions:
        return None
    said = (
        "tools is not supported in this model. For a list of supported models, refer to "
        "https://platform.openai.com/docs/guides/function-calling#models-supporting-function-calling."
    )
    return Refusal(name, said, f"leave {name} out, or ask another model: {family.name} calls no functions")


def _about_format(name: str, value: Any, family: Family) -> Refusal | None:
    kind = value.get("type") if isinstance(value, dict) else None
    if family.formats or kind in (None, "text"):
        return None
    said = (
        f"Invalid parameter: 'response_format' of type '{kind}' is not supported with this model. Learn more about supported "
        "models at the Structured Outputs guide: https://platform.openai.com/docs/guides/structured-outputs"
    )
    return Refusal(name, said, f"leave {name} out and ask for the format in words: {family.name} takes none")


def _about_effort(name: str, value: Any, family: Family) -> Refusal | None:
    return _outside(name, value, family.efforts)


def _about_verbosity(name: str, value: Any, family: Family) -> Refusal | None:
    return _outside(name, value, VERBOSITIES if family.efforts else ())


def _about_tier(name: str, value: Any, family: Family) -> Refusal | None:
    if value != "flex" or family.flex:
        return None
    said = "Unsupported value: 'service_tier' does not support 'flex' with this model."
    return Refusal(name, said, f"leave {name} out: {family.name} has no flex tier")


def _outside(name: str, value: Any, allowed: tuple[str, ...]) -> Refusal | None:
    if not allowed or value in allowed:
        return None
    *most, last = (f"'{word}'" for word in allowed)
    words = f"'{name}' does not support {_shown(value)} with this model. Supported values are: {', '.join(most)}, and {last}."
    return Refusal(name, f"Unsupported value: {words}", f"use {', '.join(allowed[:-1])} or {allowed[-1]}")


BY_VALUE: Mapping[str, Callable[[str, Any, Family], Refusal | None]] = {
    **dict.fromkeys(CAPS, _about_cap),
    **dict.fromkeys(FUNCTIONS, _about_functions),
    "response_format": _about_format,
    "reasoning_effort": _about_effort,
    "verbosity": _about_verbosity,
    "service_tier": _about_tier,
}
"""Parameters of which every family takes some values only."""


def _about_messages(messages: list[dict[str, Any]], family: Family) -> Iterator[Refusal]:
    if family.roles:
        yield from _refused_role(messages, family)
    if not family.images and any(has_image(message) for message in messages):
        said = "Invalid content type. image_url is only supported by certain models."
        yield Refusal("image_url", said, f"ask another model: {family.name} sees no images")


def _refused_role(messages: list[dict[str, Any]], family: Family) -> Iterator[Refusal]:
    for number, message in enumerate(messages):
        if message["role"] in family.roles:
            yield _role_refusal(number, message["role"])
            return  # the first is the one the service names


@lru_cache(maxsize=64)
def _role_refusal(number: int, role: str) -> Refusal:
    said = f"Unsupported value: 'messages[{number}].role' does not support '{role}' with this model."
    return Refusal(f"role {role}", said, "put it into the first user turn, or add --fix", Mend.INSTRUCTIONS)


def has_image(message: Mapping[str, Any]) -> bool:
    """Whether a message has an image among its parts."""
    content = message.get("content")
    return isinstance(content, list) and any(isinstance(part, dict) and part.get("type") == "image_url" for part in content)


def _not_on_chat(model: str) -> Refusal:
    said = (
        "This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to use v1/completions?"
        if model.startswith("o1-pro")
        else "This model is only supported in v1/responses and not in v1/chat/completions."
    )
    return Refusal("model", said, "choose another --model: this one answers on the Responses API alone")


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if isinstance(value, str) else str(value)
