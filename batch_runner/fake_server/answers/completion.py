"""The shape of a chat completion: one JSON body, or the same as server-sent events."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import orjson

from batch_runner.fake_server.answers.answer import Answer, Choice

FINGERPRINT = "fp_fake"
PIECE = 24
"""Characters of content in one event of a stream."""
DONE = b"data: [DONE]\n\n"


# Not frozen: that makes a value three times as slow to build, and this one is built for every request.
@dataclass(slots=True, kw_only=True)
class Envelope:
    """What surrounds an answer."""

    identity: str
    model: str
    created: int
    usage_details: bool = True
    service_tier: str | None = None

    def body(self, answer: Answer) -> bytes:
        """The answer in one piece."""
        completion = self._outside("chat.completion")
        completion["choices"] = [_choice(place, choice) for place, choice in enumerate(answer.choices)]
        completion["usage"] = answer.usage.as_sent(details=self.usage_details)
        return orjson.dumps(completion)

    def events(self, answer: Answer, *, with_usage: bool) -> bytes:
        """The answer as a stream."""
        chunks = (
            {"choices": [{"index": place, "delta": delta, "finish_reason": reason}]}
            for place, choice in enumerate(answer.choices)
            for delta, reason in _deltas(choice)
        )
        events = [self._event(chunk) for chunk in chunks]
        if with_usage:
            events.append(self._event({"choices": [], "usage": answer.usage.as_sent(details=self.usage_details)}))
        return b"".join([*events, DONE])

    def _event(self, chunk: Mapping[str, object]) -> bytes:
        return b"data: " + orjson.dumps({**self._outside("chat.completion.chunk"), **chunk}) + b"\n\n"

    def _outside(self, kind: str) -> dict[str, object]:
        outside: dict[str, object] = {
            "id": self.identity,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": FINGERPRINT,
        }
        if self.service_tier:
            outside["service_tier"] = self.service_tier
        return outside


def _choice(place: int, choice: Choice) -> dict[str, object]:
    message: dict[str, object] = {"role": "assistant", "content": choice.content, "refusal": choice.refusal}
    if choice.tool_calls:
        message["tool_calls"] = choice.tool_calls
    return {"index": place, "message": message, "logprobs": None, "finish_reason": choice.finish_reason}


def _deltas(choice: Choice) -> Iterator[tuple[dict[str, object], str | None]]:
    yield {"role": "assistant", "content": "", "refusal": None}, None
    content = choice.content or ""
    for at in range(0, len(content), PIECE):
        yield {"content": content[at : at + PIECE]}, None
    if choice.refusal:
        yield {"refusal": choice.refusal}, None
    if choice.tool_calls:
        yield {"tool_calls": [{"index": place, **call} for place, call in enumerate(choice.tool_calls)]}, None
    yield {}, choice.finish_reason
