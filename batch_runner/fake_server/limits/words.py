"""What a service says when a limit is met: the error, and the headers that tell when to come back."""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from types import MappingProxyType

from batch_runner.fake_server.limits.gate import Quota, Refusal
from batch_runner.fake_server.limits.values import MINUTE, ConcurrencyLimit, Hints, RateLimit
from batch_runner.fake_server.protocol.complaints import Complaint

LEARN_MORE = "Visit https://platform.openai.com/account/rate-limits to learn more."
UNITS = {"requests": ("requests per min", "RPM"), "tokens": ("tokens per min", "TPM")}
HUGE_WAIT = 86_400
A_DAY = 86_400.0
A_SECOND = 1_000
"""In milliseconds, which is as fine as a wait is told."""


BUSY_CHANNEL = Complaint(429, "当前分组上游负载已饱和，请稍后再试", type="tokens", param="", code="rate_limit_exceeded")


def refusal_complaint(refusal: Refusal, model: str, hints: Hints) -> Complaint:
    """OpenAI's 429."""
    if not hints.limit_named and not refusal.is_hopeless:
        return _no_word(refusal, model, hints)
    if isinstance(refusal.limit, ConcurrencyLimit):
        return _no_place(refusal, model)
    limit = refusal.limit
    unit, short = _unit(limit)
    kind = "Request too large" if refusal.is_hopeless else "Rate limit reached"
    used = "" if refusal.is_hopeless else f"Used {round(refusal.used)}, "
    message = (
        f"{kind} for {model} in organization org-fake on {unit} ({short}): Limit {round(refusal.amount)}, {used}"
        f"Requested {round(refusal.requested)}. {_advice(refusal, hints)}{LEARN_MORE}"
    )
    return Complaint(429, message, type=limit.what, code="rate_limit_exceeded")


def _unit(limit: RateLimit) -> tuple[str, str]:
    if limit.per == A_DAY:
        return f"{limit.what} per day", f"{limit.what[0].upper()}PD"
    return UNITS[limit.what]


def _advice(refusal: Refusal, hints: Hints) -> str:
    if refusal.is_hopeless:
        return "The input or output tokens must be reduced in order to run successfully. "
    return f"Please try again in {go_duration(refusal.wait)}. " if hints.in_message else ""


def _no_word(refusal: Refusal, model: str, hints: Hints) -> Complaint:
    message = f"Rate limit reached for {model}. {_advice(refusal, hints)}{LEARN_MORE}"
    return Complaint(429, message, type="", code="rate_limit_exceeded")


def _no_place(refusal: Refusal, model: str) -> Complaint:
    message = (
        f"Rate limit reached for {model} in organization org-fake on concurrent requests: Limit {round(refusal.amount)}, "
        f"Used {round(refusal.used)}, Requested 1. {LEARN_MORE}"
    )
    return Complaint(429, message, type="requests", code="rate_limit_exceeded")


def gateway_complaint(refusal: Refusal, error_type: str, hints: Hints) -> Complaint:
    """A gateway's 429: its own cap by name, anything upstream only as a channel that is too busy."""
    if not hints.limit_named:
        return BUSY_CHANNEL
    if isinstance(refusal.limit, ConcurrencyLimit):
        return Complaint(429, "令牌并发请求数已达上限", type=error_type, param="", code="token_concurrency_limit_reached")
    if refusal.limit.what == "requests":
        minutes = max(1, round(refusal.limit.per / MINUTE))
        most = round(refusal.amount * minutes * MINUTE / refusal.limit.window)
        message = f"您已达到总请求数限制：{minutes}分钟内最多请求{most}次，包括失败次数，请检查您的请求是否正确"
        return Complaint(429, message, type=error_type, param="", code="")
    return BUSY_CHANNEL


def go_duration(seconds: float) -> str:
    """Seconds as Go writes a duration: `6ms`, `1.574s`, `6m0s`, `1h0m0s`."""
    milliseconds = max(0, math.ceil(seconds * 1000 - 1e-6))
    if 0 < milliseconds < A_SECOND:
        return f"{milliseconds}ms"
    whole, rest = divmod(milliseconds, 60 * A_SECOND)
    hours, minutes = divmod(whole, 60)
    tail = f"{rest / A_SECOND:g}s"
    if hours:
        return f"{hours}h{minutes}m{tail}"
    return f"{minutes}m{tail}" if minutes else tail


def told_wait(refusal: Refusal, hints: Hints) -> float:
    """Seconds the client is told to stay away, true or not."""
    if hints.retry_after in {"none", "zero", "negative"} or refusal.is_hopeless:
        return 0.0
    told = {"huge": float(HUGE_WAIT), "wrong": float(hints.wrong_seconds), "rounded": math.ceil(refusal.wait)}
    return told.get(hints.retry_after, refusal.wait)


def retry_after(refusal: Refusal, hints: Hints) -> Mapping[str, str]:
    """The header that tells when to come back, if there is one."""
    write = RETRY_AFTER.get(hints.retry_after)
    return write(refusal.wait, hints) if write and not refusal.is_hopeless else {}


RETRY_AFTER: Mapping[str, Callable[[float, Hints], Mapping[str, str]]] = MappingProxyType(
    {
        "exact": lambda wait, _: {"retry-after": f"{math.ceil(wait * 1000) / 1000:.3f}"},
        "rounded": lambda wait, _: {"retry-after": str(math.ceil(wait))},
        "date": lambda wait, _: {"retry-after": formatdate(math.ceil(time.time() + wait), usegmt=True)},
        "ms": lambda wait, _: {"retry-after-ms": str(math.ceil(wait * 1000))},
        "zero": lambda _wait, _: {"retry-after": "0"},
        "negative": lambda _wait, _: {"retry-after": "-1"},
        "huge": lambda _wait, _: {"retry-after": str(HUGE_WAIT)},
        "wrong": lambda _wait, hints: {"retry-after": str(hints.wrong_seconds)},
    }
)


def quota_headers(quotas: Iterable[Quota], hints: Hints) -> dict[str, str]:
    """The `x-ratelimit-*` headers of an answer."""
    if hints.reset == "none":
        return {}
    headers = {}
    for quota in quotas:
        headers[f"x-ratelimit-limit-{quota.what}"] = str(round(quota.limit))
        headers[f"x-ratelimit-remaining-{quota.what}"] = str(math.floor(quota.remaining + 1e-9))
        headers[f"x-ratelimit-reset-{quota.what}"] = _reset(quota.reset, hints)
    return headers


def _reset(seconds: float, hints: Hints) -> str:
    if hints.reset == "go":
        return go_duration(seconds)
    return f"{math.ceil(seconds)}" if hints.reset == "seconds" else hints.reset
