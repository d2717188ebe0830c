"""Fifty-five ways to fail that pass, eleven rows that can't succeed, thirteen keys that are dead: each as what it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from batch_runner import retry, run_file
from batch_runner.fake_server import (
    BrokenGzip,
    Canned,
    Cut,
    Empty,
    Fault,
    Fixed,
    Hang,
    Html,
    Latency,
    Scenario,
    Status,
    WrongLength,
)

if TYPE_CHECKING:
    from batch_runner.fake_server.faults.actions import Action
    from tests.end_to_end.conftest import Place, Servers

SHORT = {"retry-after": "0", "retry-after-ms": "20"}

PASSING = (
    *("server_error", "bad_gateway", "overloaded", "gateway_timeout", "request_timeout", "conflict", "too_early"),
    *("rate_limit_exceeded", "slow_down", "slow_down_503", "flex_unavailable", "gateway_busy", "gateway_busy_rix"),
    *("gateway_concurrency", "gateway_no_channel", "gateway_upstream_unreachable", "gateway_upstream_body"),
    *("gateway_get_channel_failed", "gateway_bad_response", "gateway_empty_response", "gateway_panic", "gateway_mapped_429"),
    *("gateway_claude_overloaded", "gateway_opaque", "openrouter_in_flight", "openrouter_bad_gateway", "azure_rate_limit"),
    *("anthropic_rate_limit", "anthropic_overloaded", "groq_capacity", "token_limit_exceeded"),
)
INSIDE_A_SUCCESS = ("server_error", "overloaded", "slow_down", "gateway_opaque", "openrouter_bad_gateway")
PAGES = (500, 502, 503, 504, 520, 521, 522, 523, 524, 529)

TRANSIENT: tuple[Action, ...] = (
    *(Canned(name, headers=SHORT) for name in PASSING),
    *(Canned(name, status=200, headers=SHORT) for name in INSIDE_A_SUCCESS),
    *(Html(status=status) for status in PAGES),
    Empty(500),
    Status(429, "", SHORT),
    Status(408, "Request Timeout"),
    Cut(),
    Cut(inside=True),
    Cut(reset=True),
    Hang(),
    WrongLength(),
    BrokenGzip(),
)

HOPELESS = {
    "context_length_exceeded": ("failed", "context_too_long"),
    "request_too_large_for_limit": ("failed", "too_large"),
    "too_large": ("failed", "too_large"),
    "unsupported_media_type": ("failed", "bad_request"),
    "unprocessable": ("failed", "bad_request"),
    "gateway_bad_row_500": ("failed", "bad_request"),
    "gateway_count_failed_500": ("failed", "bad_request"),
    "gateway_invalid_text": ("failed", "bad_request"),
    "gateway_sensitive_words_500": ("refused", "policy"),
    "content_filter": ("refused", "policy"),
    "openrouter_moderation": ("refused", "policy"),
}

DEAD = {
    "invalid_api_key": "invalid_key",
    "ip_not_authorized": "invalid_key",
    "not_in_organization": "invalid_key",
    "unsupported_country": "no_access",
    "insufficient_quota": "quota_exhausted",
    "credit_balance_exhausted": "quota_exhausted",
    "openrouter_no_credits": "quota_exhausted",
    "gateway_no_token": "invalid_key",
    "gateway_token_exhausted": "quota_exhausted",
    "gateway_token_expired": "invalid_key",
    "gateway_user_banned": "invalid_key",
    "gateway_pre_debit": "quota_exhausted",
    "gateway_model_not_allowed_new": "no_access",
}


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BASE_SECONDS", 0.02)


def playing(*faults: Fault) -> Scenario:
    return Scenario(faults=faults, latency=Latency(seconds=Fixed(0.005)))


def asks_to_slow_down(action: Action) -> bool:
    """Whether a refusal is about everyone's pace."""
    if isinstance(action, Canned):
        return any(
            word in action.error for word in ("rate_limit", "slow_down", "busy", "in_flight", "concurrency", "token_limit")
        )
    return isinstance(action, Status) and action.status == 429


@pytest.mark.parametrize(("slow_down", "ways"), [(False, 43), (True, 12)], ids=["of the row", "of the pace"])
async def test_fifty_five_rows_whose_first_attempt_fails_each_in_its_own_way_are_all_answered(
    place: Place, servers: Servers, *, slow_down: bool, ways: int
) -> None:
    actions = [action for action in TRANSIENT if asks_to_slow_down(action) is slow_down]  # together the one half slows the other
    faults = (Fault(action, prompt=f"trouble {n}.", attempts=(1,)) for n, action in enumerate(actions))
    gateway = servers.gateway(playing(*faults))
    place.write({"id": f"{n}{half}", "prompt": f"{half} {n}."} for n in range(ways) for half in ("calm", "trouble"))

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=4, timeout=0.7)

    books = gateway.at_rest()
    assert len(actions) == ways
    assert {row["id"]: row["message"] for row in place.rows() if row["status"] != "ok"} == {}
    assert report.exit_status == 0
    assert {n: books.attempts[f"trouble {n}."] for n in range(ways)} == dict.fromkeys(range(ways), 2)
    assert all(books.attempts[f"calm {n}."] == 1 for n in range(ways))


async def test_eleven_rows_that_can_not_succeed_are_given_up_after_one_attempt_each(place: Place, servers: Servers) -> None:
    faults = (Fault(Canned(name), prompt=f"{name}!") for name in HOPELESS)
    gateway = servers.gateway(playing(*faults))
    place.write(row for name in HOPELESS for row in ({"id": f"calm {name}", "prompt": name}, {"id": name, "prompt": f"{name}!"}))

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=4)

    rows = place.by_id()
    assert len(HOPELESS) == 11
    assert report.exit_status == 10
    assert {name: (rows[name]["status"], rows[name]["failure"]) for name in HOPELESS} == HOPELESS
    assert all(rows[name]["message"] for name in HOPELESS)
    assert max(gateway.books().attempts.values()) == 1


@pytest.mark.parametrize("name", DEAD)
async def test_a_dead_key_stops_the_run_within_a_second_with_its_cause_and_the_next_step(
    place: Place, servers: Servers, name: str
) -> None:
    assert len(DEAD) == 13
    place.write_questions(100)
    gateway = servers.gateway(playing(Fault(Canned(name), first_request=9)))

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=3)

    refused = sorted(
        attempt["at"] + attempt["seconds"]
        for row in gateway.books().told["rows"].values()
        for attempt in row["attempts"]
        if not attempt["delivered"] or attempt["status"] != 200
    )
    arrived = max(attempt["at"] for row in gateway.books().told["rows"].values() for attempt in row["attempts"])
    assert report.exit_status == 4
    assert report.reason.startswith(DEAD[name])
    assert arrived - refused[0] <= 1.0
    assert report.totals.rows["ok"] == 8
    assert report.totals.rows["failed"] == 0
    assert report.totals.rows["unattempted"] >= 100 - 8 - 20


def test_a_dead_key_is_told_in_one_line_with_what_to_do(place: Place, servers: Servers) -> None:
    place.write_questions(50)
    gateway = servers.gateway(playing(Fault(Canned("gateway_token_expired"))))
    began = time.monotonic()

    end = place.run("run", place.prompts, "--endpoint", gateway.url)

    assert time.monotonic() - began < 30
    assert end.status == 4
    assert "invalid_key: 该令牌已过期" in end.err
    assert "set another one, then run again" in end.err
    assert "next     batch-runner run" in end.err


async def test_a_model_that_no_channel_serves_stops_the_run_instead_of_keeping_it_waiting(
    place: Place, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    from batch_runner import health

    short = tuple(health.Streak(streak.kinds, streak.count, streak.seconds / 100, streak.same_words) for streak in health.STREAKS)
    monkeypatch.setattr(health, "STREAKS", short)
    place.write_questions(50)
    gateway = servers.gateway(playing(Fault(Canned("gateway_no_channel"))))

    report = await run_file(place.prompts, endpoint=gateway.url)

    assert report.exit_status == 4
    assert report.reason.startswith("channel_down: 当前分组 default 下对于模型 o1-mini 无可用渠道")
    assert report.totals.rows["failed"] == 0
