"""Every answer of the contract's error tables, as services send it: its kind, and whom it is about."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batch_runner.error_replies import BY_BODY, BY_STATUS
from batch_runner.failures import Failure, FailureKind, Scope
from batch_runner.fake_server.protocol.catalogue import CATALOGUE
from batch_runner.records import Reply
from batch_runner.verdict import judge

K = FailureKind
ROW, EVERYONE, RUN = Scope.ROW, Scope.EVERYONE, Scope.RUN


def failure_of(status: int, body: Any, *, seconds: float = 1.0, own_model: bool = False) -> Failure:
    data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    verdict = judge(Reply(status, {}, data, seconds), now=0.0, own_model=own_model)
    assert isinstance(verdict, Failure), verdict
    return verdict


def error(message: str, code: Any = None, type: str = "invalid_request_error", param: Any = None) -> dict[str, Any]:  # noqa: A002 - the API's word
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


CATALOGUED: dict[str, tuple[FailureKind, Scope]] = {
    "invalid_api_key": (K.INVALID_KEY, RUN),
    "invalid_authentication": (K.INVALID_KEY, RUN),
    "ip_not_authorized": (K.INVALID_KEY, RUN),
    "not_in_organization": (K.INVALID_KEY, RUN),
    "unsupported_country": (K.NO_ACCESS, RUN),
    "permission_denied": (K.NO_ACCESS, RUN),
    "model_not_found": (K.MODEL_NOT_FOUND, RUN),
    "not_a_chat_model": (K.MODEL_NOT_FOUND, RUN),
    "request_timeout": (K.SERVER_ERROR, ROW),
    "conflict": (K.SERVER_ERROR, ROW),
    "too_large": (K.TOO_LARGE, ROW),
    "unsupported_media_type": (K.BAD_REQUEST, ROW),
    "unprocessable": (K.BAD_REQUEST, ROW),
    "too_early": (K.SERVER_ERROR, ROW),
    "rate_limit_exceeded": (K.RATE_LIMITED, EVERYONE),
    "token_limit_exceeded": (K.RATE_LIMITED, EVERYONE),
    "request_too_large_for_limit": (K.TOO_LARGE, ROW),
    "daily_limit_exceeded": (K.RATE_LIMITED, EVERYONE),
    "slow_down": (K.RATE_LIMITED, EVERYONE),
    "flex_unavailable": (K.RATE_LIMITED, EVERYONE),
    "insufficient_quota": (K.QUOTA_EXHAUSTED, RUN),
    "credit_balance_exhausted": (K.QUOTA_EXHAUSTED, RUN),
    "organization_spend_limit": (K.QUOTA_EXHAUSTED, RUN),
    "project_spend_limit": (K.QUOTA_EXHAUSTED, RUN),
    "organization_usage_limit": (K.QUOTA_EXHAUSTED, RUN),
    "invalid_prompt": (K.POLICY, ROW),
    "content_policy_violation": (K.POLICY, ROW),
    "content_filter": (K.POLICY, ROW),
    "cyber_policy": (K.POLICY, ROW),
    "context_length_exceeded": (K.CONTEXT_TOO_LONG, ROW),
    "server_error": (K.SERVER_ERROR, ROW),
    "bad_gateway": (K.SERVER_ERROR, ROW),
    "overloaded": (K.OVERLOADED, ROW),
    "slow_down_503": (K.RATE_LIMITED, EVERYONE),
    "gateway_timeout": (K.TIMEOUT, ROW),
    "gateway_invalid_token": (K.INVALID_KEY, RUN),
    "gateway_no_token": (K.INVALID_KEY, RUN),
    "gateway_token_unverified": (K.INVALID_KEY, RUN),
    "gateway_token_exhausted": (K.QUOTA_EXHAUSTED, RUN),
    "gateway_token_expired": (K.INVALID_KEY, RUN),
    "gateway_token_disabled": (K.INVALID_KEY, RUN),
    "gateway_user_quota": (K.QUOTA_EXHAUSTED, RUN),
    "gateway_user_quota_english": (K.QUOTA_EXHAUSTED, RUN),
    "gateway_pre_debit": (K.QUOTA_EXHAUSTED, RUN),
    "gateway_user_banned": (K.INVALID_KEY, RUN),
    "gateway_ip_not_allowed": (K.NO_ACCESS, RUN),
    "gateway_group_disabled": (K.NO_ACCESS, RUN),
    "gateway_model_not_allowed": (K.NO_ACCESS, RUN),
    "gateway_model_not_allowed_new": (K.NO_ACCESS, RUN),
    "gateway_entitlement": (K.NO_ACCESS, RUN),
    "gateway_sensitive_words": (K.POLICY, ROW),
    "gateway_invalid_text": (K.BAD_REQUEST, ROW),
    "gateway_bad_body": (K.BAD_REQUEST, ROW),
    "gateway_invalid_url": (K.WRONG_ENDPOINT, RUN),
    "gateway_busy": (K.RATE_LIMITED, EVERYONE),
    "gateway_busy_rix": (K.RATE_LIMITED, EVERYONE),
    "gateway_request_limit": (K.RATE_LIMITED, EVERYONE),
    "gateway_concurrency": (K.CONCURRENCY_LIMITED, EVERYONE),
    "gateway_no_channel": (K.CHANNEL_DOWN, ROW),
    "gateway_bad_row_500": (K.BAD_REQUEST, ROW),
    "gateway_sensitive_words_500": (K.POLICY, ROW),
    "gateway_no_price_500": (K.BAD_REQUEST, ROW),
    "gateway_count_failed_500": (K.BAD_REQUEST, ROW),
    "gateway_upstream_unreachable": (K.SERVER_ERROR, ROW),
    "gateway_upstream_body": (K.SERVER_ERROR, ROW),
    "gateway_get_channel_failed": (K.CHANNEL_DOWN, ROW),
    "gateway_bad_response": (K.SERVER_ERROR, ROW),
    "gateway_empty_response": (K.SERVER_ERROR, ROW),
    "gateway_panic": (K.SERVER_ERROR, ROW),
    "gateway_claude_overloaded": (K.OVERLOADED, ROW),
    "gateway_opaque": (K.SERVER_ERROR, ROW),
    "gateway_mapped_429": (K.RATE_LIMITED, EVERYONE),
    "openrouter_no_credits": (K.QUOTA_EXHAUSTED, RUN),
    "openrouter_in_flight": (K.CONCURRENCY_LIMITED, EVERYONE),
    "openrouter_moderation": (K.POLICY, ROW),
    "openrouter_bad_gateway": (K.SERVER_ERROR, ROW),
    "deepseek_no_balance": (K.QUOTA_EXHAUSTED, RUN),
    "vllm_bad_request_old": (K.BAD_REQUEST, ROW),
    "vllm_bad_request": (K.BAD_REQUEST, ROW),
    "azure_rate_limit": (K.RATE_LIMITED, EVERYONE),
    "anthropic_rate_limit": (K.RATE_LIMITED, EVERYONE),
    "anthropic_billing": (K.QUOTA_EXHAUSTED, RUN),
    "anthropic_overloaded": (K.OVERLOADED, ROW),
    "groq_capacity": (K.OVERLOADED, ROW),
    "admin_refusal": (K.INVALID_KEY, RUN),
}
"""What each error of the fake gateway's catalogue is."""

MEANT_BY_WORDS = {
    name
    for name, (kind, _) in CATALOGUED.items()
    if kind in {K.QUOTA_EXHAUSTED, K.POLICY, K.CONTEXT_TOO_LONG, K.MODEL_NOT_FOUND, K.CONCURRENCY_LIMITED}
    or (name.startswith("gateway_") and kind in {K.INVALID_KEY, K.NO_ACCESS, K.RATE_LIMITED, K.CHANNEL_DOWN})
} - {"gateway_mapped_429", "openrouter_no_credits"}
"""Those whose words or code alone tell what they are."""


def sent(name: str, status: int | None = None) -> Failure:
    complaint = CATALOGUE[name].answered_with(status=status, headers={})
    return failure_of(complaint.status, complaint.body("req-1"))


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_error_that_users_meet_is_known_for_what_it_is(name: str) -> None:
    failure = sent(name)

    assert (failure.kind, failure.scope) == CATALOGUED[name]
    assert failure.message


@pytest.mark.parametrize("status", [200, 500, 503])
@pytest.mark.parametrize("name", sorted(MEANT_BY_WORDS))
def test_words_count_whatever_status_an_administrator_has_mapped_them_to(name: str, status: int) -> None:
    failure = sent(name, status)

    assert (failure.kind, failure.scope) == CATALOGUED[name]


UNSUPPORTED = K.UNSUPPORTED_PARAMETER
MAX_TOKENS = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
TEMPERATURE = "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is supported."
ROLE = "Unsupported value: 'messages[0].role' does not support 'system' with this model."
STREAM = "Unsupported value: 'stream' does not support true with this model. Only the default (false) value is supported."
PARALLEL = "Unsupported parameter: 'parallel_tool_calls' is not supported with this model."
TOOLS = "tools is not supported in this model. For a list of supported models, refer to https://platform.openai.com."
SCHEMA = "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."
MOVED = "Unsupported parameter: 'reasoning_effort'. In the Responses API, this parameter has moved to 'reasoning.effort'."
LONG = "This model's maximum context length is 128000 tokens. However, your messages resulted in 150000 tokens."
CAP = "max_tokens is too large: 8192. This model supports at most 4096 completion tokens, whereas you provided 8192."
FLAGGED = "Invalid prompt: your prompt was flagged as potentially violating our usage policy."
NOT_CHAT = "This is not a chat model and thus not supported in the v1/chat/completions endpoint."
RESPONSES = "This model is only supported in v1/responses and not in v1/chat/completions."
NO_SUCH = "The model `x` does not exist or you do not have access to it."


@pytest.mark.parametrize(
    ("status", "message", "code", "kind", "scope"),
    [
        pytest.param(400, MAX_TOKENS, "unsupported_parameter", UNSUPPORTED, ROW, id="max_tokens"),
        pytest.param(400, TEMPERATURE, "unsupported_value", UNSUPPORTED, ROW, id="temperature"),
        pytest.param(400, ROLE, "unsupported_value", UNSUPPORTED, ROW, id="system role"),
        pytest.param(400, STREAM, "unsupported_value", UNSUPPORTED, ROW, id="stream"),
        pytest.param(400, PARALLEL, "unsupported_parameter", UNSUPPORTED, ROW, id="parallel_tool_calls"),
        pytest.param(400, TOOLS, None, UNSUPPORTED, ROW, id="tools"),
        pytest.param(400, SCHEMA, None, UNSUPPORTED, ROW, id="json_schema"),
        pytest.param(400, "Unrecognized request argument supplied: reasoning_effort", None, UNSUPPORTED, ROW, id="effort"),
        pytest.param(400, "Unknown parameter: 'reasoning_effort'.", None, UNSUPPORTED, ROW, id="effort at Azure"),
        pytest.param(400, MOVED, "unsupported_parameter", UNSUPPORTED, ROW, id="a chat field on Responses"),
        pytest.param(400, FLAGGED, "invalid_prompt", K.POLICY, ROW, id="flagged"),
        pytest.param(400, LONG, "context_length_exceeded", K.CONTEXT_TOO_LONG, ROW, id="too long"),
        pytest.param(400, CAP, None, K.BAD_REQUEST, ROW, id="cap too large"),
        pytest.param(404, NOT_CHAT, None, K.MODEL_NOT_FOUND, RUN, id="o1-pro on chat"),
        pytest.param(404, RESPONSES, None, K.MODEL_NOT_FOUND, RUN, id="o3-pro on chat"),
        pytest.param(404, NO_SUCH, "model_not_found", K.MODEL_NOT_FOUND, RUN, id="unknown model"),
    ],
)
def test_what_a_model_does_not_take(status: int, message: str, code: str | None, kind: FailureKind, scope: Scope) -> None:
    failure = failure_of(status, error(message, code))

    assert (failure.kind, failure.scope, failure.message) == (kind, scope, message)


@pytest.mark.parametrize("status", [520, 521, 523, 525, 526, 527])
def test_a_page_of_the_cloud_in_between_is_the_servers_trouble(status: int) -> None:
    assert failure_of(status, b"<html><title>error</title></html>").kind is K.SERVER_ERROR


def test_too_many_requests_without_a_word_is_a_gateways_limit_by_address() -> None:
    failure = failure_of(429, b"")

    assert (failure.kind, failure.scope) == (K.RATE_LIMITED, EVERYONE)


@pytest.mark.parametrize(
    ("code", "kind", "scope"),
    [(402, K.QUOTA_EXHAUSTED, RUN), (429, K.RATE_LIMITED, EVERYONE), (503, K.OVERLOADED, ROW), (400, K.BAD_REQUEST, ROW)],
)
def test_an_error_inside_a_success_tells_its_status_in_its_code(code: int, kind: FailureKind, scope: Scope) -> None:
    failure = failure_of(200, {"error": {"code": code, "message": "no", "metadata": {}}})

    assert (failure.kind, failure.scope, failure.http_status) == (kind, scope, 200)


@pytest.mark.parametrize(
    "name", ["model_not_found", "not_a_chat_model", "gateway_model_not_allowed", "gateway_model_not_allowed_new"]
)
def test_a_model_that_a_row_named_itself_is_the_rows_own_matter(name: str) -> None:
    complaint = CATALOGUE[name]

    assert failure_of(complaint.status, complaint.body(""), own_model=True).scope is ROW
    assert failure_of(complaint.status, complaint.body("")).scope is RUN


@pytest.mark.parametrize(("seconds", "kind"), [(2.0, K.SERVER_ERROR), (60.0, K.TIMEOUT)])
def test_an_upstream_that_was_given_up_after_a_minute_may_have_billed(seconds: float, kind: FailureKind) -> None:
    assert failure_of(500, error("请求上游地址失败", "do_request_failed", "new_api_error"), seconds=seconds).kind is kind


@pytest.mark.parametrize(
    ("message", "rpm"),
    [
        ("您已达到总请求数限制：1分钟内最多请求60次，包括失败次数", 60.0),
        ("您已达到请求数限制：5分钟内最多请求1000次", 200.0),
        ("您已达到请求数限制：0分钟内最多请求60次", None),
        ("当前分组上游负载已饱和，请稍后再试", None),
    ],
)
def test_a_gateways_own_limit_is_read(message: str, rpm: float | None) -> None:
    assert failure_of(429, error(message, "", "new_api_error")).rpm == rpm


def test_every_rule_has_something_to_go_by() -> None:
    assert all(rule.codes or rule.words or rule.statuses for rule in (*BY_BODY, *BY_STATUS))


def test_every_error_of_the_catalogue_has_its_verdict_here() -> None:
    assert set(CATALOGUED) == set(CATALOGUE)
