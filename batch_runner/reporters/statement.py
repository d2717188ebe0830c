"""What an account came to, for a person and for a program. Pure."""

from __future__ import annotations

from datetime import UTC, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from batch_runner.account import QUOTA_PER_USD, Quota, Unit, holding, near, spent_between
from batch_runner.advice import ADVICE
from batch_runner.exits import ExitStatus
from batch_runner.failures import FailureKind as Kind
from batch_runner.failures import Scope
from batch_runner.inquiry import ABOUT_THE_KEY, TELLS_NOTHING
from batch_runner.reporters.wording import many, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date, datetime

    from batch_runner.account import Model
    from batch_runner.failures import Failure
    from batch_runner.inquiry import Account, Untold

SCHEMA = 1

SOON = timedelta(days=60)
"""How long before its last day a model stands out."""

KEY_ENDS_SOON = timedelta(days=7)

MOST_NAMED = 5
"""So many models of a limited key are named."""

MOST_TOLD = 400
"""Characters of what a service or a network said."""

SMALLEST = Decimal("0.000001")
CENT = Decimal("0.01")

ADVISED = {
    Kind.UNREACHABLE: ADVICE[Kind.UNREACHABLE],
    Kind.NO_ACCESS: "this key may not ask for that",
    Kind.TIMEOUT: "a longer --timeout waits longer",
    **dict.fromkeys((Kind.RATE_LIMITED, Kind.OVERLOADED, Kind.SERVER_ERROR, Kind.CONNECTION_LOST), "ask again later"),
}
"""What to do when a question stays without an answer; nothing was spent on it."""

AS_IT_COUNTS = {
    Unit.AS_COUNTED: "as the gateway counts: usually USD, some sites count CNY or units of their own",
    Unit.QUOTA: f"a gateway's own units, usually {QUOTA_PER_USD:,} to a USD",
}

CAUTION = {
    Unit.AS_COUNTED: "as the gateway counts: usually USD",
    Unit.QUOTA: f"at the usual {QUOTA_PER_USD:,} units a USD",
}
"""The same in short."""

LIMITED_WORDS = ("less left", "more left", "as much left")
UNLIMITED_WORDS = ("more used", "less used", "as much used")

Estimate = tuple[Decimal, Decimal]
"""What a run may cost in dollars: as expected, and with whole caps."""


def model_lines(models: Sequence[Model], own: str, today: date) -> Iterator[str]:
    """One line for each model: `*` marks the run's `own`, `!` one that is shut down, or will be soon."""
    width = max((len(one_line(model.id)) for model in models), default=0)
    for model in models:
        last = "" if model.shutdown is None else _last_day(model.shutdown, today)
        marks = f"{'*' if model.id == own else ' '}{'!' if _stands_out(model, today) else ' '}"
        yield f"{marks} {one_line(model.id):<{width}}  {last}".rstrip()


def models_summed_up(models: Sequence[Model], own: str, host: str, text: str) -> str:
    """How many there are, and whether the run's `own` is among them."""
    count = many(len(models), "model")
    if text:
        count = f"{sum(1 for _ in holding(text, models)):,} of {count} with {text!r} in the name"
    return f"{count} at {host}; {_standing(own, models)}"


def models_document(models: Sequence[Model], own: str, host: str, text: str) -> dict[str, Any]:
    """The list of models as `--json` prints it."""
    listed = any(model.id == own for model in models)
    return {
        "schema": SCHEMA,
        "exit_status": int(ExitStatus.OK),
        "endpoint": host,
        "model": own,
        "listed": listed,
        "nearest": [] if listed else near(own, models),
        "count": len(models),
        "models": [{"id": model.id, "shutdown_date": _iso(model.shutdown)} for model in holding(text, models)],
        "failure": None,
    }


def quota_lines(quota: Quota, host: str, now: datetime) -> Iterator[str]:
    """What was granted and used and what is left, in which units, told by whom."""
    yield f"{'granted':<8} {'without a limit' if quota.unlimited else _amount(quota.granted, quota.unit)}"
    yield f"{'used':<8} {_amount(quota.used, quota.unit)}"
    left = "the key has no limit of its own; the account behind it may" if quota.unlimited else _amount(quota.left, quota.unit)
    yield f"{'left':<8} {left}"
    yield f"{'expires':<8} {'never' if quota.expires is None else _expiry(quota.expires, now)}"
    if quota.models is not None:
        yield f"{'models':<8} only {_few(quota.models)}"
    yield f"{'units':<8} {AS_IT_COUNTS[quota.unit]}"
    yield f"{'told by':<8} {host}{quota.route}"


def quota_document(quota: Quota, host: str) -> dict[str, Any]:
    """A quota as `--json` prints it; what nobody told is null."""
    return {
        "schema": SCHEMA,
        "exit_status": int(ExitStatus.OK),
        "endpoint": host,
        "route": quota.route,
        "unit": str(quota.unit),
        "granted": _number(quota.granted),
        "used": _number(quota.used),
        "left": _number(quota.left),
        "unlimited": quota.unlimited,
        "expires_at": _iso(quota.expires),
        "models": None if quota.models is None else list(quota.models),
        "failure": None,
    }


def failure_document(told: str, kind: str, host: str) -> dict[str, Any]:
    """What `--json` prints when nothing was told."""
    status = int(ExitStatus.STOPPED_BY_SERVICE)
    return {"schema": SCHEMA, "exit_status": status, "endpoint": host, "failure": {"kind": kind, "message": told}}


def models_untold(failure: Failure, host: str) -> str:
    """Why there is no list of models, and what to do."""
    if failure.kind in ABOUT_THE_KEY:
        return _refused(failure, host)
    return f"{host} lists no models: {_advised(failure)}"


def quota_untold(untold: Untold, host: str) -> str:
    """Why nobody knows what is left, and what to do."""
    if untold.refusal is not None:
        return _refused(untold.refusal, host)
    if host in TELLS_NOTHING:
        return f"{host} tells an API key nothing of what is left: its website does"
    last = untold.answers[-1][1]
    if last.http_status is None:
        return f"{host} tells nothing of what is left: {_advised(last)}"
    asked = ", ".join(f"{route} (HTTP {failure.http_status})" for route, failure in untold.answers)
    return f"{host} tells nothing of what is left, as one-api and new-api gateways do; asked: {asked}"


def before_a_run(
    account: Account, *, model: str | None, host: str, now: datetime, estimate: Estimate | None = None
) -> Iterator[str]:
    """What is good to know of the key before a run that asks for `model`, if for any: nothing of what the service didn't tell."""
    if account.refusal is not None:
        yield f"{host} refuses this key: {one_line(account.refusal.message)}"
    yield from _of_the_model(account, model, host, now)
    if account.quota is not None:
        yield from _of_the_quota(account.quota, now, estimate)


def after_a_run(before: Quota, after: Quota, ours: Estimate | None = None) -> Iterator[str]:
    """The gateway's own word on what a run cost, beside `ours`: what was spent, and that with what lost answers may have cost."""
    spent = spent_between(before, after)
    if spent is None:
        return
    more, less, same = UNLIMITED_WORDS if after.unlimited else LIMITED_WORDS
    told = f"{_amount(abs(spent), after.unit)} {more if spent > 0 else less} than before" if spent else f"{same} as before"
    if ours is not None:
        told += f"; we count {_plain(ours[0])}{f' to {_plain(ours[1])}' if ours[1] > ours[0] else ''} USD"
    yield f"{'gateway':<8} {told} ({CAUTION[after.unit]}; it may settle later, and others may use this key)"


def change_document(before: Quota, after: Quota) -> dict[str, Any]:
    """The gateway's word on what a run cost, as `--json` prints it."""
    return {
        "route": after.route,
        "unit": str(after.unit),
        "used_before": _number(before.used),
        "used_after": _number(after.used),
        "left_before": _number(before.left),
        "left_after": _number(after.left),
        "difference": _number(spent_between(before, after)),
    }


def _of_the_model(account: Account, model: str | None, host: str, now: datetime) -> Iterator[str]:
    limits = None if account.quota is None else account.quota.models
    if model is None:
        return
    if limits is not None and model not in limits:
        yield f"this key may only call {_few(limits)}: not {model}"
    elif account.models is not None and all(each.id != model for each in account.models):
        alike = ", ".join(map(one_line, near(model, account.models)))
        nearest = f"; nearest: {alike}" if alike else ""
        yield f"{host} doesn't list {model} for this key ({many(len(account.models), 'model')}{nearest})"
    for each in account.models or ():
        if each.id == model and each.shutdown is not None and _stands_out(each, now.date()):
            yield f"{model} {_last_day(each.shutdown, now.date())}, says {host}"


def _of_the_quota(quota: Quota, now: datetime, estimate: Estimate | None) -> Iterator[str]:
    if quota.expires is not None and quota.expires - now < KEY_ENDS_SOON:
        yield f"this key {'expires' if quota.expires > now else 'expired'} {_expiry(quota.expires, now)}"
    if quota.left is None:
        return
    told = f"left on this key: {_amount(quota.left, quota.unit)}, {CAUTION[quota.unit]}"
    if estimate is not None:
        told += f"; {_needed(estimate, _dollars(quota.left, quota.unit))}"
    yield told


def _needed(estimate: Estimate, left: Decimal) -> str:
    """What a run may need, beside what is left, both in dollars."""
    expected, most = (_plain(amount.quantize(CENT) if amount > 1 else amount) for amount in estimate)
    if estimate[0] > left:
        return f"this run needs {expected} USD at least, more than is left"
    return f"this run may need {expected} to {most} USD" + (", more than is left" if estimate[1] > left else "")


def _standing(own: str, models: Sequence[Model]) -> str:
    if any(model.id == own for model in models):
        return f"{own} is among them"
    alike = ", ".join(map(one_line, near(own, models)))
    return f"{own} isn't among them" + (f" (nearest: {alike})" if alike else "")


def _refused(failure: Failure, host: str) -> str:
    return f"{host} refuses the key: {one_line(failure.message)}; {ADVICE[failure.kind]}"


def _advised(failure: Failure) -> str:
    """What came instead of an answer, and what to do; a certificate that isn't trusted says that itself."""
    told = one_line(failure.message, MOST_TOLD)
    if failure.kind is Kind.UNREACHABLE and failure.scope is Scope.RUN:
        return told
    return f"{told}; {ADVISED.get(failure.kind, 'check --endpoint, it usually ends in /v1')}"


def _stands_out(model: Model, today: date) -> bool:
    return model.shutdown is not None and model.shutdown - today < SOON


def _last_day(day: date, today: date) -> str:
    days = (day - today).days
    return f"was shut down on {day}, {many(-days, 'day')} ago" if days < 0 else f"shuts down on {day}, in {many(days, 'day')}"


def _expiry(moment: datetime, now: datetime) -> str:
    days = abs(moment - now).days
    told = many(days, "day") if days else "less than a day"
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC, {f'in {told}' if moment > now else f'{told} ago'}"


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return ", ".join(map(one_line, names[:MOST_NAMED])) + more


def _amount(value: Decimal | None, unit: Unit) -> str:
    if value is None:
        return "not told"
    if unit is Unit.AS_COUNTED:
        return _plain(value)
    return f"{_plain(value)} units (about {_plain(_dollars(value, unit))} USD)"


def _dollars(value: Decimal, unit: Unit) -> Decimal:
    """`value` in dollars, if the gateway counts as most do."""
    return value / QUOTA_PER_USD if unit is Unit.QUOTA else value


def _plain(value: Decimal) -> str:
    """`1,234.5`: six decimals at most."""
    return f"{value.quantize(SMALLEST).normalize() + 0:,f}"


def _number(value: Decimal | None) -> int | float | None:
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else float(value)


def _iso(moment: date | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
