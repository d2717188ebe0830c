"""JSON that orjson alone can't write or read: both directions fall back to the standard library. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

LONG_NUMBER = re.compile(rb"\d{19}")


def dumps(value: Any, *, sort_keys: bool = False) -> bytes:
    """`value` as compact JSON. orjson stops at 254 levels and at 64 bits."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS if sort_keys else None)
    except TypeError:
        return json.dumps(value, sort_keys=sort_keys, ensure_ascii=False, separators=(",", ":")).encode()


def loads_exactly(text: bytes) -> Any:
    """The value of a JSON text, integers beyond 64 bits included, which orjson turns into floats. Raises `ValueError`."""
    value = orjson.loads(text)
    if not LONG_NUMBER.search(text):
        return value
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def is_json(value: Any) -> bool:
    """True for a value that JSON can write: NaN and lone surrogates are none."""
    try:
        json.dumps(value, allow_nan=False)
        dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def loads_leniently(text: bytes) -> Any:
    """The value of a JSON text, or `None`. For what was paid for: a lone surrogate, NaN, a raw line break inside a text or a
    byte that is no UTF-8 doesn't make an answer worthless.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(text.decode("utf-8-sig", errors="replace"), strict=False)
    except (ValueError, RecursionError):
        return None


def whole_text(text: str) -> str:
    """`text` without lone surrogates, which no UTF-8 file can hold."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
