"""Small parsers for values of a TOML file, put together into larger ones.

A parser takes a value and says what it makes of it, or complains, with the place, and goes on: a file is read to its end,
however much is wrong with it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final


@dataclass(slots=True)
class Reading:
    """Where in a file the reader is, and what it has complained of so far."""

    place: str = ""
    complaints: list[str] = field(default_factory=list)

    def at(self, name: str | int) -> "Reading":
        """The same reading, one step further in."""
        inner = f"[{name}]" if isinstance(name, int) else f".{name}" if self.place else name
        return Reading(self.place + inner, self.complaints)

    def complain(self, words: str) -> object:
        """Notes a complaint; returns the value that stands for none."""
        self.complaints.append(f"{self.place}: {words}" if self.place else words)
        return WRONG


Parser = Callable[[object, Reading], Any]
WRONG: Final = object()
MOST_LISTED = 20
"""A complaint that lists more words than this helps nobody."""


def text(value: object, reading: Reading) -> object:
    """Any string."""
    return value if isinstance(value, str) else reading.complain(f"{value!r} is not a text")


def flag(value: object, reading: Reading) -> object:
    """True or false."""
    return value if isinstance(value, bool) else reading.complain(f"{value!r} is neither true nor false")


def _is_number(value: object) -> bool:
    # True and false are numbers to Python; to whoever writes a file they are not.
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def above_zero(value: object, reading: Reading) -> object:
    """A number, and not nothing."""
    if not _is_number(value):
        return reading.complain(f"{value!r} is not a number")
    return value if isinstance(value, int | float) and value > 0 else reading.complain(f"{value!r} is not above 0")


def number(low: float = -math.inf, high: float = math.inf) -> Parser:
    """A number within bounds, both allowed."""

    def parse(value: object, reading: Reading) -> object:
        if not isinstance(value, int | float) or not _is_number(value):
            return reading.complain(f"{value!r} is not a number")
        if not low <= value <= high:
            return reading.complain(f"{value!r} is not {_bounds(low, high)}")
        return value

    return parse


def integer(low: float = -math.inf, high: float = math.inf) -> Parser:
    """A whole number within bounds, both allowed."""
    inner = number(low, high)

    def parse(value: object, reading: Reading) -> object:
        if isinstance(value, float):
            return reading.complain(f"{value!r} is not a whole number")
        return inner(value, reading)

    return parse


def _bounds(low: float, high: float) -> str:
    if math.isinf(high):
        return f"{low:g} or more"
    return f"between {low:g} and {high:g}"


def one_of(*words: str) -> Parser:
    """One of these words."""

    def parse(value: object, reading: Reading) -> object:
        if value in words:
            return value
        if len(words) > MOST_LISTED:
            return reading.complain(f"{value!r} is none of the {len(words)} known{_perhaps(value, words)}")
        return reading.complain(f"{value!r} is none of {', '.join(words)}{_perhaps(value, words)}")

    return parse


def _perhaps(value: object, words: tuple[str, ...]) -> str:
    close = get_close_matches(str(value), words, n=3)
    return f" (perhaps {' or '.join(close)}?)" if close else ""


def several(inner: Parser) -> Parser:
    """A list of such values, as a tuple."""

    def parse(value: object, reading: Reading) -> object:
        if not isinstance(value, list):
            return reading.complain(f"{value!r} is not a list")
        parsed = [inner(item, reading.at(place)) for place, item in enumerate(value)]
        return WRONG if WRONG in parsed else tuple(parsed)

    return parse


def mapping(inner: Parser) -> Parser:
    """A table of any names to such values."""

    def parse(value: object, reading: Reading) -> object:
        if not isinstance(value, dict):
            return reading.complain(f"{value!r} is not a table")
        parsed = {name: inner(item, reading.at(name)) for name, item in value.items()}
        return WRONG if WRONG in parsed.values() else parsed

    return parse


def table(make: Callable[..., Any], parsers: Mapping[str, Parser], *, needed: tuple[str, ...] = ()) -> Parser:
    """A table with these names and no others, made into a value; what is left out has the value's own default."""

    def parse(value: object, reading: Reading) -> object:
        if not isinstance(value, dict):
            return reading.complain(f"{value!r} is not a table")
        for name in needed:
            if name not in value:
                reading.complain(f"{name} is missing")
        for name in (name for name in value if name not in parsers):
            reading.at(name).complain(f"unknown; known here are {', '.join(parsers)}{_perhaps(name, tuple(parsers))}")
        known = {name: parsers[name](item, reading.at(name)) for name, item in value.items() if name in parsers}
        return WRONG if WRONG in known.values() or needed - known.keys() else make(**known)

    return parse


def checked(inner: Parser, *checks: tuple[Callable[[Any], bool], str]) -> Parser:
    """A value that has to make sense as a whole, too: each check comes with the words for when it doesn't hold."""

    def parse(value: object, reading: Reading) -> object:
        parsed = inner(value, reading)
        if parsed is WRONG:
            return WRONG
        broken = [words for holds, words in checks if not holds(parsed)]
        for words in broken:
            reading.complain(words)
        return WRONG if broken else parsed

    return parse
