"""Answers: what the model says and what it costs, the same for the same prompt and seed in every run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from batch_runner.fake_server.answers.examples import example_of
from batch_runner.fake_server.answers.scripts import Script
from batch_runner.fake_server.answers.style import AnswerStyle
from batch_runner.fake_server.dice import Dice, as_luck
from batch_runner.fake_server.protocol.chat_request import ChatRequest
from batch_runner.fake_server.protocol.families import family_of
from batch_runner.fake_server.protocol.strictness import MOST_CHOICES
from batch_runner.fake_server.protocol.tokens import estimate
from batch_runner.fake_server.protocol.usage import Usage

SENTENCES = (
    "晚上好！很高兴为您服务。",
    "The evidence points one way, and the reasoning holds. ",
    "首先，我们把问题分成两个部分。",
    "It follows from the second premise alone. ",
    "综上所述，答案是肯定的。",
    "A smaller case shows why: take three and count. ",
    "请注意，这里有一个例外。",
    "Checked twice, the sum is the same. ",
)
SENTENCE_TOKENS = tuple(estimate(sentence) for sentence in SENTENCES)
REFUSAL = "I'm sorry, but I can't help with that request."


# Not frozen: that makes a value three times as slow to build, and this one is built for every request.
@dataclass(slots=True, kw_only=True)
class Choice:
    """One of the answers to a request; `tokens` is about how many can be seen of it."""

    tokens: int
    content: str | None = None
    finish_reason: str = "stop"
    refusal: str | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()


# Not frozen: that makes a value three times as slow to build, and this one is built for every request.
@dataclass(slots=True, kw_only=True)
class Answer:
    """Everything computed for one request, before it is put into the shape of a completion."""

    choices: tuple[Choice, ...]
    usage: Usage

    @property
    def finish_reason(self) -> str:
        """Why the first choice ended."""
        return self.choices[0].finish_reason


@dataclass(frozen=True, slots=True)
class Model:
    """Computes answers in one style, with one seed's luck."""

    style: AnswerStyle
    dice: Dice
    echo: bool = False

    def answer(self, request: ChatRequest, script: Script | None = None) -> Answer:
        """The answer to a request, cut off where the request's cap says; a scripted one is left as it is."""
        fate, length, start, reasoning, cached, *_ = self.dice.hand("answer", request.row)
        choice = _scripted(script) if script else self._choice(request, as_luck(fate), as_luck(length), start)
        count = min(MOST_CHOICES, max(1, request.fields.get("n") or 1))
        usage = self._usage(request, as_luck(reasoning), as_luck(cached), choice.tokens, count)
        if script:
            return Answer(choices=(choice,), usage=_as_scripted(usage, script))
        return _kept_to(request, Answer(choices=(choice,) * count, usage=usage))

    def _choice(self, request: ChatRequest, fate: float, length: float, start: int) -> Choice:
        if fate < self.style.refusals:
            return Choice(refusal=REFUSAL, tokens=estimate(REFUSAL))
        if fate < self.style.refusals + self.style.filtered:
            return Choice(content="", finish_reason="content_filter", tokens=0)
        if self.echo:
            said, tokens = request.prompt, estimate(request.prompt)
        else:
            said, tokens = _sentences(self.style.visible.at(length), start)
        return _shaped(request, said) or Choice(content=said, tokens=tokens)

    def _usage(self, request: ChatRequest, thought: float, cached: float, visible: int, count: int) -> Usage:
        reasoning = round(self.style.reasoning.at(thought))
        share = min(1.0, self.style.cached_share.at(cached))
        return Usage(
            prompt_tokens=request.prompt_tokens,
            cached_tokens=int(request.prompt_tokens * share),
            completion_tokens=count * (reasoning + visible),
            reasoning_tokens=count * reasoning,
        )


def _sentences(wanted: float, start: int) -> tuple[str, int]:
    """Words of about that many tokens, and how many they really are."""
    said, tokens = [], 0
    place = start % len(SENTENCES)
    while tokens < wanted:
        said.append(SENTENCES[place])
        tokens += SENTENCE_TOKENS[place]
        place = (place + 1) % len(SENTENCES)
    return "".join(said), tokens


def _shaped(request: ChatRequest, said: str) -> Choice | None:
    """The words as a tool call or as JSON, if the request wants either."""
    fields = request.fields
    if fields.get("tools") and (function := wanted_function(request)):
        return _tool_call(request, function, said)
    return _formatted(fields["response_format"], said) if fields.get("response_format") else None


def _tool_call(request: ChatRequest, function: Mapping[str, Any], said: str) -> Choice:
    arguments = orjson.dumps(example_of(function.get("parameters") or {"type": "object"}, said)).decode()
    call = {
        "id": f"call_{request.row}",
        "type": "function",
        "function": {"name": function.get("name", ""), "arguments": arguments},
    }
    return Choice(finish_reason="tool_calls", tool_calls=(call,), tokens=estimate(arguments))


def wanted_function(request: ChatRequest) -> Mapping[str, Any] | None:
    """The function the answer should call: the one named, else the first; none once its result is there."""
    functions = _functions(request.fields.get("tools") or ())
    choice = request.fields.get("tool_choice") or "auto"
    if isinstance(choice, Mapping):
        named = (choice.get("function") or {}).get("name")
        return next((function for function in functions if function.get("name") == named), None)
    if not functions or choice == "none" or (choice == "auto" and request.messages[-1]["role"] == "tool"):
        return None
    return functions[0]


def _functions(tools: Sequence[object]) -> list[Mapping[str, Any]]:
    named = (tool.get("function") for tool in tools if isinstance(tool, Mapping))
    return [function for function in named if isinstance(function, Mapping)]


def _formatted(wanted: Mapping[str, Any], said: str) -> Choice | None:
    if wanted.get("type") == "json_object":
        value: object = {"answer": said}
    elif wanted.get("type") == "json_schema":
        value = example_of((wanted.get("json_schema") or {}).get("schema") or {}, said)
    else:
        return None
    content = orjson.dumps(value).decode()
    return Choice(content=content, tokens=estimate(content))


def _scripted(script: Script) -> Choice:
    return Choice(
        content=script.content,
        finish_reason=script.finish_reason,
        refusal=script.refusal,
        tool_calls=script.tool_calls,
        tokens=estimate(script.content or script.refusal or ""),
    )


def _as_scripted(usage: Usage, script: Script) -> Usage:
    names = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")
    told = {name: number for name in names if (number := getattr(script, name)) is not None}
    return replace(usage, **told)


def _kept_to(request: ChatRequest, answer: Answer) -> Answer:
    """Cut at the cap; reasoning comes first, and may leave nothing for the words."""
    usage, each = answer.usage, len(answer.choices)
    cap = request.cap or family_of(request.model).most_output
    if usage.completion_tokens <= cap * each:
        return answer
    reasoning = min(usage.reasoning_tokens // each, cap)
    return Answer(
        choices=tuple(_cut(choice, cap - reasoning) for choice in answer.choices),
        usage=replace(usage, completion_tokens=cap * each, reasoning_tokens=reasoning * each),
    )


def _cut(choice: Choice, tokens: int) -> Choice:
    content = choice.content or ""
    share = tokens / max(1, choice.tokens)
    return Choice(content=content[: int(len(content) * share)], finish_reason="length", tokens=tokens)
