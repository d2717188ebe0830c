import pytest

from batch_runner.hints import NOTHING_TOLD, Quota, limit_named, named_limit, told_quota


@pytest.mark.parametrize(
    ("headers", "quota"),
    [
        pytest.param({}, None, id="nothing told"),
        pytest.param({"x-ratelimit-limit-requests": "600"}, Quota(600, None), id="requests"),
        pytest.param({"x-ratelimit-limit-tokens": "1,000,000"}, Quota(None, 1_000_000), id="tokens, with commas"),
        pytest.param(
            {
                "x-ratelimit-limit-requests": "500",
                "x-ratelimit-limit-tokens": "30000",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "6m0s",
            },
            Quota(500, 30_000),
            id="all of OpenAI's",
        ),
        pytest.param({"x-ratelimit-limit-requests": "-1"}, None, id="minus one"),
        pytest.param({"x-ratelimit-limit-requests": "0"}, None, id="zero"),
        pytest.param({"x-ratelimit-limit-requests": "unlimited", "x-ratelimit-limit-tokens": "1e9"}, None, id="words"),
    ],
)
def test_headers_tell_of_limits(headers: dict[str, str], quota: Quota | None) -> None:
    assert told_quota(headers) == quota


@pytest.mark.parametrize("reset", ["0s", "6m0s", "-1", "", "1s", "soon"])
@pytest.mark.parametrize("remaining", ["0", "-1", "", "59", "soon"])
def test_when_a_limit_will_be_full_again_changes_nothing(remaining: str, reset: str) -> None:
    rest = {
        f"x-ratelimit-{what}-{of}": told
        for what, told in (("remaining", remaining), ("reset", reset))
        for of in ("requests", "tokens")
    }
    left = 59 / 600 if remaining == "59" else 0.0

    assert told_quota(rest) is None
    assert told_quota({"x-ratelimit-limit-requests": "600", **rest}) == Quota(600, None, left)


@pytest.mark.parametrize(
    ("requests", "tokens", "left"),
    [
        pytest.param("450", "", 0.0, id="one of them isn't told"),
        pytest.param("450", "300000", 0.3, id="the scarcer counts"),
        pytest.param("0", "300000", 0.0, id="nothing"),
        pytest.param("7000", "1,000,000", 1.0, id="more than there is"),
    ],
)
def test_headers_tell_how_much_is_left(requests: str, tokens: str, left: float) -> None:
    told = {
        "x-ratelimit-limit-requests": "600",
        "x-ratelimit-limit-tokens": "1000000",
        "x-ratelimit-remaining-requests": requests,
        "x-ratelimit-remaining-tokens": tokens,
    }

    assert told_quota(told) == Quota(600, 1_000_000, left)


LIMITED = "Rate limit reached for o1-mini in organization org-x on"


@pytest.mark.parametrize(
    ("message", "named"),
    [
        pytest.param(f"{LIMITED} requests per min (RPM): Limit 60, Used 60, Requested 1.", Quota(requests=60), id="requests"),
        pytest.param(f"{LIMITED} requests per minute (RPM): Limit 1,000, Used 1,000", Quota(requests=1000), id="with commas"),
        pytest.param(
            f"{LIMITED} tokens per min (TPM): Limit 200000, Used 162960, Requested 42288. Please try again in 1.574s.",
            Quota(tokens=200_000),
            id="tokens",
        ),
        pytest.param(f"{LIMITED} requests per min. Limit: 3 / min. Please try again in 20s.", Quota(requests=3), id="older"),
        pytest.param(
            f"{LIMITED} tokens per min. Limit: 40000.000000 / min. Current: 40960.000000 / min.",
            Quota(tokens=40_000),
            id="oldest",
        ),
        pytest.param(f"{LIMITED} requests per second: Limit 5, Used 5, Requested 1.", Quota(requests=300), id="a second"),
        pytest.param(
            "would exceed your organization's rate limit of 50 requests per minute", Quota(requests=50), id="Anthropic's"
        ),
        pytest.param("您已达到总请求数限制：5分钟内最多请求60次", Quota(requests=12), id="new-api's"),
        pytest.param(f"{LIMITED} requests per day (RPD): Limit 200, Used 200, Requested 1.", NOTHING_TOLD, id="a day"),
        pytest.param(
            f"{LIMITED} tokens per day (TPD): Limit 200000, Used 199945, Requested 73.", NOTHING_TOLD, id="a day's tokens"
        ),
        pytest.param("exceed your organization's rate limit of 30,000 input tokens per minute", NOTHING_TOLD, id="input tokens"),
        pytest.param(f"{LIMITED} requests per min (RPM): Limit 0, Used 0, Requested 1.", NOTHING_TOLD, id="zero"),
        pytest.param(f"{LIMITED} requests per min (RPM): Limit {'9' * 19}, Used 0", NOTHING_TOLD, id="too long"),
        pytest.param("0分钟内最多请求60次", NOTHING_TOLD, id="in no time"),
        pytest.param("Too many requests per minute, slow down", NOTHING_TOLD, id="no number"),
        pytest.param("", NOTHING_TOLD, id="no word"),
    ],
)
def test_a_refusal_names_the_limit_of_a_minute(message: str, named: Quota) -> None:
    assert named_limit(message) == named


@pytest.mark.parametrize(
    ("kind", "message", "limit"),
    [
        ("requests", "", "requests"),
        ("", f"{LIMITED} tokens per min (TPM): Limit 1", "tokens"),
        ("requests", f"{LIMITED} concurrent requests: Limit 40, Used 40, Requested 1.", "concurrency"),
        ("tokens", f"{LIMITED} tokens per day (TPD): Limit 200000, Used 199945, Requested 73.", "day"),
        ("", "slow down", ""),
    ],
)
def test_a_refusal_names_what_is_limited(kind: str, message: str, limit: str) -> None:
    assert limit_named(kind, message) == limit
