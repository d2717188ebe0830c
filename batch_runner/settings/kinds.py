"""How settings are written by people: durations, rates, counts, shares, KEY=VALUE. Each kind is a click type."""

from __future__ import annotations

import re
import shlex
from datetime import time
from typing import Any, NoReturn

import click

from batch_runner.exits import ExitStatus
from batch_runner.failures import BatchRunnerError, FailureKind
from batch_runner.json_text import loads_exactly
from batch_runner.nearest import did_you_mean
from batch_runner.records import REPEATABLE
from batch_runner.zones import zone_named

TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
DURATION = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s?)?", re.IGNORECASE)
NUMBER = re.compile(r"(?P<digits>\d[\d_,]*(?:\.\d+)?)\s*(?P<unit>[kKmM]?)")
RATE = re.compile(NUMBER.pattern + r"\s*(?:/\s*(?P<per>min|minute|m|s|sec|second|h|hour))?")
STATES = ("all", *sorted(map(str, REPEATABLE)), *(str(kind) for kind in FailureKind if kind is not FailureKind.INVALID_LINE))
MOST = 10**12
MOST_FACTOR = 100
UNITS = {"": 1, "k": 1_000, "m": 1_000_000}
PER_MINUTE = {"s": 60.0, "sec": 60.0, "second": 60.0, "h": 1 / 60, "hour": 1 / 60}


class Duration(click.ParamType[float]):
    """Seconds as a float, from `90`, `30s`, `5m` or `1h30m`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the seconds out of `value`."""
        if isinstance(value, bool):
            self._refuse(value, param, ctx)
        if isinstance(value, int | float):
            seconds = float(value)
        else:
            match = DURATION.fullmatch(str(value).strip())
            if match is None or not any(match.groups()):
                self._refuse(value, param, ctx)
            hours, minutes, rest = (float(part or 0) for part in match.groups())
            seconds = hours * 3600 + minutes * 60 + rest
        if not 0 < seconds < 10 * 365 * 86400:
            self._refuse(value, param, ctx)
        return seconds

    def _refuse(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> NoReturn:
        self.fail(f"{value!r} isn't a duration: write 90, 30s, 5m or 1h30m", param, ctx)


class TimeOfDay(click.ParamType[time]):
    """A time of the day to the minute, from `06:30`."""

    name = "time of day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> time:
        """Read hours and minutes out of `value`."""
        if isinstance(value, time):
            return value.replace(second=0, microsecond=0, tzinfo=None)
        match = TIME_OF_DAY.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} isn't a time of the day: write 06:30", param, ctx)
        return time(int(match[1]), int(match[2]))


class ZoneName(click.ParamType[str]):
    """The name of a time zone, kept as text: `Europe/Berlin`."""

    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check that this machine knows the zone."""
        try:
            zone_named(str(value))
        except BatchRunnerError as mistake:
            self.fail(str(mistake), param, ctx)
        return str(value)


class Count(click.ParamType[int]):
    """A whole number above zero, from `1000`, `1_000`, `1,000` or `1k`."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the number out of `value`."""
        match = NUMBER.fullmatch(str(value).strip())
        number = _scaled(match) if match and not isinstance(value, bool) else 0.0
        if not 1 <= number <= MOST or number != int(number):
            self.fail(f"{value!r} isn't a whole number above zero (and up to 10^12): write 1000, 1_000 or 1k", param, ctx)
        return int(number)


class Dollars(click.ParamType[float]):
    """US dollars as a float, from `5`, `0.50`, `$5` or `1_000`."""

    name = "usd"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the amount out of `value`."""
        match = NUMBER.fullmatch(str(value).strip().removeprefix("$"))
        amount = _scaled(match) if match and not isinstance(value, bool) else 0.0
        if not 0 < amount <= MOST:
            self.fail(f"{value!r} isn't an amount of US dollars above zero: write 5, 0.50 or $1_000", param, ctx)
        return amount


class Factor(click.ParamType[float]):
    """A number above 1, and up to 100, as a float."""

    name = "factor"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the number out of `value`."""
        match = re.fullmatch(r"\d{1,3}(\.\d{1,9})?", str(value).strip())
        factor = float(match[0]) if match and not isinstance(value, bool) else 0.0
        if not 1 < factor <= MOST_FACTOR:
            self.fail(f"{value!r} isn't a factor: write a number above 1, such as 2 or 1.5", param, ctx)
        return factor


class Rate(click.ParamType[float]):
    """A number per minute as a float, from `500`, `3k`, `3k/min` or `50/s`."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the number per minute out of `value`."""
        match = RATE.fullmatch(str(value).strip())
        rate = _scaled(match) * PER_MINUTE.get(match["per"] or "", 1.0) if match and not isinstance(value, bool) else 0.0
        if rate <= 0:
            self.fail(f"{value!r} isn't a rate: write 500, 3k/min or 50/s", param, ctx)
        return rate


class Share(click.ParamType[str]):
    """A number of rows or a share of them, kept as text: `10`, `1%`, `0.5%`."""

    name = "rows or %"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check that `value` is one of the two and keep it as written."""
        text = str(value).strip()
        number = text.removesuffix("%")
        whole = re.fullmatch(r"\d{1,15}|\d{1,3}(_\d{3}){1,4}", number, re.ASCII)
        percent = text.endswith("%") and re.fullmatch(r"\d{1,3}(\.\d{1,9})?", number, re.ASCII) and float(number) <= 100  # noqa: PLR2004 - per cent
        if isinstance(value, bool) or not (percent or (whole and not text.endswith("%"))):
            self.fail(f"{value!r} is neither a number of rows nor a share: write 10 or 1%", param, ctx)
        return text


class KeyValue(click.ParamType[tuple[str, Any]]):
    """A `(key, value)` pair from `KEY=VALUE`; VALUE is JSON, or a bare word taken as text."""

    name = "key=value"

    def split_envvar_value(self, rv: str) -> list[Any]:
        """Several pairs in one variable: a JSON object. A single KEY=VALUE is taken too."""
        try:
            pairs = loads_exactly(rv.encode(errors="surrogateescape"))
        except ValueError:
            return [rv]
        return list(pairs.items()) if isinstance(pairs, dict) else [rv]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        """Split `value` at its first `=`."""
        if isinstance(value, tuple | list) and len(value) == 2:  # noqa: PLR2004 - a pair
            return str(value[0]), value[1]
        key, equals, text = str(value).partition("=")
        if not equals or not key.strip():
            self.fail(f"{value!r} isn't KEY=VALUE", param, ctx)
        try:
            return key.strip(), loads_exactly(text.encode(errors="surrogateescape"))
        except ValueError:
            return key.strip(), text


class States(click.ParamType[tuple[str, ...]]):
    """States that rows can be sent again from, as a tuple: of `a`, `a,b` or a list; a status, a failure kind, or `all`."""

    name = "states"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split `value` at its commas and check each word."""
        words = value if isinstance(value, tuple | list) else str(value).split(",")
        states = tuple(word for word in (str(word).strip() for word in words) if word)
        for word in states:
            if word not in STATES:
                self.fail(
                    f"{word!r} is neither one of {', '.join(STATES[:5])} nor a failure kind{did_you_mean(word, STATES)}",
                    param,
                    ctx,
                )
        return states


class Statuses(click.ParamType[tuple[int, ...]]):
    """Exit statuses as a tuple: of `5`, `5,7` or a list."""

    name = "statuses"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Split `value` at its commas and check each number."""
        words = value if isinstance(value, tuple | list) else str(value).split(",")
        try:
            statuses = tuple(ExitStatus(int(word)) for word in words)
        except (ValueError, TypeError):
            known = ", ".join(str(int(status)) for status in ExitStatus)
            self.fail(f"{value!r} aren't exit statuses: they are some of {known}", param, ctx)
        return tuple(map(int, statuses))


class Address(click.ParamType[str]):
    """A URL that may hold a secret, or `@FILE` for a file that holds it. A refusal never repeats it."""

    name = "address"

    def __init__(self, *, any_scheme: bool = False) -> None:
        self._schemes = r"[A-Za-z][A-Za-z0-9+.-]*" if any_scheme else "https?"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check that `value` is one of the two."""
        text = str(value).strip()
        if not (text.startswith("@") and len(text) > 1) and not self.fits(text):
            kind = "a URL: write SCHEME://…" if self._schemes != "https?" else "the URL of a web server: write https://…"
            self.fail(f"it isn't {kind}, or @FILE for a file that holds it", param, ctx)
        return text

    def fits(self, text: str) -> bool:
        """Whether `text` is a URL of its kind."""
        return re.fullmatch(rf"(?i:{self._schemes})://[^\s/?#]\S*", text) is not None


class Command(click.ParamType[tuple[str, ...]]):
    """A command as the tuple of its words, from a line split as a shell would (and no more of a shell), or a list."""

    name = "command"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split `value` into words."""
        if isinstance(value, tuple | list):
            words = [str(word) for word in value]
        else:
            try:
                words = shlex.split(str(value))
            except ValueError as error:
                self.fail(f"{value!r} can't be split into words: {error}", param, ctx)
        if not words or not words[0] or any("\0" in word for word in words):
            self.fail(f"{value!r} isn't a command", param, ctx)
        return tuple(words)


class VariableName(click.ParamType[str]):
    """The name of an environment variable. A value that looks like the key itself is refused, and not repeated."""

    name = "variable"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check that `value` can be the name of a variable."""
        text = str(value)
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
            self.fail(
                "it takes the NAME of a variable that holds the key, never the key: others can see a command line", param, ctx
            )
        return text


def _scaled(match: re.Match[str]) -> float:
    return float(match["digits"].replace("_", "").replace(",", "")) * UNITS[match["unit"].lower()]
