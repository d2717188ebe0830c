"""What a refusal says of when to come back, how fast, and which limit it is about: headers first, then words. Pure.

Sources: OpenAI's rate limit messages (openai/codex#88, #326, #797; the older ones: mmz-001/knowledge_gpt#5), Anthropic's,
Azure's `retry-after-ms`, new-api's own request limit (`middleware/model-rate-limit.go`).
"""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT_HEADER, REMAINING_HEADER = "x-ratelimit-limit-", "x-ratelimit-remaining-"
LIMITED = ("requests", "tokens")
MOST_WAIT = 86_400.0
"""Nobody is believed who asks to wait longer than a day."""

SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|minutes?|mins?|m|hours?|h|seconds?|secs?|s)?", re.IGNORECASE)
WAIT_HINT = re.compile(rf"(?:try again in|retry after)\s+((?:{SPAN.pattern}\s*)+)", re.IGNORECASE)
UNIT_SECONDS = {"": 1.0, "s": 1.0, "se": 1.0, "m": 60.0, "mi": 60.0, "h": 3600.0, "ho": 3600.0, "ms": 0.001}
NAMED_LIMIT = re.compile(r"\b(requests?|tokens?) per (?:min|minute|day|second)\b", re.IGNORECASE)
AT_ONCE = re.compile(r"\bconcurrent requests\b|\bconcurrency limit\b", re.IGNORECASE)
A_DAY = re.compile(r"\b(?:requests?|tokens?) per day\b", re.IGNORECASE)
AMOUNT = r"(\d[\d,]{0,17}(?:\.\d{1,9})?)"
LIMIT_AFTER = re.compile(
    rf"\b(requests?|tokens?) per (min|minute|second)\b(?: \([A-Z]+\))?[:.]\s*Limit:? {AMOUNT}(?![\d,.]*\d)", re.IGNORECASE
)
LIMIT_BEFORE = re.compile(rf"\brate limit of {AMOUNT} (requests?|tokens?) per (min|minute|second)\b", re.IGNORECASE)
A_MINUTE = {"min": 1.0, "minute": 1.0, "second": 60.0}
NEVER_FITS = re.compile(r"Limit:? (\d{1,18}), Used:? \d+, Requested:? (\d{1,18})\b")
OWN_LIMIT = re.compile(r"(\d{1,6})\s*分钟内最多请求\s*(\d{1,9})\s*次")


def told_wait(headers: Mapping[str, str], message: str, *, now: float) -> float | None:
    """Seconds that a reply asks us to wait: `retry-after-ms`, `Retry-After` in seconds or as a date, or a hint in the text."""
    wait = _wait_in_headers(headers, now)
    if wait is None:
        wait = _wait_in_words(message)
    return None if wait is None else min(max(0.0, wait), MOST_WAIT)


class Quota(NamedTuple):
    """What a service tells of its limits, in a minute; `None` where it doesn't."""

    requests: float | None = None
    tokens: float | None = None
    left: float = 0.0
    """The share of it that isn't used yet, of the scarcer one; 0 where it doesn't tell."""


NOTHING_TOLD = Quota()


def named_limit(message: str) -> Quota:
    """The limit that a refusal names in its words: `requests per min (RPM): Limit 60`, `rate limit of 50 requests per minute`,
    `1分钟内最多请求60次`.

    A limit for a day is no pace: its whole amount may be there again at midnight. And `input tokens` aren't all tokens.
    """
    if (own := OWN_LIMIT.search(message)) is not None and int(own[1]) > 0 and int(own[2]) > 0:
        return Quota(requests=int(own[2]) / int(own[1]))
    if (after := LIMIT_AFTER.search(message)) is not None:
        what, unit, amount = after.groups()
    elif (before := LIMIT_BEFORE.search(message)) is not None:
        amount, what, unit = before.groups()
    else:
        return NOTHING_TOLD
    a_minute = A_MINUTE[unit.lower()] * (_amount(amount) or 0.0)
    if a_minute <= 0:
        return NOTHING_TOLD
    return Quota(requests=a_minute) if what.lower().startswith("request") else Quota(tokens=a_minute)


def told_quota(headers: Mapping[str, str]) -> Quota | None:
    """`x-ratelimit-limit-requests` and `-tokens`, as OpenAI, Azure and Groq send them, and how much of them is left.

    When it will be full again isn't read: `0s`, `6m0s` and `-1` come whatever is true.
    """
    if not any(f"{LIMIT_HEADER}{what}" in headers for what in LIMITED):
        return None
    requests, tokens = limits = [_amount(headers.get(f"{LIMIT_HEADER}{what}", "")) for what in LIMITED]
    if limits == [None, None]:
        return None
    rests = [_amount(headers.get(f"{REMAINING_HEADER}{what}", "")) or 0.0 for what in LIMITED]
    left = (rest / limit for rest, limit in zip(rests, limits, strict=True) if limit is not None)
    return Quota(requests, tokens, min(1.0, *left))


def _amount(text: str) -> float | None:
    text = text.strip().replace(",", "")
    return float(text) if re.fullmatch(r"\d{1,12}(\.\d+)?", text, re.ASCII) and float(text) > 0 else None


def limit_named(kind: str, message: str) -> str:
    """Which limit a refusal is about, as its `type` or message says: `requests`, `tokens`, `concurrency`, `day`; else empty."""
    if AT_ONCE.search(message):
        return "concurrency"
    if A_DAY.search(message):
        return "day"
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
