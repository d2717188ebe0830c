"""The catalogue: errors that users meet, by name, for scenarios to play.

Names without a prefix are OpenAI's own; `gateway_` ones come from one-api, new-api and their forks, in their words.
"""

from collections.abc import Mapping
from types import MappingProxyType

from batch_runner.fake_server.protocol.complaints import Complaint

NEW_API = "new_api_error"
ONE_API = "one_api_error"
KEYS_PAGE = "You can find your API key at https://platform.openai.com/account/api-keys."
LEARN_MORE = "Visit https://platform.openai.com/account/rate-limits to learn more."
TOO_BUSY = "The engine is currently overloaded, please try again later"


def _openai(status: int, message: str, kind: str = "invalid_request_error", code: str | None = None) -> Complaint:
    return Complaint(status, message, type=kind, code=code)


def _gateway(status: int, message: str, code: str | int | None = "", kind: str = NEW_API) -> Complaint:
    return Complaint(status, message, type=kind, param="", code=code)


def _out_of_money(message: str, code: str) -> Complaint:
    return Complaint(429, message, type="insufficient_quota", code=code)


OPENAI = {
    "invalid_api_key": _openai(401, f"Incorrect API key provided: sk-f***0000. {KEYS_PAGE}", code="invalid_api_key"),
    "invalid_authentication": _openai(401, "Invalid Authentication"),
    "ip_not_authorized": _openai(401, "Your IP is not authorized to access this resource.", code="ip_not_authorized"),
    "not_in_organization": _openai(401, "You must be a member of an organization to use the API"),
    "unsupported_country": _openai(
        403,
        "Country, region, or territory not supported",
        "request_forbidden",
        "unsupported_country_region_territory",
    ),
    "permission_denied": _openai(403, "You have insufficient permissions for this operation."),
    "model_not_found": _openai(
        404, "The model `o1-mini` does not exist or you do not have access to it.", code="model_not_found"
    ),
    "not_a_chat_model": Complaint(
        404,
        "This is not a chat model and thus not supported in the v1/chat/completions endpoint. "
        "Did you mean to use v1/completions?",
        param="model",
    ),
    "request_timeout": _openai(408, "Request timed out.", "timeout"),
    "conflict": _openai(409, "The resource was updated by another request. Please try again."),
    "too_large": _openai(413, "Request body too large. Please shorten it and try again.", code="request_too_large"),
    "unsupported_media_type": _openai(
        415, "Unsupported content type. This API method only accepts 'application/json' requests, but you specified none."
    ),
    "unprocessable": _openai(422, "The request was well-formed but could not be processed."),
    "too_early": _openai(425, "Too early. Please try again."),
    "rate_limit_exceeded": _openai(
        429,
        "Rate limit reached for o1-mini in organization org-fake on requests per min (RPM): Limit 500, Used 500, "
        f"Requested 1. Please try again in 120ms. {LEARN_MORE}",
        "requests",
        "rate_limit_exceeded",
    ),
    "token_limit_exceeded": _openai(
        429,
        "Rate limit reached for o1-mini in organization org-fake on tokens per min (TPM): Limit 200000, Used 162960, "
        f"Requested 42288. Please try again in 1.574s. {LEARN_MORE}",
        "tokens",
        "rate_limit_exceeded",
    ),
    "request_too_large_for_limit": _openai(
        429,
        "Request too large for o1-mini in organization org-fake on tokens per min (TPM): Limit 30000, Requested 42288. "
        f"The input or output tokens must be reduced in order to run successfully. {LEARN_MORE}",
        "tokens",
        "rate_limit_exceeded",
    ),
    "daily_limit_exceeded": _openai(
        429,
        "Rate limit reached for o1-mini in organization org-fake on requests per day (RPD): Limit 200, Used 200, "
        f"Requested 1. Please try again in 7m12s. {LEARN_MORE}",
        "requests",
        "rate_limit_exceeded",
    ),
    "slow_down": _openai(429, "Too many requests at once. Please slow down.", "requests", "slow_down"),
    "flex_unavailable": _openai(429, "Resource Unavailable", "resource_unavailable", "resource_unavailable"),
    "insufficient_quota": _out_of_money(
        "You exceeded your current quota, please check your plan and billing details. For more information on this "
        "error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
        "insufficient_quota",
    ),
    "credit_balance_exhausted": _out_of_money("Your credit balance is exhausted.", "credit_balance_exhausted"),
    "organization_spend_limit": _out_of_money(
        "Your organization has reached its spend limit.", "organization_spend_limit_exceeded"
    ),
    "project_spend_limit": _out_of_money("Your project has reached its spend limit.", "project_spend_limit_exceeded"),
    "organization_usage_limit": _out_of_money(
        "Your organization has reached its usage limit.", "organization_usage_limit_exceeded"
    ),
    "invalid_prompt": _openai(
        400,
        "Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please try again with a "
        "different prompt.",
        code="invalid_prompt",
    ),
    "content_policy_violation": _openai(
        400, "Your request was rejected as a result of our safety system.", code="content_policy_violation"
    ),
    "content_filter": Complaint(
        400,
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify "
        "your prompt and retry.",
        type="invalid_request_error",
        param="prompt",
        code="content_filter",
    ),
    "cyber_policy": _openai(400, "This request was blocked by our policy on cyber abuse.", code="cyber_policy"),
    "context_length_exceeded": Complaint(
        400,
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 200000 tokens. Please "
        "reduce the length of the messages.",
        param="messages",
        code="context_length_exceeded",
    ),
    "server_error": _openai(500, "The server had an error while processing your request. Sorry about that!", "server_error"),
    "bad_gateway": _openai(502, "Bad gateway.", "server_error"),
    "overloaded": _openai(503, TOO_BUSY, "server_error", "overloaded"),
    "slow_down_503": _openai(503, "Slow Down", "server_error", "slow_down"),
    "gateway_timeout": _openai(504, "The upstream did not answer in time.", "server_error"),
}

GATEWAYS = {
    "gateway_invalid_token": _gateway(401, "无效的令牌"),
    "gateway_no_token": Complaint(401, "未提供令牌", type=ONE_API, bare=True),
    "gateway_token_unverified": _gateway(401, "令牌验证失败"),
    "gateway_token_exhausted": _gateway(401, "该令牌额度已用尽 TokenStatusExhausted[sk-fak***000]"),
    "gateway_token_expired": _gateway(401, "该令牌已过期"),
    "gateway_token_disabled": _gateway(401, "该令牌状态不可用"),
    "gateway_user_quota": _gateway(403, "用户额度不足, 剩余额度: ＄0.000000", "insufficient_user_quota"),
    "gateway_user_quota_english": _gateway(403, "user quota is not enough", "insufficient_user_quota", ONE_API),
    "gateway_pre_debit": _gateway(403, "预扣费额度失败, 用户剩余额度不足", "pre_consume_token_quota_failed"),
    "gateway_user_banned": _gateway(403, "用户已被封禁"),
    "gateway_ip_not_allowed": _gateway(403, "您的 IP 不在令牌允许访问的列表中"),
    "gateway_group_disabled": _gateway(403, "令牌分组 vip 已被禁用"),
    "gateway_model_not_allowed": _gateway(403, "该令牌无权访问模型 o1-mini"),
    "gateway_model_not_allowed_new": _gateway(403, "该令牌无权使用模型：o1-mini"),
    "gateway_entitlement": _gateway(403, "该令牌无权访问 o1-mini", "entitlement_denied"),
    "gateway_sensitive_words": _gateway(400, "用户输入包含敏感词", "sensitive_words_detected"),
    "gateway_invalid_text": _gateway(400, "请求内容不合法", "invalid_text_request"),
    "gateway_bad_body": _gateway(400, "invalid character 'x' looking for beginning of value", "bad_request_body"),
    "gateway_invalid_url": _openai(404, "Invalid URL (POST /chat/completions)"),
    "gateway_busy": _gateway(429, "当前分组上游负载已饱和，请稍后再试", "rate_limit_exceeded", "requests"),
    "gateway_busy_rix": _gateway(429, "当前分组上游负载已饱和，请稍后再试", None, "rix_api_error"),
    "gateway_request_limit": _gateway(429, "您已达到总请求数限制：1分钟内最多请求60次，包括失败次数，请检查您的请求是否正确"),
    "gateway_concurrency": _gateway(429, "令牌并发请求数已达上限", "token_concurrency_limit_reached"),
    "gateway_no_channel": _gateway(503, "当前分组 default 下对于模型 o1-mini 无可用渠道"),
    "gateway_bad_row_500": _gateway(500, "请求参数错误", "invalid_request"),
    "gateway_sensitive_words_500": _gateway(500, "用户输入包含敏感词", "sensitive_words_detected"),
    "gateway_no_price_500": _gateway(500, "模型 o1-mini 价格未配置", "model_price_error"),
    "gateway_count_failed_500": _gateway(500, "计算 token 数失败", "count_token_failed"),
    "gateway_upstream_unreachable": _gateway(500, "请求上游地址失败", "do_request_failed"),
    "gateway_upstream_body": _gateway(500, "读取上游响应失败", "read_response_body_failed"),
    "gateway_get_channel_failed": _gateway(500, "获取渠道失败", "get_channel_failed"),
    "gateway_bad_response": _gateway(500, "bad response", "bad_response"),
    "gateway_empty_response": _gateway(500, "empty response", "empty_response"),
    "gateway_panic": Complaint(500, "Panic detected, error: runtime error", type="new_api_panic", bare=True),
    "gateway_claude_overloaded": _gateway(529, "Overloaded", "overloaded_error", "claude_error"),
    "gateway_opaque": Complaint(
        502, "bad response status code 502", type="upstream_error", param="502", code="bad_response_status_code"
    ),
    "gateway_mapped_429": Complaint(
        500, "bad response status code 429", type="upstream_error", param="429", code="bad_response_status_code"
    ),
}

OTHERS = {
    "openrouter_no_credits": Complaint(402, "Insufficient credits. Add more to continue.", code=402, shape="openrouter"),
    "openrouter_in_flight": Complaint(402, "in_flight_budget_exhausted", code=402, shape="openrouter"),
    "openrouter_moderation": Complaint(403, "Your input was flagged by moderation.", code=403, shape="openrouter"),
    "openrouter_bad_gateway": Complaint(502, "Provider returned error", code=502, shape="openrouter"),
    "deepseek_no_balance": _openai(402, "Insufficient Balance", "unknown_error", "invalid_request_error"),
    "vllm_bad_request_old": Complaint(400, "max_tokens must be at least 1", type="BadRequestError", code=400, shape="flat"),
    "vllm_bad_request": Complaint(400, "max_tokens must be at least 1", type="BadRequestError", code=400),
    "azure_rate_limit": Complaint(
        429,
        "Requests have exceeded the rate limit. Please retry after 37 seconds.",
        type="requests",
        code="429",
        headers={"retry-after": "37", "retry-after-ms": "37000", "x-ratelimit-reset-tokens": "-1"},
    ),
    "anthropic_rate_limit": Complaint(
        429,
        "Number of request tokens has exceeded your per-minute rate limit.",
        type="rate_limit_error",
        shape="anthropic",
        headers={"retry-after": "12", "anthropic-ratelimit-requests-remaining": "0"},
    ),
    "anthropic_billing": Complaint(402, "Your credit balance is too low.", type="billing_error", shape="anthropic"),
    "anthropic_overloaded": Complaint(529, "Overloaded", type="overloaded_error", shape="anthropic"),
    "groq_capacity": _openai(498, "Flex tier capacity exceeded.", "capacity_exceeded", "capacity_exceeded"),
    "admin_refusal": Complaint(200, "无权进行此操作，未登录且未提供 access token", shape="admin"),
}

CATALOGUE: Mapping[str, Complaint] = MappingProxyType({**OPENAI, **GATEWAYS, **OTHERS})
