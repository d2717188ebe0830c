import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.failures import Failure, FailureKind, Scope
from batch_runner.hints import told_wait
from batch_runner.records import Completion, NoAnswer, Reply, Status, Unreached, Usage
from batch_runner.verdict import MOST_BODY, judge

K = FailureKind
UNSUPPORTED = K.UNSUPPORTED_PARAMETER
ROW, EVERYONE, RUN = Scope.ROW, Scope.EVERYONE, Scope.RUN
KEY = "sk-proj-abcdefgh12345678"

TOO_FAST = (
    "Rate limit reached for o1-mini in organization org-abc on tokens per min (TPM): "
    "Limit 200000, Used 162960, Requested 42288. Please try again in 1.574s."
)
TOO_MUCH = "Request too large for o1 in organization org-abc on tokens per min (TPM): Limit 30000, Requested 41500."
NEVER = "Rate limit reached for o1 on tokens per min (TPM): Limit 10000, Used 0, Requested 20000. Please try again in 60s."
NO_MONEY = "You exceeded your current quota, please check your plan and billing details."
WRONG_KEY = "Incorrect API key provided: sk-abc***xyz. You can find your API key at https://platform.openai.com."
BAD_URL = "Invalid URL (POST /v1/v1/chat/completions)"
NO_SUCH = "The model `x` does not exist or you do not have access to it."
NOT_CHAT = "This is not a chat model and thus not supported in the v1/chat/completions endpoint."
RESPONSES_ONLY = "This model is only supported in v1/responses and not in v1/chat/completions."
FLAGGED = "Invalid prompt: your prompt was flagged as potentially violating our usage policy."
LONG = "This model's maximum context length is 128000 tokens. However, your messages resulted in 150000 tokens."
VLLM_404 = {"object": "error", "message": NO_SUCH, "type": "NotFoundError", "code": 404}
NO_CHANNEL = "No available channel for model o1 under group default"
CAP_TOO_LARGE = "max_tokens is too large: 8192. This model supports at most 4096 completion tokens."


def a_reply(body: bytes | str | dict[str, Any] = b"", status: int = 200, **headers: str) -> Reply:
    if isinstance(body, dict):
        body = json.dumps(body, ensure_ascii=False)
    data = body.encode(errors="surrogatepass") if isinstance(body, str) else body
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, data, 1.0)


def error(message: str = "", type: str = "", code: Any = None, **more: Any) -> dict[str, Any]:  # noqa: A002 - the API's word
    return {"error": {"message": message, "type": type, "code": code} | more}


def openai(message: str, code: Any = None) -> dict[str, Any]:
    return error(message, "invalid_request_error", code, param=None)


def gateway(message: str, code: Any = "", type: str = "new_api_error") -> dict[str, Any]:  # noqa: A002 - the API's word
    return error(f"{message} (request id: 20260101)", type, code, param="")


def hidden(status: str) -> dict[str, Any]:
    """An error under which a gateway hides the upstream's status."""
    return error("x", "upstream_error", "bad_response_status_code", param=status)


def failure_of(reply: Reply, *, own_model: bool = False, key: str | None = None) -> Failure:
    verdict = judge(reply, now=0.0, own_model=own_model, key=key)
    assert isinstance(verdict, Failure), verdict
    return verdict


# what the service says itself


@pytest.mark.parametrize(
    ("status", "body", "kind", "scope"),
    [
        pytest.param(400, openai("Unsupported: 'max_tokens'", "unsupported_parameter"), UNSUPPORTED, ROW, id="max_tokens"),
        pytest.param(400, openai("Unsupported value: 'temperature'", "unsupported_value"), UNSUPPORTED, ROW, id="temperature"),
        pytest.param(400, openai("Unrecognized request argument supplied: x"), UNSUPPORTED, ROW, id="unrecognized"),
        pytest.param(400, openai("Unknown parameter: 'reasoning_effort'."), UNSUPPORTED, ROW, id="unknown"),
        pytest.param(400, openai("tools is not supported in this model."), UNSUPPORTED, ROW, id="tools"),
        pytest.param(400, openai("'json_schema' is not supported with this model."), UNSUPPORTED, ROW, id="json_schema"),
        pytest.param(400, openai(LONG, "context_length_exceeded"), K.CONTEXT_TOO_LONG, ROW, id="too long"),
        pytest.param(400, openai(LONG), K.CONTEXT_TOO_LONG, ROW, id="too long, in words"),
        pytest.param(400, openai(CAP_TOO_LARGE), K.BAD_REQUEST, ROW, id="cap too large"),
        pytest.param(400, openai(FLAGGED, "invalid_prompt"), K.POLICY, ROW, id="flagged"),
        pytest.param(400, openai(FLAGGED), K.POLICY, ROW, id="flagged, in words"),
        pytest.param(400, openai("no", "content_policy_violation"), K.POLICY, ROW, id="content policy"),
        pytest.param(400, openai("no", "content_filter"), K.POLICY, ROW, id="content filter"),
        pytest.param(400, openai("no", "cyber_policy"), K.POLICY, ROW, id="cyber policy"),
        pytest.param(400, openai("Your request was blocked."), K.POLICY, ROW, id="blocked"),
        pytest.param(400, openai("something else"), K.BAD_REQUEST, ROW, id="any other 400"),
        pytest.param(401, openai(WRONG_KEY, "invalid_api_key"), K.INVALID_KEY, RUN, id="wrong key"),
        pytest.param(401, openai("Invalid Authentication"), K.INVALID_KEY, RUN, id="invalid authentication"),
        pytest.param(401, openai("Your IP is not authorized"), K.INVALID_KEY, RUN, id="any other 401"),
        pytest.param(402, error("Insufficient Balance"), K.QUOTA_EXHAUSTED, RUN, id="no balance"),
        pytest.param(402, error("pay"), K.QUOTA_EXHAUSTED, RUN, id="any other 402"),
        pytest.param(403, openai("Country, region, or territory not supported"), K.NO_ACCESS, RUN, id="country"),
        pytest.param(404, openai(NO_SUCH, "model_not_found"), K.MODEL_NOT_FOUND, RUN, id="no such model"),
        pytest.param(404, VLLM_404, K.MODEL_NOT_FOUND, RUN, id="vLLM"),
        pytest.param(404, openai(NOT_CHAT), K.MODEL_NOT_FOUND, RUN, id="not a chat model"),
        pytest.param(404, openai(RESPONSES_ONLY), K.MODEL_NOT_FOUND, RUN, id="only responses"),
        pytest.param(404, openai(BAD_URL), K.WRONG_ENDPOINT, RUN, id="wrong address"),
        pytest.param(404, {"detail": "Not Found"}, K.WRONG_ENDPOINT, RUN, id="FastAPI's 404"),
        pytest.param(405, {"detail": "Method Not Allowed"}, K.WRONG_ENDPOINT, RUN, id="wrong method"),
        pytest.param(408, error("Request timeout"), K.SERVER_ERROR, ROW, id="408"),
        pytest.param(409, error("Conflict"), K.SERVER_ERROR, ROW, id="409"),
        pytest.param(413, error("Payload too large"), K.TOO_LARGE, ROW, id="413"),
        pytest.param(415, error("media"), K.BAD_REQUEST, ROW, id="415"),
        pytest.param(422, {"detail": [{"loc": ["body"]}]}, K.BAD_REQUEST, ROW, id="422"),
        pytest.param(429, error(TOO_FAST, "tokens", "rate_limit_exceeded"), K.RATE_LIMITED, EVERYONE, id="slow down"),
        pytest.param(429, error("slow", "x", "slow_down"), K.RATE_LIMITED, EVERYONE, id="slow_down"),
        pytest.param(429, error("whatever"), K.RATE_LIMITED, EVERYONE, id="any other 429"),
        pytest.param(429, error(TOO_MUCH, "tokens", "rate_limit_exceeded"), K.TOO_LARGE, ROW, id="request too large"),
        pytest.param(429, error(NEVER, "tokens", "rate_limit_exceeded"), K.TOO_LARGE, ROW, id="asks for more than the limit"),
        pytest.param(429, error(NO_MONEY, "insufficient_quota", "insufficient_quota"), K.QUOTA_EXHAUSTED, RUN, id="quota"),
        pytest.param(429, error("", "x", "credit_balance_exhausted"), K.QUOTA_EXHAUSTED, RUN, id="credit"),
        pytest.param(429, error("", "x", "organization_spend_limit_exceeded"), K.QUOTA_EXHAUSTED, RUN, id="organization limit"),
        pytest.param(429, error("", "x", "project_spend_limit_exceeded"), K.QUOTA_EXHAUSTED, RUN, id="project limit"),
        pytest.param(429, error("", "x", "organization_usage_limit_exceeded"), K.QUOTA_EXHAUSTED, RUN, id="usage limit"),
        pytest.param(498, error("capacity", "x", "capacity_exceeded"), K.OVERLOADED, ROW, id="498"),
        pytest.param(500, error("The server had an error", "server_error"), K.SERVER_ERROR, ROW, id="500"),
        pytest.param(502, error("Bad gateway"), K.SERVER_ERROR, ROW, id="502"),
        pytest.param(503, error("overloaded"), K.OVERLOADED, ROW, id="503"),
        pytest.param(504, error("timeout"), K.TIMEOUT, ROW, id="504"),
        pytest.param(529, error("Overloaded", "overloaded_error"), K.OVERLOADED, ROW, id="529"),
    ],
)  # fmt: skip
def test_what_openai_and_its_like_say(status: int, body: dict[str, Any], kind: FailureKind, scope: Scope) -> None:
    failure = failure_of(a_reply(body, status))

    assert (failure.kind, failure.scope, failure.http_status) == (kind, scope, status)


@pytest.mark.parametrize(
    ("status", "body", "kind", "scope"),
    [
        pytest.param(401, gateway("无效的令牌"), K.INVALID_KEY, RUN, id="bad key"),
        pytest.param(401, gateway("未提供令牌"), K.INVALID_KEY, RUN, id="no key"),
        pytest.param(401, gateway("令牌验证失败"), K.INVALID_KEY, RUN, id="key not verified"),
        pytest.param(401, gateway("该令牌已过期"), K.INVALID_KEY, RUN, id="expired"),
        pytest.param(401, gateway("该令牌状态不可用"), K.INVALID_KEY, RUN, id="disabled"),
        pytest.param(401, gateway("该令牌额度已用尽"), K.QUOTA_EXHAUSTED, RUN, id="spent"),
        pytest.param(401, gateway("令牌 sk-abc***xyz 额度已用尽"), K.QUOTA_EXHAUSTED, RUN, id="spent, by name"),
        pytest.param(403, gateway("用户额度不足", "insufficient_user_quota"), K.QUOTA_EXHAUSTED, RUN, id="balance too small"),
        pytest.param(403, gateway("预扣费额度失败", "pre_consume_token_quota_failed"), K.QUOTA_EXHAUSTED, RUN, id="debit failed"),
        pytest.param(403, gateway("user quota is not enough"), K.QUOTA_EXHAUSTED, RUN, id="balance too small, in English"),
        pytest.param(403, gateway("用户已被封禁"), K.INVALID_KEY, RUN, id="banned"),
        pytest.param(403, gateway("您的 IP 不在令牌允许访问的列表中"), K.NO_ACCESS, RUN, id="wrong address"),
        pytest.param(403, gateway("令牌分组 vip 已被禁用"), K.NO_ACCESS, RUN, id="group disabled"),
        pytest.param(403, gateway("该令牌无权访问模型 o1"), K.NO_ACCESS, RUN, id="model not on the key"),
        pytest.param(403, gateway("该令牌无权使用模型：o1"), K.NO_ACCESS, RUN, id="model not on the key, newer"),
        pytest.param(400, gateway("敏感词", "sensitive_words_detected"), K.POLICY, ROW, id="sensitive words"),
        pytest.param(500, gateway("敏感词", "sensitive_words_detected"), K.POLICY, ROW, id="sensitive words under 500"),
        pytest.param(400, gateway("bad", "invalid_text_request"), K.BAD_REQUEST, ROW, id="bad text"),
        pytest.param(400, gateway("bad", "bad_request_body"), K.BAD_REQUEST, ROW, id="bad body"),
        pytest.param(500, gateway("bad", "invalid_request"), K.BAD_REQUEST, ROW, id="bad row under 500"),
        pytest.param(500, gateway("no price", "model_price_error"), K.BAD_REQUEST, ROW, id="model without a price"),
        pytest.param(429, gateway("当前分组上游负载已饱和，请稍后再试", "rate"), K.RATE_LIMITED, EVERYONE, id="saturated"),
        pytest.param(500, gateway("当前分组上游负载已饱和，请稍后再试"), K.RATE_LIMITED, EVERYONE, id="429 mapped to 500"),
        pytest.param(429, gateway("您已达到总请求数限制：1分钟内最多请求60次"), K.RATE_LIMITED, EVERYONE, id="own cap"),
        pytest.param(429, gateway("x", "token_concurrency_limit_reached"), K.CONCURRENCY_LIMITED, EVERYONE, id="concurrency"),
        pytest.param(503, gateway("当前分组 default 下对于模型 o1 无可用渠道"), K.CHANNEL_DOWN, ROW, id="no channel"),
        pytest.param(503, gateway(NO_CHANNEL, "model_not_found"), K.CHANNEL_DOWN, ROW, id="no channel, in English"),
        pytest.param(500, gateway("请求上游地址失败", "do_request_failed"), K.SERVER_ERROR, ROW, id="upstream unreachable"),
        pytest.param(404, openai(BAD_URL), K.WRONG_ENDPOINT, RUN, id="wrong route"),
        pytest.param(500, gateway("x", "bad_response", "upstream_error"), K.SERVER_ERROR, ROW, id="opaque"),
        pytest.param(500, hidden("429"), K.RATE_LIMITED, EVERYONE, id="429 hidden in param"),
        pytest.param(500, hidden("400"), K.BAD_REQUEST, ROW, id="400 hidden in param"),
        pytest.param(500, error("x", "upstream_error", param="²"), K.SERVER_ERROR, ROW, id="odd param"),
        pytest.param(500, error("x", "upstream_error", param="9" * 5000), K.SERVER_ERROR, ROW, id="endless param"),
    ],
)  # fmt: skip
def test_what_one_api_and_new_api_gateways_say(status: int, body: dict[str, Any], kind: FailureKind, scope: Scope) -> None:
    failure = failure_of(a_reply(body, status))

    assert (failure.kind, failure.scope) == (kind, scope)


@pytest.mark.parametrize(
    ("body", "kind", "scope"),
    [
        pytest.param(error("Upstream error"), K.SERVER_ERROR, ROW, id="any error"),
        pytest.param(error(), K.SERVER_ERROR, ROW, id="an error without a word"),
        pytest.param({"error": {}}, K.SERVER_ERROR, ROW, id="an empty error"),
        pytest.param({"error": "rate_limit_exceeded"}, K.RATE_LIMITED, EVERYONE, id="an error that is a text"),
        pytest.param(gateway("用户额度不足", "insufficient_user_quota"), K.QUOTA_EXHAUSTED, RUN, id="no money"),
        pytest.param(gateway("无效的令牌"), K.INVALID_KEY, RUN, id="bad key"),
        pytest.param({"success": False, "message": "无效的令牌"}, K.INVALID_KEY, RUN, id="a route's own no"),
        pytest.param(openai(NO_SUCH, "model_not_found"), K.MODEL_NOT_FOUND, RUN, id="no such model"),
        pytest.param(error("Provider returned error", code=502, metadata={}), K.SERVER_ERROR, ROW, id="OpenRouter"),
        pytest.param({"choices": []}, K.UNREADABLE_REPLY, ROW, id="no choice"),
        pytest.param({}, K.UNREADABLE_REPLY, ROW, id="nothing in it"),
        pytest.param("", K.UNREADABLE_REPLY, ROW, id="empty"),
        pytest.param("ok", K.UNREADABLE_REPLY, ROW, id="a word"),
        pytest.param('{"choices":[{"message":{"content":"he', K.UNREADABLE_REPLY, ROW, id="half an answer"),
        pytest.param("<!DOCTYPE html><title>Home</title>", K.WRONG_ENDPOINT, RUN, id="a web page"),
    ],
)
def test_200_is_not_success(body: dict[str, Any] | str, kind: FailureKind, scope: Scope) -> None:
    failure = failure_of(a_reply(body, 200))

    assert (failure.kind, failure.scope) == (kind, scope)


@pytest.mark.parametrize(
    ("status", "kind", "scope"),
    [
        (400, K.BAD_REQUEST, ROW),
        (401, K.INVALID_KEY, RUN),
        (403, K.NO_ACCESS, RUN),
        (404, K.WRONG_ENDPOINT, RUN),
        (413, K.TOO_LARGE, ROW),
        (429, K.RATE_LIMITED, EVERYONE),
        (500, K.SERVER_ERROR, ROW),
        (502, K.SERVER_ERROR, ROW),
        (503, K.OVERLOADED, ROW),
        (504, K.TIMEOUT, ROW),
        (520, K.SERVER_ERROR, ROW),
        (522, K.TIMEOUT, ROW),
        (524, K.TIMEOUT, ROW),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="empty"),
        pytest.param("<html><title>Error</title></html>", id="page"),
        pytest.param("[]", id="list"),
        pytest.param(b"\xff\xfe\x00", id="bytes"),
    ],
)
def test_a_status_without_words_speaks_for_itself(status: int, kind: FailureKind, scope: Scope, body: str | bytes) -> None:
    failure = failure_of(a_reply(body, status))

    assert (failure.kind, failure.scope) == (kind, scope)
    assert failure.message.startswith(f"HTTP {status} with ")


def test_a_pages_title_is_told() -> None:
    page = "<html><head><title>\n api.example.com |  524: A timeout occurred</title></head></html>"

    assert "“api.example.com | 524: A timeout occurred”" in failure_of(a_reply(page, 524)).message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_ends_the_run_and_names_the_address_to_give(status: int) -> None:
    failure = failure_of(a_reply("", status, location="https://user:pw@new.example.com/v1/chat/completions?key=abc"))

    assert (failure.kind, failure.scope) == (K.WRONG_ENDPOINT, RUN)
    assert "https://***@new.example.com/v1: give that address" in failure.message


def test_what_a_failure_says_it_cost_is_read() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    replies = [
        a_reply({"choices": [], "usage": usage}),
        a_reply(openai("no", "content_filter") | {"usage": usage}, 400),
        a_reply({"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0}}),
    ]

    assert [failure_of(reply).usage for reply in replies] == [Usage(5, None, 7, None, 12)] * 2 + [None]


def test_a_redirect_without_a_place_is_told_too() -> None:
    assert "an unnamed place" in failure_of(a_reply("", 302)).message


def test_a_model_that_a_row_named_itself_is_the_rows_fault() -> None:
    failure = failure_of(a_reply(openai(NO_SUCH, "model_not_found"), 404), own_model=True)

    assert (failure.kind, failure.scope) == (K.MODEL_NOT_FOUND, ROW)


def test_an_answer_counts_under_any_status() -> None:
    verdict = judge(a_reply({"choices": [{"message": {"content": "hi"}}]}, 500), now=0.0)

    assert isinstance(verdict, Completion)
    assert (verdict.status, verdict.http_status) == (Status.OK, 500)


# hearsay


@pytest.mark.parametrize(
    ("status", "body", "hearsay"),
    [
        pytest.param(401, openai(WRONG_KEY, "invalid_api_key"), True, id="OpenAI's words about a key"),
        pytest.param(429, error(NO_MONEY, "insufficient_quota", "insufficient_quota"), True, id="OpenAI's words about money"),
        pytest.param(403, openai("no"), True, id="OpenAI's words about access"),
        pytest.param(401, gateway("无效的令牌"), False, id="new-api's own"),
        pytest.param(401, gateway("无效的令牌", type="one_api_error"), False, id="one-api's own"),
        pytest.param(403, gateway("用户额度不足", "insufficient_user_quota", "rix_api_error"), False, id="a fork's own"),
        pytest.param(403, "<html>blocked</html>", True, id="a proxy's page"),
        pytest.param(404, openai(NO_SUCH, "model_not_found"), True, id="OpenAI's words about a model"),
        pytest.param(404, gateway("no such model", "model_not_found"), False, id="a gateway's own about a model"),
        pytest.param(200, "<html>one moment please</html>", True, id="a page instead of an answer"),
        pytest.param(500, error("x"), False, id="a server error"),
    ],
)
def test_only_a_gateways_own_word_about_the_key_is_certain(status: int, body: dict[str, Any] | str, *, hearsay: bool) -> None:
    assert failure_of(a_reply(body, status)).hearsay is hearsay


# no reply


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        pytest.param(Unreached("refused", 0.1), K.UNREACHABLE, id="unreached"),
        pytest.param(NoAnswer("reset", 0.1), K.CONNECTION_LOST, id="connection lost"),
        pytest.param(NoAnswer("too slow", 600, timed_out=True), K.TIMEOUT, id="timed out"),
        pytest.param(NoAnswer("left", 1, interrupted=True), K.INTERRUPTED, id="hung up"),
    ],
)
def test_no_reply_is_about_the_row(outcome: Unreached | NoAnswer, kind: FailureKind) -> None:
    assert judge(outcome, now=0.0) == Failure(kind, ROW, outcome.reason)


# waits


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        pytest.param({"retry-after-ms": "1500"}, "", 1.5, id="milliseconds"),
        pytest.param({"retry-after": "20"}, "", 20, id="seconds"),
        pytest.param({"retry-after": " 1.5 "}, "", 1.5, id="half seconds"),
        pytest.param({"retry-after": "0"}, "", 0, id="none"),
        pytest.param({"retry-after": "-1"}, "", 0, id="negative"),
        pytest.param({"retry-after": "Thu, 01 Jan 1970 00:01:10 GMT"}, "", 60, id="date"),
        pytest.param({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, "", 0, id="date in the past"),
        pytest.param({"retry-after": "Thu, 01 Jan 1970 00:01:10 -0000"}, "", 60, id="date of no zone"),
        pytest.param({"retry-after-ms": "500", "retry-after": "20"}, "in 9s", 0.5, id="milliseconds first"),
        pytest.param({"retry-after-ms": "soon", "retry-after": "20"}, "", 20, id="odd milliseconds"),
        pytest.param({"retry-after": "soon"}, "Please try again in 1.574s.", 1.574, id="odd header, words"),
        pytest.param({}, TOO_FAST, 1.574, id="a fraction"),
        pytest.param({}, "Please try again in 6ms.", 0.006, id="ms"),
        pytest.param({}, "Please try again in 7m12s.", 432, id="minutes and seconds"),
        pytest.param({}, "try again in 1h30m", 5400, id="hours and minutes"),
        pytest.param({}, "Please retry after 37 seconds.", 37, id="seconds in full"),
        pytest.param({}, "Please try again in 2 minutes.", 120, id="minutes in full"),
        pytest.param({}, "Try again in 1 hour", 3600, id="an hour in full"),
        pytest.param({}, "try again in 20s. Limit 3, Used 3", 20, id="numbers after"),
        pytest.param({}, "slow down", None, id="nothing said"),
        pytest.param({}, "try again in a while", None, id="nothing certain"),
        pytest.param({}, "当前分组上游负载已饱和，请稍后再试", None, id="nothing certain in Chinese"),
        pytest.param({"retry-after": ""}, "", None, id="empty header"),
    ],
)
def test_a_reply_tells_how_long_to_wait(headers: dict[str, str], message: str, seconds: float | None) -> None:
    assert told_wait(headers, message, now=10.0) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("value", ["9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT", "1" + "0" * 18])
def test_nobody_is_believed_who_says_to_wait_for_ever(value: str) -> None:
    wait = told_wait({"retry-after": value}, "", now=0.0)

    assert wait is None or wait <= 86_400


def test_the_wait_is_part_of_the_failure() -> None:
    assert failure_of(a_reply(error("slow"), 429, retry_after="7")).wait == 7


# what is kept


def test_the_services_words_are_kept_and_the_key_is_not() -> None:
    echoed = error(f"Incorrect API key provided: {KEY}.", code="invalid_api_key")

    failure = failure_of(a_reply(echoed, 401, x_request_id="req_1"), key=KEY)

    assert KEY not in failure.message + failure.body
    assert failure.message.startswith("Incorrect API key provided: ")
    assert failure.request_id == "req_1"


@pytest.mark.parametrize("offset", range(0, len(KEY) + 1, 4))
def test_a_key_that_straddles_the_cut_is_not_kept_in_part(offset: int) -> None:
    plain = "plainkey0123456789abcdef"
    body = "x" * (MOST_BODY - offset) + plain

    failure = failure_of(a_reply(body, 500), key=plain)

    assert not any(failure.body.endswith(plain[:length]) for length in range(1, len(plain) + 1))


def test_a_long_reply_is_cut() -> None:
    failure = failure_of(a_reply(error("y" * 10**6), 400))

    assert len(failure.body) <= MOST_BODY
    assert len(failure.message) < 10_000


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet="aå好 \ud83d\x00²9", max_size=6)
json_values = leaves | st.lists(leaves | st.lists(leaves, max_size=2), max_size=2)
fields = st.sampled_from(
    ["error", "message", "type", "code", "param", "success", "detail", "object", "choices", "usage", "model", "finish_reason"]
)
bodies = st.dictionaries(
    fields, st.dictionaries(fields, json_values) | st.lists(st.dictionaries(fields, json_values)) | json_values
)
headers = st.dictionaries(
    st.sampled_from(["retry-after", "retry-after-ms", "location", "content-type", "x-request-id"]),
    st.text(alphabet="9 -.:å\udce9,Jan", max_size=8),
    max_size=2,
)


@given(status=st.integers(100, 599), body=bodies, told=headers)
@settings(max_examples=150, deadline=None)
def test_whatever_a_service_says_can_be_judged_and_kept(status: int, body: dict[str, Any], told: dict[str, str]) -> None:
    verdict = judge(Reply(status, told, json.dumps(body).encode(), 1.0), now=0.0, key=KEY)

    orjson.dumps([verdict.message, verdict.request_id, verdict.body if isinstance(verdict, Failure) else verdict.answer])


@given(status=st.integers(100, 599), body=st.binary(max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_bytes_can_be_judged(status: int, body: bytes) -> None:
    assert isinstance(judge(a_reply(body, status), now=0.0), Failure)


@pytest.mark.parametrize("digits", ["5000", "1_000"])
def test_numbers_of_any_length_in_a_message_can_be_judged(digits: str) -> None:
    long = "9" * int(digits)
    message = f"Limit {long}, Used {long}, Requested {long}. try again in {long}s, retry after {long}"

    assert failure_of(a_reply(error(message), 429)).kind in {K.RATE_LIMITED, K.TOO_LARGE}


def test_a_limit_that_a_refusal_names_is_kept_with_it() -> None:
    failure = failure_of(a_reply(error(TOO_FAST, "tokens", "rate_limit_exceeded"), 429))

    assert (failure.rpm, failure.tpm, failure.limit) == (None, 200_000, "tokens")
    assert failure.wait == pytest.approx(1.574)


@pytest.mark.parametrize("message", [TOO_MUCH, NEVER])
def test_a_limit_that_a_row_can_never_fit_into_is_nobody_elses_matter(message: str) -> None:
    failure = failure_of(a_reply(error(message, "tokens", "rate_limit_exceeded"), 429))

    assert (failure.rpm, failure.tpm) == (None, None)
