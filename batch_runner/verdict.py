"""What came of an attempt -> Completion | Failure. The body is read before the status is believed. Pure.

Three kinds of no: everyone slow down, this row can't, this run can't. The tables are data, read from the top, first match
counts. Sources: OpenAI's guide "Error codes"; the error bodies of one-api and new-api gateways (`controller/relay.go`,
`middleware/`, `model/token.go`), which forward an upstream's error with the upstream's own status, 200 included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from batch_runner.chat import read_completion, request_id
from batch_runner.failures import Failure, FailureKind, Scope
from batch_runner.json_text import loads_leniently, whole_text
from batch_runner.records import Completion, NoAnswer, Outcome, Reply, Unreached
from batch_runner.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

HEARSAY = frozenset(
    {
        FailureKind.INVALID_KEY,
        FailureKind.NO_ACCESS,
        FailureKind.QUOTA_EXHAUSTED,
        FailureKind.MODEL_NOT_FOUND,
        FailureKind.WRONG_ENDPOINT,
    },
)
"""Kinds that may be about somebody behind the gateway, or a proxy's page that comes and goes."""

GATEWAY_TYPES = frozenset({"one_api_error", "new_api_error", "rix_api_error"})
"""The error types under which a gateway speaks for itself."""

MOST_BODY = 16 * 1024
"""How many characters of a body that is no answer are kept."""

MOST_MESSAGE = 1_000

MOST_WAIT = 86_400.0
"""Nobody is believed who asks to wait longer than a day."""

SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|minutes?|mins?|m|hours?|h|seconds?|secs?|s)?", re.IGNORECASE)
WAIT_HINT = re.compile(rf"(?:try again in|retry after)\s+((?:{SPAN.pattern}\s*)+)", re.IGNORECASE)
UNIT_SECONDS = {"": 1.0, "s": 1.0, "se": 1.0, "m": 60.0, "mi": 60.0, "h": 3600.0, "ho": 3600.0, "ms": 0.001}
NAMED_LIMIT = re.compile(r"\b(requests?|tokens?) per (?:min|minute|day|second)\b", re.IGNORECASE)
NEVER_FITS = re.compile(r"Limit:? (\d{1,18}), Used:? \d+, Requested:? (\d{1,18})\b")

Kind = FailureKind


@dataclass(frozen=True, slots=True)
class Complaint:
    """What an error reply says, whatever its dialect."""

    status: int
    message: str
    type: str
    code: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a table: complaints that look so are failures of this kind and scope."""

    kind: FailureKind
    scope: Scope
    codes: frozenset[str] = frozenset()
    """Matches the complaint's `code` or `type`."""
    words: re.Pattern[str] | None = None
    """Found in the message."""
    statuses: frozenset[int] = frozenset()
    """When given, the status must be one of these as well."""

    def fits(self, complaint: Complaint) -> bool:
        """True when `complaint` looks so."""
        if self.statuses and complaint.status not in self.statuses:
            return False
        if not self.codes and self.words is None:
            return True
        named = complaint.code in self.codes or complaint.type in self.codes
        return named or bool(self.words and self.words.search(complaint.message))


def _rule(kind: Kind, scope: Scope, codes: str = "", words: str = "", statuses: tuple[int, ...] = ()) -> Rule:
    pattern = re.compile(words, re.IGNORECASE) if words else None
    return Rule(kind, scope, frozenset(codes.split()), pattern, frozenset(statuses))


BY_BODY = (
    _rule(Kind.TOO_LARGE, Scope.ROW, words=r"^Request too large for"),
    _rule(
        Kind.QUOTA_EXHAUSTED,
        Scope.RUN,
        codes="insufficient_quota insufficient_user_quota pre_consume_token_quota_failed credit_balance_exhausted"
        " organization_spend_limit_exceeded project_spend_limit_exceeded organization_usage_limit_exceeded"
        " billing_hard_limit_reached",
        words=r"额度已用尽|额度不足|预扣费额度失败|user quota is not enough|exceeded your current quota|Insufficient Balance",
    ),
    _rule(Kind.CONCURRENCY_LIMITED, Scope.EVERYONE, codes="token_concurrency_limit_reached"),
    _rule(
        Kind.RATE_LIMITED,
        Scope.EVERYONE,
        codes="rate_limit_exceeded slow_down rate_limit_error",
        words=r"当前分组上游负载已饱和|您已达到总请求数限制|^Rate limit reached",
    ),
    _rule(
        Kind.INVALID_KEY,
        Scope.RUN,
        words=r"无效的令牌|未提供令牌|令牌验证失败|该令牌已过期|该令牌状态不可用|用户已被封禁",
        statuses=(200, 401, 403),
    ),
    _rule(
        Kind.NO_ACCESS,
        Scope.RUN,
        words=r"该令牌无权访问模型|该令牌无权使用模型|IP 不在令牌允许访问的列表中|令牌分组 .* 已被禁用",
    ),
    _rule(
        Kind.INVALID_KEY,
        Scope.RUN,
        codes="invalid_api_key",
        words=r"^(Incorrect API key provided|Invalid Authentication)",
    ),
    _rule(
        Kind.CHANNEL_DOWN,
        Scope.ROW,
        codes="do_request_failed get_channel_failed",
        words=r"无可用渠道|No available channel",
        statuses=(200, 500, 502, 503),
    ),
    _rule(
        Kind.MODEL_NOT_FOUND,
        Scope.RUN,
        codes="model_not_found",
        words=r"^The model .* does not exist|not a chat model|only supported in v1/responses",
    ),
    _rule(Kind.WRONG_ENDPOINT, Scope.RUN, words=r"^Invalid URL \("),
    _rule(
        Kind.POLICY,
        Scope.ROW,
        codes="invalid_prompt content_policy_violation content_filter cyber_policy sensitive_words_detected",
        words=r"flagged as potentially violating|content management policy",
    ),
    _rule(Kind.POLICY, Scope.ROW, words=r"\bblocked\b", statuses=(400,)),
    _rule(Kind.CONTEXT_TOO_LONG, Scope.ROW, codes="context_length_exceeded", words=r"maximum context length"),
    _rule(
        Kind.UNSUPPORTED_PARAMETER,
        Scope.ROW,
        codes="unsupported_parameter unsupported_value unknown_parameter",
        words=r"^(Unsupported|Unrecognized request argument|Unknown parameter)|is not supported (in|with) this model",
    ),
    _rule(
        Kind.BAD_REQUEST,
        Scope.ROW,
        codes="invalid_request invalid_text_request bad_request_body model_price_error count_token_failed",
        statuses=(200, 400, 500),
    ),
)
"""Words and codes that decide whatever the status says: an administrator may map 429 to 500, and a gateway answers 500
for a row that can never succeed."""

BY_STATUS = (
    _rule(Kind.INVALID_KEY, Scope.RUN, statuses=(401,)),
    _rule(Kind.QUOTA_EXHAUSTED, Scope.RUN, statuses=(402,)),
    _rule(Kind.NO_ACCESS, Scope.RUN, statuses=(403,)),
    _rule(Kind.WRONG_ENDPOINT, Scope.RUN, statuses=(404, 405)),
    _rule(Kind.TOO_LARGE, Scope.ROW, statuses=(413,)),
    _rule(Kind.RATE_LIMITED, Scope.EVERYONE, statuses=(429,)),
    _rule(Kind.SERVER_ERROR, Scope.ROW, statuses=(408, 409, 425)),
    _rule(Kind.OVERLOADED, Scope.ROW, statuses=(498, 503, 529)),
    _rule(Kind.TIMEOUT, Scope.ROW, statuses=(504, 522, 524)),
)
"""What a status means when its body says nothing. 504 and 524 are a proxy's word that the service was still working."""


def judge(outcome: Outcome, *, now: float, own_model: bool = False, key: str | None = None) -> Completion | Failure:
    """The answer, or what stood in its way and whom that is about.

    `now`: seconds since 1970, which a `Retry-After` date is held against. `own_model`: the row itself named its model, so a
    model that doesn't exist is the row's fault, not the run's. `key` is masked in whatever is kept of the service's words.
    """
    if isinstance(outcome, Unreached):
        return _judge_unreached(outcome, key)
    if isinstance(outcome, NoAnswer):
        return Failure(_kind_of_loss(outcome), Scope.ROW, redact(outcome.reason, key))
    completion = read_completion(outcome)
    return completion if completion is not None else _judge_reply(outcome, now=now, own_model=own_model, key=key)


def _judge_unreached(outcome: Unreached, key: str | None) -> Failure:
    """Nobody there may pass; a certificate that isn't trusted won't, unless somebody else answers for the host just now."""
    if outcome.untrusted:
        message = f"{redact(outcome.reason, key)}: if it is to be trusted, name its authority with --ca-bundle"
        return Failure(Kind.UNREACHABLE, Scope.RUN, message, hearsay=True)
    return Failure(Kind.UNREACHABLE, Scope.ROW, redact(outcome.reason, key))


def told_wait(headers: Mapping[str, str], message: str, *, now: float) -> float | None:
    """Seconds that a reply asks us to wait: `retry-after-ms`, `Retry-After` in seconds or as a date, or a hint in the text."""
    wait = _wait_in_headers(headers, now)
    if wait is None:
        wait = _wait_in_words(message)
    return None if wait is None else min(max(0.0, wait), MOST_WAIT)


def _wait_in_headers(headers: Mapping[str, str], now: float) -> float | None:
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"-?\d+(\.\d+)?", value, re.ASCII):
            return float(value) * scale
    try:
        return parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None


def _wait_in_words(message: str) -> float | None:
    """`try again in 1.574s`, `7m12s`, `2 minutes`; `retry after 37 seconds`."""
    hint = WAIT_HINT.search(message)
    if hint is None:
        return None
    return sum(float(number) * UNIT_SECONDS[unit[:2].lower()] for number, unit in SPAN.findall(hint[1]))


def _kind_of_loss(outcome: NoAnswer) -> FailureKind:
    if outcome.interrupted:
        return Kind.INTERRUPTED
    return Kind.TIMEOUT if outcome.timed_out else Kind.CONNECTION_LOST


def _judge_reply(reply: Reply, *, now: float, own_model: bool, key: str | None) -> Failure:
    body = loads_leniently(reply.body)
    complaint = read_complaint(reply.status, body)
    kind, scope, message = _kind_of_reply(reply, complaint, own_model=own_model)
    return Failure(
        kind,
        scope,
        redact(whole_text(message), key)[:MOST_MESSAGE],
        http_status=reply.status,
        request_id=request_id(reply.headers),
        wait=told_wait(reply.headers, message, now=now),
        body=redact(reply.body.decode(errors="replace"), key)[:MOST_BODY],
        limit=_limit_named(complaint) if scope is Scope.EVERYONE else "",
        again={"true": True, "false": False}.get(reply.headers.get("x-should-retry", "").strip().lower()),
        hearsay=kind in HEARSAY and (complaint is None or complaint.type not in GATEWAY_TYPES),
    )


def _kind_of_reply(reply: Reply, complaint: Complaint | None, *, own_model: bool) -> tuple[FailureKind, Scope, str]:
    if 300 <= reply.status < 400:  # noqa: PLR2004 - redirections
        return (
            Kind.WRONG_ENDPOINT,
            Scope.RUN,
            f"redirected to {_place(reply.headers.get('location', ''))}: give that address as --endpoint",
        )
    if complaint is None:
        return _kind_of_silence(reply)
    message = complaint.message or f"HTTP {complaint.status} without a word"
    if _never_fits(message):
        return Kind.TOO_LARGE, Scope.ROW, message
    rule = next((rule for rule in (*BY_BODY, *BY_STATUS) if rule.fits(complaint)), None)
    if rule is None:
        kind = Kind.SERVER_ERROR if complaint.status >= 500 or complaint.status < 400 else Kind.BAD_REQUEST  # noqa: PLR2004
        return kind, Scope.ROW, message
    if rule.kind is Kind.MODEL_NOT_FOUND and own_model:
        return rule.kind, Scope.ROW, message
    return rule.kind, rule.scope, message


def _limit_named(complaint: Complaint | None) -> str:
    """Which limit a refusal is about, as OpenAI's `type` or message says."""
    if complaint is None:
        return ""
    if complaint.type in {"requests", "tokens"}:
        return complaint.type
    named = NAMED_LIMIT.search(complaint.message)
    return "" if named is None else named[1].lower().removesuffix("s") + "s"


def _never_fits(message: str) -> bool:
    """True when one request asks for more tokens than the limit is: no waiting helps."""
    told = NEVER_FITS.search(message)
    return told is not None and int(told[2]) > int(told[1])


def _kind_of_silence(reply: Reply) -> tuple[FailureKind, Scope, str]:
    """A reply that is neither an answer nor an error we can read: a proxy's page, an empty body, half an answer."""
    seen = f"HTTP {reply.status} with {_glimpse(reply)}"
    if reply.status < 300 and _is_html(reply):  # noqa: PLR2004 - success
        return Kind.WRONG_ENDPOINT, Scope.RUN, f"{seen}: that address is a web page, not an API; does it lack /v1?"
    if reply.status < 300:  # noqa: PLR2004
        return Kind.UNREADABLE_REPLY, Scope.ROW, seen
    rule = next((rule for rule in BY_STATUS if reply.status in rule.statuses), None)
    if rule is not None:
        return rule.kind, rule.scope, seen
    return (Kind.SERVER_ERROR if reply.status >= 500 else Kind.BAD_REQUEST), Scope.ROW, seen  # noqa: PLR2004


def read_complaint(status: int, body: Any) -> Complaint | None:
    """The error in a parsed body: OpenAI's and the gateways' `{"error": …}`, vLLM's flat one, `{"success": false}`; or `None`."""
    if not isinstance(body, dict):
        return None
    error = body.get("error")
    if isinstance(error, str) and error:
        return Complaint(status, _text(body.get("message")) or error, "", error)
    if not isinstance(error, dict):
        if body.get("object") != "error" and body.get("success") is not False and "detail" not in body:
            return None
        error = body
    kind = _text(error.get("type"))
    real = _text(error.get("param")) if kind == "upstream_error" else ""
    if re.fullmatch(r"[1-5]\d\d", real):  # a gateway hides the upstream's status there
        status = int(real)
    message = _text(error.get("message")) or _text(error.get("detail"))
    return Complaint(status, message, kind, _text(error.get("code")))


def _place(location: str) -> str:
    return redact(location.split("?", maxsplit=1)[0].removesuffix("/chat/completions")) or "an unnamed place"


def _is_html(reply: Reply) -> bool:
    start = reply.body[:200].lstrip().lower()
    return "html" in reply.headers.get("content-type", "") or start.startswith((b"<!doctype", b"<html"))


def _glimpse(reply: Reply) -> str:
    text = reply.body.decode(errors="replace")
    title = re.search(r"<title>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    if title:
        return f"the page “{' '.join(title[1].split())[:80]}”"
    text = " ".join(text.split())
    return f"the text {text[:80]!r}" if text else "an empty body"


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
