"""Error replies in every dialect -> what they complain of -> the failure kind, and whom that is about. Tables as data. Pure.

Read from the top, the first match counts. Sources: OpenAI's guide "Error codes"; the error bodies of one-api and new-api
gateways (`controller/relay.go`, `middleware/`, `model/token.go`, `types/error.go`), which forward an upstream's error with the
upstream's own status, 200 included; the error pages of OpenRouter, DeepSeek, vLLM, Azure, Anthropic and Groq.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from batch_runner.failures import FailureKind, Scope

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
    about_model: bool = False
    """It is about the model asked for: the row's own matter where the row named it."""

    def fits(self, complaint: Complaint) -> bool:
        """True when `complaint` looks so."""
        if self.statuses and complaint.status not in self.statuses:
            return False
        if not self.codes and self.words is None:
            return True
        named = complaint.code in self.codes or complaint.type in self.codes
        return named or bool(self.words and self.words.search(complaint.message))


def _rule(
    kind: Kind, scope: Scope, codes: str = "", words: str = "", statuses: tuple[int, ...] = (), *, about_model: bool = False
) -> Rule:
    pattern = re.compile(words, re.IGNORECASE) if words else None
    return Rule(kind, scope, frozenset(codes.split()), pattern, frozenset(statuses), about_model)


BY_BODY = (
    _rule(Kind.TOO_LARGE, Scope.ROW, words=r"^Request too large for"),
    _rule(
        Kind.CONCURRENCY_LIMITED,
        Scope.EVERYONE,
        codes="token_concurrency_limit_reached in_flight_budget_exhausted",
        words=r"in_flight_budget_exhausted",
    ),
    _rule(
        Kind.QUOTA_EXHAUSTED,
        Scope.RUN,
        codes="insufficient_quota insufficient_user_quota pre_consume_token_quota_failed credit_balance_exhausted"
        " organization_spend_limit_exceeded project_spend_limit_exceeded organization_usage_limit_exceeded"
        " billing_hard_limit_reached billing_error",
        words=r"额度已用尽|额度不足|预扣费额度失败|user quota is not enough|exceeded your current quota|Insufficient Balance"
        r"|credit balance is too low",
    ),
    _rule(
        Kind.RATE_LIMITED,
        Scope.EVERYONE,
        codes="rate_limit_exceeded slow_down rate_limit_error",
        words=r"当前分组上游负载已饱和|分钟内最多请求|^Rate limit reached",
    ),
    _rule(Kind.OVERLOADED, Scope.ROW, codes="overloaded overloaded_error capacity_exceeded"),
    _rule(
        Kind.INVALID_KEY,
        Scope.RUN,
        codes="invalid_api_key",
        words=r"无效的令牌|未提供令牌|令牌验证失败|该令牌已过期|该令牌状态不可用|用户已被封禁|未登录"
        r"|^Incorrect API key provided|^Invalid Authentication",
    ),
    _rule(Kind.NO_ACCESS, Scope.RUN, words=r"该令牌无权(访问|使用)", about_model=True),
    _rule(Kind.NO_ACCESS, Scope.RUN, words=r"IP 不在令牌允许访问的列表中|令牌分组 .* 已被禁用"),
    _rule(Kind.CHANNEL_DOWN, Scope.ROW, codes="get_channel_failed", words=r"无可用渠道|No available channel"),
    _rule(
        Kind.MODEL_NOT_FOUND,
        Scope.RUN,
        codes="model_not_found",
        words=r"^The model .* does not exist|not a chat model|only supported in v1/responses",
        about_model=True,
    ),
    _rule(Kind.WRONG_ENDPOINT, Scope.RUN, words=r"^Invalid URL \("),
    _rule(
        Kind.POLICY,
        Scope.ROW,
        codes="invalid_prompt content_policy_violation content_filter cyber_policy sensitive_words_detected",
        words=r"flagged as potentially violating|content management policy|flagged by moderation|requires moderation"
        r"|input was flagged",
    ),
    _rule(Kind.POLICY, Scope.ROW, words=r"\bblocked\b", statuses=(400,)),
    _rule(Kind.CONTEXT_TOO_LONG, Scope.ROW, codes="context_length_exceeded", words=r"maximum context length"),
    _rule(
        Kind.UNSUPPORTED_PARAMETER,
        Scope.ROW,
        codes="unsupported_parameter unsupported_value unknown_parameter",
        words=r"^Unsupported (parameter|value)|^Unrecognized request argument|^Unknown parameter"
        r"|is not supported (in|with) this model",
    ),
    _rule(
        Kind.BAD_REQUEST,
        Scope.ROW,
        codes="invalid_request invalid_text_request bad_request_body model_price_error count_token_failed",
        statuses=(200, 400, 500),
    ),
    _rule(
        Kind.SERVER_ERROR,
        Scope.ROW,
        codes="do_request_failed read_response_body_failed bad_response empty_response new_api_panic",
        statuses=(200, 500, 502),
    ),
)
"""Words and codes that decide whatever the status says: an administrator may map 429 to 500 or 401 to 503, and a gateway
answers 500 for a row that can never succeed."""

BY_STATUS = (
    _rule(Kind.INVALID_KEY, Scope.RUN, statuses=(401,)),
    _rule(Kind.QUOTA_EXHAUSTED, Scope.RUN, statuses=(402,)),
    _rule(Kind.NO_ACCESS, Scope.RUN, statuses=(403,)),
    _rule(Kind.WRONG_ENDPOINT, Scope.RUN, statuses=(404, 405, 501)),
    _rule(Kind.TOO_LARGE, Scope.ROW, statuses=(413,)),
    _rule(Kind.RATE_LIMITED, Scope.EVERYONE, statuses=(429,)),
    _rule(Kind.SERVER_ERROR, Scope.ROW, statuses=(408, 409, 425)),
    _rule(Kind.OVERLOADED, Scope.ROW, statuses=(498, 503, 529)),
    _rule(Kind.TIMEOUT, Scope.ROW, statuses=(504, 522, 524)),
)
"""What a status means when its body says nothing. 504 and 524 are a proxy's word that the service was still working."""


def rule_for(complaint: Complaint) -> Rule | None:
    """The first rule that fits, in the body's words or else by the status."""
    return next((rule for rule in (*BY_BODY, *BY_STATUS) if rule.fits(complaint)), None)


def rule_for_status(status: int) -> Rule:
    """What a status means without a word."""
    bare = next((rule for rule in BY_STATUS if status in rule.statuses), None)
    return bare or Rule(Kind.BAD_REQUEST if 400 <= status < 500 else Kind.SERVER_ERROR, Scope.ROW)  # noqa: PLR2004 - the client's


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
    code = _text(error.get("code"))
    if re.fullmatch(r"[1-5]\d\d", real):  # a gateway hides the upstream's status there
        status = int(real)
    elif status < 400 and re.fullmatch(r"[45]\d\d", code):  # noqa: PLR2004 - OpenRouter's errors inside a success
        status = int(code)
    message = _text(error.get("message")) or _text(error.get("detail"))
    return Complaint(status, message, kind, code)


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
