"""PromptRow -> ChatRequest, Reply -> Completion: what o1 and its relatives take and give. Pure.

Facts about parameters and bodies: OpenAI's API specification (`CreateChatCompletionRequest`, `CompletionUsage`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batch_runner.identity import fingerprint
from batch_runner.json_text import dumps, loads_leniently, whole_text
from batch_runner.models import family_of
from batch_runner.records import ChatRequest, Completion, PromptRow, Reply, Status, Tokens, Usage
from batch_runner.refusals import CAPS, folded, mended
from batch_runner.tokens import prompt_bound, prompt_estimate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_runner.settings import Settings

MOST_WORST = 10**9
"""No cap is believed beyond this: sums of it stay within 64 bits."""

MOST_TOLD = 50_000_000
"""No usage of a single answer is believed beyond this: 128 answers of the longest kind known have 35 million tokens."""

EXPECTED_COMPLETION = 1_000
"""A guess at an answer's length, as long as no cap says more."""

TRUNCATED_REASONS = frozenset({"length", "max_tokens"})


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a run asks for where a row doesn't say."""

    model: str
    system: str | None
    params: Mapping[str, Any]
    fix: bool = False
    """Whether a request is mended where its model is known to refuse it."""


def defaults(settings: Settings) -> Defaults:
    """The run's own part of every request."""
    asked = settings.request
    params = dict(asked.param)
    if asked.max_completion_tokens is not None:
        params["max_completion_tokens"] = asked.max_completion_tokens
    if asked.reasoning_effort is not None:
        params["reasoning_effort"] = asked.reasoning_effort
    if asked.temperature is not None:
        params["temperature"] = asked.temperature
    return Defaults(asked.model, asked.system, params, fix=asked.fix)


def build_request(row: PromptRow, run: Defaults, cap: int | None = None) -> ChatRequest:
    """The request of a row: what the row asks, over what the run asks. A Batch line's body goes as it was written.

    What `run.fix` mends is sent, but names nothing: the fingerprint is of what was asked. `cap` stands in place of the cap that
    was asked for.
    """
    asked = request_body(row.asks, run, as_written=row.as_written)
    body = mended(asked)[0] if run.fix else asked
    if cap is not None:
        body = with_cap(body, cap)
    data = b"%s" % dumps(body)  # a copy: orjson leaves ten times the room behind a text, and bodies wait for their answers
    cap = cap_of(body)
    return ChatRequest(
        row_id=row.id,
        model=body["model"],
        max_completion_tokens=cap,
        body=data,
        fingerprint=fingerprint(asked),
        expected=Tokens(prompt_estimate(body), cap or EXPECTED_COMPLETION),
        worst=worst(body, data),
    )


def request_body(asks: Mapping[str, Any], run: Defaults, *, as_written: bool = False) -> dict[str, Any]:
    """What a row that asks for this has sent, unmended."""
    return {"model": run.model} | {k: v for k, v in asks.items() if k != "model" or v} if as_written else _assembled(asks, run)


def worst(body: Mapping[str, Any], data: bytes) -> Tokens:
    """The most tokens that a request body, and the same as bytes, can cost."""
    completion = (cap_of(body) or family_of(body["model"]).most_completion) * choices_of(body)
    return Tokens(prompt_bound(body, data), min(MOST_WORST, completion))


def with_cap(body: Mapping[str, Any], cap: int) -> dict[str, Any]:
    """A body with another cap, under the name that it has there."""
    return {**body, next((key for key in CAPS if key in body), CAPS[0]): cap}


def cap_of(body: Mapping[str, Any]) -> int | None:
    """The most completion tokens that a body asks for; `None` when it has no cap that counts."""
    for key in CAPS:
        value = body.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def read_completion(reply: Reply) -> Completion | None:
    """The answer in a reply's body, or `None` when there is none.

    Anything else about the body may be missing or odd: an answer that was paid for is taken as it is.
    """
    body = loads_leniently(reply.body)
    if not isinstance(body, dict) or body.get("error"):
        return None
    choice = _first_choice(body)
    if choice is None:
        return None
    message = choice["message"]
    finish_reason = choice.get("finish_reason")
    finish_reason = finish_reason if isinstance(finish_reason, str) else ""
    refusal = message.get("refusal")
    refusal = refusal if isinstance(refusal, str) else ""
    return Completion(
        status=_status(finish_reason, refusal),
        answer=whole_text(_answer(message.get("content"))),
        finish_reason=whole_text(finish_reason),
        model_answered=whole_text(_text(body.get("model"))),
        usage=read_usage(body.get("usage")),
        request_id=request_id(reply.headers),
        http_status=reply.status,
        message=whole_text(refusal),
    )


def read_usage(usage: Any) -> Usage | None:
    """The five numbers of a `usage` object; `None` when the three main ones can't be read. Details nobody told stay `None`."""
    if not isinstance(usage, dict):
        return None
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    total = _count(usage.get("total_tokens"))
    if prompt is None or completion is None or not prompt + completion:  # no request has no token at all
        return None
    reasoning = _detail(usage, "completion_tokens_details", "reasoning_tokens")
    if reasoning and total == prompt + completion + reasoning:  # a service that counts it beside the answer, not in it
        completion += reasoning
    return Usage(
        prompt_tokens=prompt,
        cached_tokens=_part(_detail(usage, "prompt_tokens_details", "cached_tokens"), prompt),
        completion_tokens=completion,
        reasoning_tokens=_part(reasoning, completion),
        total_tokens=prompt + completion if total is None else total,
    )


def request_id(headers: Mapping[str, str]) -> str:
    """The service's own name of a request, OpenAI's or a gateway's."""
    return whole_text(headers.get("x-request-id") or headers.get("x-oneapi-request-id", ""))


def _assembled(asks: Mapping[str, Any], run: Defaults) -> dict[str, Any]:
    model = asks.get("model") or run.model
    body = {"model": model, "messages": _with_system(asks["messages"], run.system, model), **run.params}
    if len(asks) > 1:
        if "max_tokens" in asks:
            body.pop("max_completion_tokens", None)
        body |= {key: value for key, value in asks.items() if value is not None and key not in {"model", "messages"}}
    body["stream"] = False
    return body


def _with_system(messages: list[dict[str, Any]], system: str | None, model: str) -> list[dict[str, Any]]:
    if system is None or any(message["role"] in {"system", "developer"} for message in messages):
        return messages
    if "system" not in family_of(model).roles:
        return [{"role": "system", "content": system}, *messages]
    return folded(messages, system)


def choices_of(body: Mapping[str, Any]) -> int:
    """How many answers a body asks for."""
    choices = body.get("n", 1)
    return choices if isinstance(choices, int) and choices > 1 else 1


def _first_choice(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return None
    return choices[0] if isinstance(choices[0].get("message"), dict) else None


def _status(finish_reason: str, refusal: str) -> Status:
    if finish_reason in TRUNCATED_REASONS:
        return Status.TRUNCATED
    return Status.REFUSED if finish_reason == "content_filter" or refusal else Status.OK


def _answer(content: Any) -> str:
    if isinstance(content, list):  # some services answer in parts
        return "".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    return _text(content)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int | None:
    """A token count that can be meant so: whole, not negative, and no more than one request can cost."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= MOST_TOLD else None


def _part(count: int | None, whole: int) -> int | None:
    """A count of some of the tokens that `whole` counts; `None` when it can't be."""
    return None if count is None or count > whole else count


def _detail(usage: Mapping[str, Any], group: str, name: str) -> int | None:
    details = usage.get(group)
    return _count(details.get(name)) if isinstance(details, dict) else None
