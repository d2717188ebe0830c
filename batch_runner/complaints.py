"""What is said of an input line that can't be sent: the reason, where in the line, how it starts, what to do. Pure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import orjson

NAMES: dict[type, str] = {str: "a text", int: "a whole number", dict: "an object", list: "a list"}

SHOWN = 60
"""Characters of a line that a complaint shows."""

HINTS = (
    (re.compile(r"NaN|-?Infinity"), "JSON has no NaN and no Infinity: write null"),
    (re.compile(r"None|True|False"), "JSON writes null, true and false"),
    (re.compile(r"'"), "JSON puts texts in double quotes"),
    (re.compile("\0"), "a NUL byte: the file was damaged, or is no text"),
    (re.compile(r"[\t\n]"), r"inside a text a tab is written \t, a line break \n"),
)
"""What stands where the reader stopped, and what was probably meant."""


class WrongLineError(Exception):
    """The reason why a line can't be sent, on its way out of the nested checks."""


def named(value: Any) -> str:
    """A JSON value as a complaint calls it: `a list`, `the number 3`, `null`."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return f"the number {value}"
    return "an empty text" if value == "" else NAMES[type(value)]


def start_of(line: bytes) -> str:
    """The first characters of a line, quoted."""
    text = line[: 4 * SHOWN].decode(errors="replace")[:SHOWN]
    return repr(text) + ("…" if len(line) > len(text.encode()) else "")


def not_json(line: bytes, error: orjson.JSONDecodeError) -> str:
    """Why `line` is no JSON, and in which column."""
    try:
        text = line.decode()
    except UnicodeDecodeError as wrong_byte:
        return f"not UTF-8 at byte {wrong_byte.start + 1} (mend it, or convert the file with iconv): {start_of(line)}"
    what = _hint(text, error.pos) or str(error).split(": line ")[0]
    return f"not JSON ({what}, column {error.colno}): {start_of(line)}"


def doubled_key(line: bytes) -> str | None:
    """The first key that one object of a JSON text has twice: of two values only one would be sent."""
    twice: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice.append(next(key for key in keys if keys.count(key) > 1))
        return found

    try:
        json.loads(line, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return None  # orjson could read it: deeper or longer than the standard library likes
    return twice[0] if twice else None


def fields_told(fields: Mapping[str, Any]) -> str:
    """The names of a row's fields, some of them if there are many."""
    shown = [name[:SHOWN] if name[:SHOWN].isprintable() else repr(name[:SHOWN]) for name in list(fields)[:8]]
    return (", ".join(shown) + (", …" if len(fields) > len(shown) else "")) or "no field"


def _hint(text: str, place: int) -> str | None:
    for pattern, hint in HINTS:
        if any(pattern.match(text, max(0, start)) for start in (place, place - 1)):
            return hint
    return "the line is cut off" if 0 < len(text) <= place + 1 else None
