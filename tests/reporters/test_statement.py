"""What an account came to is told in words that say whose numbers they are."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from batch_runner.account import Model, Quota, Unit
from batch_runner.failures import Failure, FailureKind, Scope
from batch_runner.inquiry import Account, Untold
from batch_runner.reporters.statement import (
    after_a_run,
    before_a_run,
    change_document,
    model_lines,
    models_document,
    models_summed_up,
    models_untold,
    quota_document,
    quota_lines,
    quota_untold,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TODAY = NOW.date()
HOST = "gateway.example"
MODELS = (
    Model("gpt-9", date(2028, 1, 1)),
    Model("o1", date(2026, 10, 23)),
    Model("o1-mini"),
    Model("o3", date(2026, 12, 11)),
)
RAW = Quota("/api/usage/token/", Unit.QUOTA, Decimal(1_000_000), Decimal(250_000), Decimal(750_000))
MONEY = Quota("/v1/dashboard/billing", Unit.AS_COUNTED, Decimal("2.5"), Decimal("0.0123"), Decimal("2.4877"))
UNLIMITED = replace(RAW, granted=None, left=None, unlimited=True)
REFUSED = Failure(FailureKind.INVALID_KEY, Scope.RUN, "无效的令牌", http_status=401)
MISSING = Failure(FailureKind.WRONG_ENDPOINT, Scope.RUN, "HTTP 404 with nothing", http_status=404)


def said(account: Account, model: str | None = "o1-mini", estimate: tuple[Decimal, Decimal] | None = None) -> list[str]:
    return list(before_a_run(account, model=model, host=HOST, now=NOW, estimate=estimate))


def test_the_models_stand_in_a_column_with_the_runs_own_and_the_ending_ones_marked() -> None:
    assert list(model_lines(MODELS, "o1-mini", TODAY)) == [
        "   gpt-9    shuts down on 2028-01-01, in 403 days",
        " ! o1       was shut down on 2026-10-23, 32 days ago",
        "*  o1-mini",
        " ! o3       shuts down on 2026-12-11, in 17 days",
    ]


def test_a_name_from_elsewhere_can_not_command_the_terminal() -> None:
    (line,) = model_lines([Model("bad\x1b[2J\nname")], "o1", TODAY)

    assert line.strip() == "bad\\x1b[2J name"


def test_the_sum_tells_how_many_and_whether_the_runs_model_is_there() -> None:
    assert models_summed_up(MODELS, "o1-mini", HOST, "") == f"4 models at {HOST}; o1-mini is among them"
    assert models_summed_up(MODELS, "o3", HOST, "O1") == f"2 of 4 models with 'O1' in the name at {HOST}; o3 is among them"
    assert models_summed_up(MODELS, "o1-minni", HOST, "") == (
        f"4 models at {HOST}; o1-minni isn't among them (nearest: o1, o1-mini)"
    )


def test_the_document_of_models_counts_all_and_lists_those_asked_for() -> None:
    document = models_document(MODELS, "o1-minni", HOST, "gpt")

    assert (document["schema"], document["count"], document["listed"], document["nearest"]) == (1, 4, False, ["o1", "o1-mini"])
    assert document["models"] == [{"id": "gpt-9", "shutdown_date": "2028-01-01"}]


def test_a_quota_is_told_in_its_units_and_by_whom() -> None:
    assert list(quota_lines(replace(RAW, expires=NOW + timedelta(days=3), models=("o1", "o3")), HOST, NOW)) == [
        "granted  1,000,000 units (about 2 USD)",
        "used     250,000 units (about 0.5 USD)",
        "left     750,000 units (about 1.5 USD)",
        "expires  2026-11-27 12:00 UTC, in 3 days",
        "models   only o1, o3",
        "units    a gateway's own units, usually 500,000 to a USD",
        f"told by  {HOST}/api/usage/token/",
    ]
    assert list(quota_lines(MONEY, HOST, NOW))[2:5] == [
        "left     2.4877",
        "expires  never",
        "units    as the gateway counts: usually USD, some sites count CNY or units of their own",
    ]


def test_a_key_without_a_limit_says_nothing_of_the_account_behind_it() -> None:
    assert list(quota_lines(UNLIMITED, HOST, NOW))[:3] == [
        "granted  without a limit",
        "used     250,000 units (about 0.5 USD)",
        "left     the key has no limit of its own; the account behind it may",
    ]


def test_the_document_of_a_quota_has_numbers_and_null_for_what_nobody_told() -> None:
    document = quota_document(replace(MONEY, used=None, expires=NOW), HOST)

    assert (document["schema"], document["granted"], document["used"], document["left"]) == (1, 2.5, None, 2.4877)
    assert (document["unit"], document["unlimited"], document["expires_at"]) == ("as_counted", False, "2026-11-24T12:00:00Z")


def test_a_dead_key_is_told_with_the_services_word_and_what_to_do() -> None:
    told = (models_untold(REFUSED, HOST), quota_untold(Untold((("/api/usage/token/", REFUSED),)), HOST))

    for line in told:
        assert line.startswith(f"{HOST} refuses the key: 无效的令牌; the key is missing, wrong, expired, revoked or spent")
        assert line.endswith(": set another one, then run again")


def test_where_nothing_is_told_the_line_says_what_was_asked() -> None:
    assert quota_untold(Untold((("/a", MISSING), ("/b", MISSING))), HOST) == (
        f"{HOST} tells nothing of what is left, as one-api and new-api gateways do; asked: /a (HTTP 404), /b (HTTP 404)"
    )
    assert quota_untold(Untold(), "api.openai.com") == "api.openai.com tells an API key nothing of what is left: its website does"
    assert models_untold(MISSING, HOST) == (
        f"{HOST} lists no models: HTTP 404 with nothing; check --endpoint, it usually ends in /v1"
    )


@pytest.mark.parametrize(
    ("kind", "advice"),
    [(FailureKind.TIMEOUT, "--timeout"), (FailureKind.UNREACHABLE, "network"), (FailureKind.RATE_LIMITED, "ask again later")],
)
def test_no_answer_comes_with_what_to_do_about_it(kind: FailureKind, advice: str) -> None:
    failure = Failure(kind, Scope.ROW, "why")

    assert advice in models_untold(failure, HOST)
    assert advice in quota_untold(Untold((("/a", failure),)), HOST)
    assert "billed" not in models_untold(failure, HOST)


def test_a_certificate_that_is_not_trusted_says_itself_what_to_do() -> None:
    failure = Failure(FailureKind.UNREACHABLE, Scope.RUN, "the certificate isn't trusted: name its authority with --ca-bundle")

    assert models_untold(failure, HOST) == f"{HOST} lists no models: {failure.message}"


def test_before_a_run_nothing_is_said_where_nothing_was_told() -> None:
    assert said(Account()) == []
    assert said(Account(MODELS, UNLIMITED)) == []


def test_a_model_that_is_not_listed_is_named_with_the_nearest_that_are() -> None:
    assert said(Account(MODELS), "o1-minni") == [f"{HOST} doesn't list o1-minni for this key (4 models; nearest: o1, o1-mini)"]
    assert said(Account(()), "o1") == [f"{HOST} doesn't list o1 for this key (0 models)"]


def test_rows_that_all_name_their_own_model_bring_no_word_on_the_runs() -> None:
    assert said(Account(MODELS), None) == []


def test_a_model_near_its_end_or_beyond_is_told() -> None:
    assert said(Account(MODELS), "o1") == [f"o1 was shut down on 2026-10-23, 32 days ago, says {HOST}"]
    assert said(Account(MODELS), "o3") == [f"o3 shuts down on 2026-12-11, in 17 days, says {HOST}"]
    assert said(Account(MODELS), "gpt-9") == []


def test_a_key_that_may_only_call_others_is_told_once() -> None:
    limited = replace(UNLIMITED, models=tuple("abcdefg"))

    assert said(Account(MODELS, limited), "o9") == ["this key may only call a, b, c, d, e and 2 more: not o9"]


def test_a_refused_key_is_told_before_the_first_row() -> None:
    assert said(Account(refusal=REFUSED)) == [f"{HOST} refuses this key: 无效的令牌"]


def test_what_is_left_is_told_with_its_units_and_what_the_run_may_need() -> None:
    assert said(Account(quota=RAW)) == ["left on this key: 750,000 units (about 1.5 USD), at the usual 500,000 units a USD"]
    assert said(Account(quota=MONEY), estimate=(Decimal("0.5"), Decimal("2.4"))) == [
        "left on this key: 2.4877, as the gateway counts: usually USD; this run may need 0.5 to 2.4 USD"
    ]
    (line,) = said(Account(quota=RAW), estimate=(Decimal(1), Decimal("1.6")))
    assert line.endswith("; this run may need 1 to 1.6 USD, more than is left")
    (line,) = said(Account(quota=RAW), estimate=(Decimal("1.51111"), Decimal("1.6")))
    assert line.endswith("; this run needs 1.51 USD at least, more than is left")


def test_a_key_that_ends_within_the_week_is_told() -> None:
    ends = [replace(UNLIMITED, expires=NOW + timedelta(**ahead)) for ahead in ({"hours": 9}, {"days": -2}, {"days": 30})]

    assert [said(Account(quota=each)) for each in ends] == [
        ["this key expires 2026-11-24 21:00 UTC, in less than a day"],
        ["this key expired 2026-11-22 12:00 UTC, 2 days ago"],
        [],
    ]


def test_after_a_run_the_gateways_word_comes_with_its_doubts() -> None:
    spent = replace(MONEY, used=Decimal("0.0246"), left=Decimal("2.4754"))
    doubts = "it may settle later, and others may use this key)"

    assert list(after_a_run(MONEY, spent)) == [
        f"gateway  0.0123 less left than before (as the gateway counts: usually USD; {doubts}"
    ]
    assert list(after_a_run(MONEY, MONEY)) == [f"gateway  as much left as before (as the gateway counts: usually USD; {doubts}"]
    assert list(after_a_run(RAW, replace(RAW, used=Decimal(0)))) == [
        f"gateway  250,000 units (about 0.5 USD) more left than before (at the usual 500,000 units a USD; {doubts}"
    ]
    assert list(after_a_run(UNLIMITED, replace(UNLIMITED, used=Decimal(300_000)))) == [
        f"gateway  50,000 units (about 0.1 USD) more used than before (at the usual 500,000 units a USD; {doubts}"
    ]
    assert list(after_a_run(MONEY, replace(MONEY, used=None, left=None))) == []


def test_the_document_of_a_run_holds_both_sides_of_the_difference() -> None:
    assert change_document(RAW, replace(RAW, used=Decimal(250_010), left=Decimal(749_990))) == {
        "route": "/api/usage/token/",
        "unit": "quota",
        "used_before": 250_000,
        "used_after": 250_010,
        "left_before": 750_000,
        "left_after": 749_990,
        "difference": 10,
    }
