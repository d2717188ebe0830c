"""What a refusal says of when to come back, how fast, and which limit it is about: headers first, then words. Pure.

Sources: OpenAI's rate limit messages (openai/codex#88, #326, #797), Azure's `retry-after-ms`, new-api's own request limit
(`middleware/model-rate-limit.go`).
"""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT_REQUESTS, LIMIT_TOKENS = "x-ratelimit-limit-requests", "x-ratelimit-limit-tokens"
MOST_WAIT = 86_400.0
"""Nobody is believed who asks to wait longer than a day."""

SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|minutes?|mins?|m|hours?|h|seconds?|secs?|s)?", re.IGNORECASE)
WAIT_HINT = re.compile(rf"(?:try again in|retry after)\s+((?:{SPAN.pattern}\s*)+)", re.IGNORECASE)
UNIT_SECONDS = {"": 1.0, "s": 1.0, "se": 1.0, "m": 60.0, "mi": 60.0, "h": 3600.0, "ho": 3600.0, "ms": 0.001}
NAMED_LIMIT = re.compile(r"\b(requests?|tokens?) per (?:min|minute|day|second)\b", re.IGNORECASE)
NEVER_FITS = re.compile(r"Limit:? (\d{1,18}), Used:? \d+, Requested:? (\d{1,18})\b")
OWN_LIMIT = re.compile(r"(\d{1,6})\s*分钟内最多请求\s*(\d{1,9})\s*次")


def told_wait(headers: Mapping[str, str], message: str, *, now: float) -> float | None:
    """Seconds that a reply asks us to wait: `retry-after-ms`, `Retry-After` in seconds or as a date, or a hint in the text."""
    wait = _wait_in_headers(headers, now)
    if wait is None:
        wait = _wait_in_words(message)
    return None if wait is None else min(max(0.0, wait), MOST_WAIT)


def told_rpm(message: str) -> float | None:
    """Requests a minute that a gateway says a key may make: `1分钟内最多请求60次`."""
    told = OWN_LIMIT.search(message)
    if told is None or int(told[1]) == 0 or int(told[2]) == 0:
        return None
    return int(told[2]) / int(told[1])


class Quota(NamedTuple):
    """What headers tell of limits, per minute as they mostly mean it; `None` where they don't."""

    requests: float | None
    tokens: float | None


def told_quota(headers: Mapping[str, str]) -> Quota | None:
    """`x-ratelimit-limit-requests` and `-tokens`, as OpenAI, Azure and Groq send them.

    What they tell of the rest and its reset isn't read: `0s`, `6m0s` and `-1` come whatever is true.
    """
    if LIMIT_REQUESTS not in headers and LIMIT_TOKENS not in headers:
        return None
    quota = Quota(_amount(headers.get(LIMIT_REQUESTS, "")), _amount(headers.get(LIMIT_TOKENS, "")))
    return None if quota == (None, None) else quota


def _amount(text: str) -> float | None:
    text = text.strip().replace(",", "")
    return float(text) if re.fullmatch(r"\d{1,12}(\.\d+)?", text, re.ASCII) and float(text) > 0 else None


def limit_named(kind: str, message: str) -> str:
    """Which limit a refusal is about, `requests` or `tokens`, as OpenAI's `type` or message says; empty when it doesn't."""
    if kind in {"requests", "tokens"}:
        return kind
    named = NAMED_LIMIT.search(message)
    return "" if named is None else named[1].lower().removesuffix("s") + "s"


def never_fits(message: str) -> bool:
    """True when one request asks for more tokens than the limit is: no waiting helps."""
    told = NEVER_FITS.search(message)
    return told is not None and int(told[2]) > int(told[1])


def _wait_in_headers(headers: Mapping[str, str], now: float) -> float | None:
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"-?\d+(\.\d+)?", value, re.ASCII):
            return float(value) * scale
    try:
        at = parsedate_to_datetime(headers.get("retry-after", ""))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None


def _wait_in_words(message: str) -> float | None:
    """`try again in 1.574s`, `7m12s`, `2 minutes`; `retry after 37 seconds`."""
    hint = WAIT_HINT.search(message)
    if hint is None:
        return None
    return sum(float(number) * UNIT_SECONDS[unit[:2].lower()] for number, unit in SPAN.findall(hint[1]))
