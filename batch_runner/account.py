"""What a service tells of a key's account: the models it may call, what is left on it. Bodies -> values, pure.

Sources: `Model` in OpenAI's API specification (`shutdown_date`); `controller/model.go`, `controller/billing.go` and
`controller/token.go` of one-api and new-api; docs.newapi.pro, "Token Usage".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from batch_runner.json_text import whole_text
from batch_runner.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

UNLIMITED = Decimal(100_000_000)
"""What a gateway's subscription says of a key without a limit."""

QUOTA_PER_USD = 500_000
"""A gateway's own units to a dollar, unless the site sets `QuotaPerUnit` otherwise."""

MOST = Decimal(10) ** 18
"""A larger amount is no amount."""

MOST_NEAR = 3


class Unit(StrEnum):
    """What an account is counted in."""

    QUOTA = "quota"
    """A gateway's own units."""
    AS_COUNTED = "as_counted"
    """Dollars by the name of the field; yuan or the gateway's own units where a site is set so."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that a key may call."""

    id: str
    shutdown: date | None = None
    """When it is shut down, where the service says so."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What was granted to a key and what is left. `None` stands for what nobody told."""

    route: str
    """The path that told it."""
    unit: Unit
    granted: Decimal | None
    """All that was ever granted, spent or not; `None` where there is no limit, too."""
    used: Decimal | None
    left: Decimal | None
    unlimited: bool = False
    """The key has no limit of its own; the account behind it may."""
    expires: datetime | None = None
    models: tuple[str, ...] | None = None
    """The only models that the key may call, where it is limited."""


def read_models(body: Any) -> tuple[Model, ...] | None:
    """The models in a list of OpenAI's or of a gateway's, each once, by name; `None` when `body` is no list of models."""
    listed = body.get("data") if isinstance(body, dict) and not body.get("error") else None
    if not isinstance(listed, list) or body.get("success") is False:
        return None
    found: dict[str, Model] = {}
    for entry in listed:
        name = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(name, str) and name:
            name = whole_text(name)
            found.setdefault(name, Model(name, _day(entry.get("shutdown_date"))))
    return tuple(found[name] for name in sorted(found)) if found or not listed else None


def read_token_usage(body: Any, route: str) -> Quota | None:
    """The answer of new-api's `/api/usage/token`, in its own units; `None` when `body` is something else."""
    data = body.get("data") if isinstance(body, dict) and body.get("success") is not False else None
    if not isinstance(data, dict) or not {"total_granted", "total_available", "unlimited_quota"} & data.keys():
        return None
    unlimited = data.get("unlimited_quota") is True
    granted, used, left = (amount(data.get(f"total_{name}")) for name in ("granted", "used", "available"))
    if {granted, used, left} == {None} and not unlimited:
        return None
    if left is None and granted is not None and used is not None:
        left = granted - used
    return Quota(
        route,
        Unit.QUOTA,
        None if unlimited else granted,
        used,
        None if unlimited else left,
        unlimited,
        _moment(data.get("expires_at")),
        _limits(data),
    )


def read_billing(subscription: Any, usage: Any, route: str) -> Quota | None:
    """The answers of `/dashboard/billing/subscription` and `/usage` together; `None` when the first is something else.

    The limit is all that was ever granted, the usage is in hundredths of it: `left = limit - usage / 100`.
    """
    if not isinstance(subscription, dict) or subscription.get("error"):
        return None
    told = (amount(subscription.get(f"{name}_limit_usd")) for name in ("hard", "system_hard", "soft"))
    granted = next((limit for limit in told if limit is not None), None)
    if granted is None:
        return None
    hundredths = amount(usage.get("total_usage")) if isinstance(usage, dict) and not usage.get("error") else None
    used = None if hundredths is None else hundredths / 100
    expires = _moment(subscription.get("access_until"))
    if granted == UNLIMITED:
        return Quota(route, Unit.AS_COUNTED, None, used, None, unlimited=True, expires=expires)
    return Quota(route, Unit.AS_COUNTED, granted, used, None if used is None else granted - used, expires=expires)


def spent_between(before: Quota, after: Quota) -> Decimal | None:
    """How much less there is in `after`; `None` when that can't be told. What was used counts first: no top-up changes it."""
    if before.used is not None and after.used is not None:
        return after.used - before.used
    if before.left is not None and after.left is not None:
        return before.left - after.left
    return None


def near(model: str, models: Iterable[Model]) -> list[str]:
    """The names most like `model`: those that hold it or are held by it (a date, a vendor), then those spelt like it."""
    names = [each.id for each in models]
    kin = sorted((name for name in names if model in name or name in model), key=lambda name: abs(len(name) - len(model)))
    return list(dict.fromkeys((*kin, *nearest(model, names, MOST_NEAR))))[:MOST_NEAR]


def holding(text: str, models: Iterable[Model]) -> Iterator[Model]:
    """Those of `models` whose names hold `text`, in capitals or not."""
    return (model for model in models if text.casefold() in model.id.casefold())


def amount(value: Any) -> Decimal | None:
    """A number as a service writes it, in digits or as text; `None` for what is none, or beyond reason."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        number = Decimal(value if isinstance(value, int | Decimal) else str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and -MOST < number < MOST else None


def _limits(data: dict[str, Any]) -> tuple[str, ...] | None:
    """Names as keys of an object, or in a list; no limit, unless it is switched on."""
    limits = data.get("model_limits")
    if data.get("model_limits_enabled") is not True or not isinstance(limits, dict | list) or not limits:
        return None
    allowed = limits if isinstance(limits, list) else [name for name, may in limits.items() if may is not False]
    return tuple(whole_text(name) for name in allowed if isinstance(name, str))


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(value[:10]) if isinstance(value, str) else None
    except ValueError:
        return None


def _moment(value: Any) -> datetime | None:
    """Seconds since 1970; zero and less mean never."""
    seconds = amount(value)
    if seconds is None or seconds <= 0:
        return None
    try:
        return datetime.fromtimestamp(float(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return None
