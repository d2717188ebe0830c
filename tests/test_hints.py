import pytest

from batch_runner.hints import Quota, told_quota


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
