"""A chat request as the service reads it: parsed at the door, with the key the books know its row by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from batch_runner.fake_server.protocol.complaints import Complaint
from batch_runner.fake_server.protocol.fields import FIELDS, JSON_NAMES
from batch_runner.fake_server.protocol.mending import mended
from batch_runner.fake_server.protocol.tokens import TOKENS_PER_ANSWER, TOKENS_PER_MESSAGE, estimate

PROMPT_SHOWN = 200
"""Characters of a prompt that the books keep."""

NOT_JSON = Complaint(
    400,
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library "
    "correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)",
)
NO_MODEL = Complaint(400, "you must provide a model parameter")
NO_MESSAGES = Complaint(400, "Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter")
NO_MESSAGE = Complaint(
    400,
    "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
    param="messages",
    code="empty_array",
)


# Not frozen: that makes a value three times as slow to build, and this one is built for every request.
@dataclass(slots=True)
class ChatRequest:
    """What was asked: the fields as sent, and what the service makes of them."""

    fields: Mapping[str, Any]
    model: str
    messages: Sequence[Mapping[str, Any]]
    row: str
    prompt: str
    prompt_tokens: int
    has_parts: bool = False

    @property
    def cap(self) -> int | None:
        """The most tokens the answer may have, reasoning included, if the request says."""
        cap = self.fields.get("max_completion_tokens") or self.fields.get("max_tokens")
        return cap if isinstance(cap, int) else None

    @property
    def streams(self) -> bool:
        """Whether the answer is wanted as server-sent events."""
        return self.fields.get("stream") is True

    @property
    def wants_stream_usage(self) -> bool:
        """Whether a stream should end with its usage."""
        return bool((self.fields.get("stream_options") or {}).get("include_usage"))

    @property
    def service_tier(self) -> str | None:
        """The tier that serves the request, where the answer names one."""
        tier = self.fields.get("service_tier")
        return "default" if tier == "auto" else tier


def read_chat_request(body: bytes, *, mends: bool = False) -> ChatRequest | Complaint:
    """The request in a body, or why it isn't one; a gateway that `mends` reads it as it will send it upstream.

    The row is that of the messages as they came: who asked knows no others.
    """
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        return NOT_JSON
    if not isinstance(fields, dict):
        return NOT_JSON
    if complaint := _complaint_about(fields):
        return complaint
    row = row_key(fields["messages"])
    return _chat_request(mended(fields) if mends else fields, row)


def _complaint_about(fields: Mapping[str, Any]) -> Complaint | None:
    if not isinstance(fields.get("model"), str) or not fields["model"]:
        return NO_MODEL
    if fields.get("messages") is None:
        return NO_MESSAGES
    return _complaint_about_messages(fields["messages"]) or _complaint_about_types(fields)


def _complaint_about_types(fields: Mapping[str, Any]) -> Complaint | None:
    for name, value in fields.items():
        wanted = FIELDS.get(name)
        # By the very type: true and false are numbers to Python, but not to the service.
        if wanted and value is not None and type(value) not in wanted.types:
            return _wrong_type(name, wanted.words, value)
    return None


def _complaint_about_messages(messages: object) -> Complaint | None:
    if not isinstance(messages, list):
        return _wrong_type("messages", "an array of objects", messages)
    if not messages:
        return NO_MESSAGE
    for place, message in enumerate(messages):
        if not isinstance(message, dict):
            return _wrong_type(f"messages[{place}]", "an object", message)
        if not isinstance(message.get("role"), str):
            missing = f"messages[{place}].role"
            return Complaint(400, f"Missing required parameter: '{missing}'.", param=missing, code="missing_required_parameter")
    return None


def _wrong_type(name: str, wanted: str, got: object) -> Complaint:
    seen = JSON_NAMES.get(type(got), "null")
    return Complaint(
        400, f"Invalid type for '{name}': expected {wanted}, but got {seen} instead.", param=name, code="invalid_type"
    )


def _chat_request(fields: Mapping[str, Any], row: str) -> ChatRequest:
    messages = fields["messages"]
    prompt, tokens, has_parts = "", TOKENS_PER_ANSWER, False
    for message in messages:
        text = text_of(message)
        has_parts = has_parts or isinstance(message.get("content"), list)
        tokens += TOKENS_PER_MESSAGE + estimate(text)
        if message["role"] == "user":
            prompt = text
    return ChatRequest(fields, fields["model"], messages, row, prompt, tokens, has_parts)


def row_key(messages: Sequence[Mapping[str, Any]]) -> str:
    """The key of a row in the books: 16 hex digits of its messages' SHA-256, key order ignored."""
    return sha256(orjson.dumps(messages, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def text_of(message: Mapping[str, Any]) -> str:
    """The words of a message, of all its text parts if it has parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
