"""What services tell of a key's account, in every shape, is read; nothing they write makes the reading fail."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_runner.account import (
    Model,
    Quota,
    Unit,
    amount,
    holding,
    near,
    read_billing,
    read_models,
    read_token_usage,
    spent_between,
)

TOKEN = "/api/usage/token/"
BILLING = "/v1/dashboard/billing"

OPENAI_LIST = {
    "object": "list",
    "data": [
        {"id": "o3", "object": "model", "created": 1, "owned_by": "system", "shutdown_date": "2026-12-11"},
        {"id": "o1-mini", "object": "model", "created": 1, "owned_by": "system", "shutdown_date": None},
    ],
}
NEW_API_LIST = {
    "success": True,
    "data": [{"id": "o1-mini", "object": "model", "created": 1626777600, "supported_endpoint_types": ["openai"]}, {"id": "o3"}],
}


def token_usage(**told: Any) -> dict[str, Any]:
    data = {"object": "token_usage", "name": "n", "total_granted": 1_000_000, "total_used": 250_000, "total_available": 750_000}
    more = {"unlimited_quota": False, "model_limits": {}, "model_limits_enabled": False, "expires_at": 0}
    return {"code": True, "message": "ok", "data": data | more | told}


def subscription(limit: Any, **told: Any) -> dict[str, Any]:
    limits = dict.fromkeys(("soft_limit_usd", "hard_limit_usd", "system_hard_limit_usd"), limit)
    return {"object": "billing_subscription", "has_payment_method": True, **limits, "access_until": 0, **told}


def quota(used: int | None = None, left: int | None = None) -> Quota:
    read = [None if value is None else Decimal(value) for value in (used, left)]
    return Quota(TOKEN, Unit.QUOTA, None, read[0], read[1])


def test_the_list_of_openai_is_read_by_name_with_its_last_days() -> None:
    assert read_models(OPENAI_LIST) == (Model("o1-mini"), Model("o3", date(2026, 12, 11)))


def test_the_list_of_a_gateway_is_read_by_nothing_but_its_ids() -> None:
    assert read_models(NEW_API_LIST) == (Model("o1-mini"), Model("o3"))


def test_a_list_of_nothing_is_a_list() -> None:
    assert read_models({"object": "list", "data": []}) == ()


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "o1",
        {},
        {"data": None},
        {"data": {"id": "o1"}},
        {"data": [1, None, "o1", {"id": 7}, {"id": ""}, {"name": "o1"}]},
        {"success": False, "message": "无效的令牌", "data": []},
        {"error": {"message": "no"}, "data": []},
    ],
)
def test_what_is_no_list_of_models_is_none(body: Any) -> None:
    assert read_models(body) is None


@pytest.mark.parametrize("told", ["soon", "2026-13-45", 1795564800, [], {}, "", True])
def test_a_last_day_that_is_no_date_is_not_told(told: Any) -> None:
    assert read_models({"data": [{"id": "o1", "shutdown_date": told}]}) == (Model("o1"),)


def test_a_model_listed_twice_is_one_model() -> None:
    assert read_models({"data": [{"id": "o1"}, {"id": "o1"}, {"id": "gpt"}, 5]}) == (Model("gpt"), Model("o1"))


def test_the_gateways_own_route_tells_everything_in_its_own_units() -> None:
    assert read_token_usage(token_usage(expires_at=1795564800), TOKEN) == Quota(
        TOKEN,
        Unit.QUOTA,
        granted=Decimal(1_000_000),
        used=Decimal(250_000),
        left=Decimal(750_000),
        expires=datetime(2026, 11, 25, tzinfo=UTC),
    )


def test_an_unlimited_key_has_used_something_and_has_no_rest() -> None:
    read = read_token_usage(token_usage(unlimited_quota=True, total_granted=0, total_available=0), TOKEN)

    assert read is not None
    assert (read.unlimited, read.granted, read.used, read.left) == (True, None, Decimal(250_000), None)


@pytest.mark.parametrize(
    ("limits", "enabled", "models"),
    [
        ({"o1": True, "o3": True}, True, ("o1", "o3")),
        (["o1"], True, ("o1",)),
        ({"o1": True, "o3": False}, True, ("o1",)),
        ({"o1": True}, False, None),
        ({}, True, None),
        (None, True, None),
        ("o1", True, None),
    ],
)
def test_a_limit_to_some_models_counts_when_it_is_switched_on(limits: Any, enabled: Any, models: tuple[str, ...] | None) -> None:
    read = read_token_usage(token_usage(model_limits=limits, model_limits_enabled=enabled), TOKEN)

    assert read is not None
    assert read.models == models


def test_what_is_left_follows_from_the_rest_where_it_is_not_told() -> None:
    read = read_token_usage(token_usage(total_available=None), TOKEN)

    assert read is not None
    assert read.left == Decimal(750_000)


@pytest.mark.parametrize(
    "body",
    [
        None,
        "no",
        [],
        {},
        {"data": []},
        {"data": {}},
        {"success": False, "message": "无效的令牌"},
        {"success": False, "data": {"total_granted": 1}},
        {"data": {"total_granted": "much", "total_used": None, "total_available": float("nan")}},
        OPENAI_LIST,
    ],
)
def test_what_is_no_token_usage_is_none(body: Any) -> None:
    assert read_token_usage(body, TOKEN) is None


def test_what_is_left_is_the_limit_less_a_hundredth_of_the_usage() -> None:
    read = read_billing(subscription(2.0, access_until=1795564800), {"object": "list", "total_usage": 12.5}, BILLING)

    assert read == Quota(
        BILLING,
        Unit.AS_COUNTED,
        granted=Decimal(2),
        used=Decimal("0.125"),
        left=Decimal("1.875"),
        expires=datetime(2026, 11, 25, tzinfo=UTC),
    )


def test_a_hundred_million_is_no_limit_and_a_little_more_is_one() -> None:
    unlimited = read_billing(subscription(100_000_000), {"total_usage": 100}, BILLING)
    limited = read_billing(subscription(100_000_001), {"total_usage": 100}, BILLING)

    assert unlimited is not None
    assert limited is not None
    assert (unlimited.unlimited, unlimited.granted, unlimited.used, unlimited.left) == (True, None, Decimal(1), None)
    assert (limited.unlimited, limited.left) == (False, Decimal(100_000_000))


@pytest.mark.parametrize("usage", [None, {}, {"error": {"message": "no"}, "total_usage": 3}, {"total_usage": "many"}, [3]])
def test_without_a_usage_the_limit_alone_is_told(usage: Any) -> None:
    read = read_billing(subscription("2.5"), usage, BILLING)

    assert read is not None
    assert (read.granted, read.used, read.left) == (Decimal("2.5"), None, None)


@pytest.mark.parametrize("body", [None, [], {}, {"error": {"message": "无效的令牌"}}, subscription(None), subscription("x")])
def test_what_is_no_subscription_is_none(body: Any) -> None:
    assert read_billing(body, {"total_usage": 1}, BILLING) is None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (7, Decimal(7)),
        (-7.5, Decimal("-7.5")),
        (0.1, Decimal("0.1")),
        (" 12 ", Decimal(12)),
        ("1e3", Decimal(1000)),
        (10**400, None),
        (1e300, None),
        ("1e999999999", None),
        ("NaN", None),
        ("sNaN", None),
        (float("inf"), None),
        (True, None),
        (None, None),
        ("", None),
        ([], None),
        ({}, None),
    ],
)
def test_a_number_is_read_however_it_is_written(written: Any, read: Decimal | None) -> None:
    assert amount(written) == read


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("1e-999999999"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NAMES = (
    "total_granted",
    "total_used",
    "total_available",
    "unlimited_quota",
    "expires_at",
    "model_limits",
    "model_limits_enabled",
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, JSON)), JSON, JSON)
def test_nothing_that_a_service_may_write_makes_the_reading_fail(data: dict[str, Any], limit: Any, usage: Any) -> None:
    token = read_token_usage({"data": data}, TOKEN)
    billing = read_billing(subscription(limit, access_until=usage), {"total_usage": usage}, BILLING)
    read_models({"data": [data, {"id": limit, "shutdown_date": usage}]})

    for read in (token, billing):
        assert read is None or read.left is None or abs(read.left) <= 2 * 10**18


def test_what_was_used_tells_the_difference_and_no_top_up_changes_it() -> None:
    assert spent_between(quota(used=5, left=10), quota(used=8, left=1000)) == 3
    assert spent_between(quota(left=10), quota(left=4)) == 6
    assert spent_between(quota(used=5), quota(left=4)) is None


def test_the_nearest_names_come_first_and_strangers_not_at_all() -> None:
    models = [Model(name) for name in ("gpt-4o", "o3-mini", "o1-mini-2024-09-12", "o1", "o1-pro")]

    assert near("o1-mini", models) == ["o1", "o1-mini-2024-09-12", "o3-mini"]
    assert near("whisper", models) == []


def test_half_a_character_in_a_name_can_still_be_written() -> None:
    models = read_models({"data": [{"id": "o1\ud83d"}]})
    limited = read_token_usage(token_usage(model_limits=["o1\ud83d"], model_limits_enabled=True), TOKEN)

    assert models == (Model("o1\ufffd"),)
    assert limited is not None
    assert limited.models == ("o1\ufffd",)


def test_a_filter_takes_names_in_capitals_or_not() -> None:
    assert list(holding("O1", [Model("o1"), Model("gpt"), Model("Pro-o1")])) == [Model("o1"), Model("Pro-o1")]
