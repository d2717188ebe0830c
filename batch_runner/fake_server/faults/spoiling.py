"""Spoiled bodies: answers that arrive whole and still trip up who reads them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import orjson

from batch_runner.fake_server.faults.actions import BigInteger, Damage, DuplicateKeys, Huge, LoneSurrogate, OddStream

THIRTY_DIGITS = b"100000000000000000000000000001"
EVENT_END = b"\n\n"
COMMENT = b": ping\n\n"
ERROR_LINE = b'{"error":{"message":"upstream went away","type":"upstream_error","param":"","code":"bad_response"}}\n\n'


def spoiled(body: bytes, damage: Damage) -> bytes:
    """The body a damage makes of an answer's; most damages, and those meant for another kind of body, leave it as it is."""
    spoilers = STREAM_SPOILERS if body.startswith(b"data:") else JSON_SPOILERS
    spoil = spoilers.get(type(damage))
    return spoil(body, damage) if spoil else body


def _duplicate_keys(body: bytes, _damage: DuplicateKeys) -> bytes:
    usage = b'{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}'
    return b'{"id":"chatcmpl-first","usage":' + usage + b"," + body[1:]


def _huge(body: bytes, damage: Huge) -> bytes:
    return _with_content(body, b'"' + b"x" * damage.size + b'"')


def _lone_surrogate(body: bytes, _damage: LoneSurrogate) -> bytes:
    return _with_content(body, b'"half a pair: \\ud83d"')


def _with_content(body: bytes, content: bytes) -> bytes:
    completion = orjson.loads(body)
    for choice in completion["choices"]:
        choice["message"]["content"] = orjson.Fragment(content)
    return orjson.dumps(completion)


def _big_integer(body: bytes, _damage: BigInteger) -> bytes:
    completion = orjson.loads(body)
    completion["usage"]["total_microseconds"] = orjson.Fragment(THIRTY_DIGITS)
    return orjson.dumps(completion)


def _odd_stream(body: bytes, damage: OddStream) -> bytes:
    events = [event + EVENT_END for event in body.split(EVENT_END) if event]
    return b"".join(ODDITIES[damage.oddity](events))


ODDITIES: Mapping[str, Callable[[list[bytes]], list[bytes]]] = MappingProxyType(
    {
        "comments": lambda events: [line for event in events for line in (COMMENT, event)],
        "no_done": lambda events: events[:-1],
        "no_usage": lambda events: [event for event in events if b'"choices":[]' not in event],
        "error_line": lambda events: [*events[: len(events) // 2], ERROR_LINE],
    }
)
STREAM_SPOILERS: Mapping[type[object], Callable[[bytes, Any], bytes]] = MappingProxyType({OddStream: _odd_stream})
JSON_SPOILERS: Mapping[type[object], Callable[[bytes, Any], bytes]] = MappingProxyType(
    {
        DuplicateKeys: _duplicate_keys,
        Huge: _huge,
        LoneSurrogate: _lone_surrogate,
        BigInteger: _big_integer,
    }
)
