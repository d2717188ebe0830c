"""One input line -> what it asks for. The forms: an OpenAI Batch line, `messages`, `prompt` (or another name of it). Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from batch_runner.json_text import loads_exactly

PROMPT_NAMES = ("prompt", "input", "question", "text")
"""Names of a row's prompt; the first that a row has counts, the rest are the row's own fields."""

OVERRIDES: dict[str, type] = {
    "model": str,
    "max_completion_tokens": int,
    "reasoning_effort": str,
    "response_format": dict,
    "tools": list,
}
"""The only fields at the top of a row that override the run's parameters. A data set's column named `user` or `seed`
must not leak into a request, so everything else goes through `params`."""

NAMES: dict[type, str] = {str: "a text", int: "a whole number", dict: "an object", list: "a list"}

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a line asks for."""

    id: str | None
    asks: dict[str, Any]
    as_written: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a line can't be sent, and its own id where it has a good one."""

    id: str | None
    reason: str


class _Wrong(Exception):
    """The reason, on its way out of the nested checks."""


def read_line(line: bytes) -> Asked | Unusable:
    """What `line` asks for, or why it can't be sent."""
    row_id = None
    try:
        fields = _object(line)
        row_id = _id(fields)
        return _batch_line(row_id, fields) if _is_batch_line(fields) else _plain_line(row_id, fields)
    except _Wrong as wrong:
        return Unusable(row_id, str(wrong))


def _object(line: bytes) -> dict[str, Any]:
    try:
        fields = loads_exactly(line)
    except orjson.JSONDecodeError as error:
        raise _Wrong(_json_complaint(line, error)) from None
    except ValueError:
        raise _Wrong(f"a number in it has thousands of digits: {_start(line)}") from None
    if not isinstance(fields, dict):
        raise _Wrong(f"a row is a JSON object, this is {_named(fields)}: {_start(line)}")
    return fields


def _json_complaint(line: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        line.decode()
    except UnicodeDecodeError as wrong:
        return f"not UTF-8 at byte {wrong.start + 1}: {_start(line)}"
    what = str(error).split(": line ")[0]
    return f"not JSON ({what}, column {error.colno}): {_start(line)}"


def _id(fields: dict[str, Any]) -> str | None:
    names = [name for name in ("id", "custom_id") if name in fields]
    if not names:
        return None
    if len(names) == 2 and fields["id"] != fields["custom_id"]:  # noqa: PLR2004 - both of them
        raise _Wrong("both id and custom_id, and they differ: keep one")
    value = fields[names[0]]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value:
        return value
    raise _Wrong(f"{names[0]} must be a text or a whole number, this is {_named(value)}")


def _is_batch_line(fields: dict[str, Any]) -> bool:
    """A row with a prompt of its own may have columns named `url` and `body`; a Batch line has no prompt beside its body."""
    return "body" in fields and "messages" not in fields and not any(name in fields for name in PROMPT_NAMES)


def _batch_line(row_id: str | None, fields: dict[str, Any]) -> Asked:
    url, method, body = fields.get("url", ""), fields.get("method", "POST"), fields["body"]
    if method != "POST":
        raise _Wrong(f"method must be POST, this is {method!r}")
    if url and not str(url).endswith("/chat/completions"):
        raise _Wrong(f"url must be /v1/chat/completions, this is {url!r}")
    if not isinstance(body, dict):
        raise _Wrong(f"body must be an object, this is {_named(body)}")
    if body.get("stream"):
        raise _Wrong("body asks for stream: answers are read whole; remove it")
    _check_messages(body.get("messages"))
    _check_overrides(body)
    extra = {key: value for key, value in fields.items() if key not in {"id", "custom_id", "method", "url", "body"}}
    return Asked(row_id, body, as_written=True, extra=extra)


def _plain_line(row_id: str | None, fields: dict[str, Any]) -> Asked:
    name = "messages" if "messages" in fields else next((name for name in PROMPT_NAMES if name in fields), None)
    if name is None:
        raise _Wrong(f"no prompt: a row has `messages`, or one of {', '.join(PROMPT_NAMES)}, or is an OpenAI Batch line")
    if name == "messages" and "prompt" in fields:
        raise _Wrong("both prompt and messages: keep one")
    overrides = {key: fields[key] for key in OVERRIDES if key in fields}
    _check_overrides(overrides)
    asks = {"messages": _messages(name, fields[name]), **_params(fields.get("params", {})), **overrides}
    used = {"id", "custom_id", "params", name, *OVERRIDES}
    return Asked(row_id, asks, extra={key: value for key, value in fields.items() if key not in used})


def _messages(name: str, value: Any) -> list[Any]:
    if name == "messages" or isinstance(value, list):
        _check_messages(value)
        return list(value)
    if not isinstance(value, str):
        raise _Wrong(f"{name} must be a text or a list of messages, this is {_named(value)}")
    if not value.strip():
        raise _Wrong(f"{name} is empty")
    return [{"role": "user", "content": value}]


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise _Wrong("messages must be a list with at least one message")
    for number, message in enumerate(messages):
        if not isinstance(message, dict):
            raise _Wrong(f"messages[{number}] must be an object with role and content, this is {_named(message)}")
        if not isinstance(message.get("role"), str) or message["role"] not in ROLES:
            raise _Wrong(f"messages[{number}].role must be one of {', '.join(sorted(ROLES))}, this is {message.get('role')!r}")
        content = message.get("content")
        if not (isinstance(content, str | list) or (content is None and message["role"] == "assistant")):
            raise _Wrong(f"messages[{number}].content must be a text or a list of parts, this is {_named(content)}")


def _check_overrides(overrides: dict[str, Any]) -> None:
    for key, expected in OVERRIDES.items():
        value = overrides.get(key)
        if key not in overrides or value is None:
            continue
        if not isinstance(value, expected) or isinstance(value, bool):
            raise _Wrong(f"{key} must be {NAMES[expected]}, this is {_named(value)}")
        if isinstance(value, int) and value < 1:
            raise _Wrong(f"{key} must be above zero, this is {value}")


def _params(params: Any) -> dict[str, Any]:
    if not isinstance(params, dict):
        raise _Wrong(f"params must be an object, this is {_named(params)}")
    if "messages" in params:
        raise _Wrong("params can't hold messages: put them at the top of the row")
    if params.get("stream"):
        raise _Wrong("params ask for stream: answers are read whole; remove it")
    _check_overrides(params)
    return params


def _named(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return f"the number {value}"
    return "an empty text" if value == "" else NAMES[type(value)]


def _start(line: bytes) -> str:
    text = line[:60].decode(errors="replace")
    return repr(text) + ("…" if len(line) > len(text.encode()) else "")
