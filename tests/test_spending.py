from decimal import Decimal

import pytest

from batch_runner.failures import CannotStart
from batch_runner.pricing import Price, Prices, Rates
from batch_runner.records import Bill, Usage
from batch_runner.settings.groups import MoneySettings
from batch_runner.spending import CapUse, WiderCap, cap_in_words, caps_of
from batch_runner.totals import Totals

MILLION = 1_000_000
PRICES = Prices(own={"o1": Price(Rates(Decimal(1), Decimal(1), Decimal(10)), listed=False)})


def spent(usd: int, model: str = "o1") -> Totals:
    """Totals that come to so many dollars."""
    totals = Totals()
    totals.bill(model, Bill(Usage(usd * MILLION, 0, 0, 0, usd * MILLION)))
    return totals


def used(*allowed: CapUse, before: Totals | None = None, money: MoneySettings | None = None) -> dict[str, Decimal]:
    caps = caps_of(money or MoneySettings(), PRICES, before or Totals(), {"o1": False}, allowed)
    return {cap.flag: cap.used for cap in caps}


def test_without_a_word_about_money_nothing_is_capped() -> None:
    assert used() == {}


def test_a_night_counts_what_came_after_its_beginning() -> None:
    night = WiderCap("max_cost_per_night", 5.0, since=1.0)

    assert used(CapUse(night, (spent(7),), spent(4))) == {"max_cost_per_night": 3}


def test_a_job_counts_the_other_nights_too() -> None:
    job = WiderCap("max_cost_per_job", 50.0)

    assert used(CapUse(job, (spent(7), spent(20)), Totals())) == {"max_cost_per_job": 27}


def test_every_cap_counts_by_itself() -> None:
    night, job = WiderCap("max_cost_per_night", 5.0, since=1.0), WiderCap("max_cost_per_job", 50.0)

    found = used(
        CapUse(night, (spent(7),), spent(7)),
        CapUse(job, (spent(7), spent(2)), Totals()),
        before=spent(7),
        money=MoneySettings(max_cost=9.0),
    )

    assert found == {"--max-cost": 7, "max_cost_per_night": 0, "max_cost_per_job": 9}


def test_no_night_has_less_than_nothing_used() -> None:
    """What was owed at its worst may have come to less since."""
    assert used(CapUse(WiderCap("max_cost_per_night", 5.0, since=1.0), (spent(3),), spent(4))) == {"max_cost_per_night": 0}


def test_a_wider_cap_is_told_in_dollars() -> None:
    (cap,) = caps_of(
        MoneySettings(), PRICES, Totals(), {"o1": False}, [CapUse(WiderCap("max_cost_per_job", 5.0), (spent(2),), Totals())]
    )

    assert cap_in_words(cap) == "max_cost_per_job $5.0000, of which $2.0000 is spent or may have been"


def test_a_wider_cap_that_another_night_makes_unknown_is_refused() -> None:
    allowed = CapUse(WiderCap("max_cost_per_job", 5.0), (Totals(), spent(1, "a-model-of-nobody")), Totals())

    with pytest.raises(CannotStart, match="max_cost_per_job can't be kept: nobody here knows what 'a-model-of-nobody' costs"):
        used(allowed)
