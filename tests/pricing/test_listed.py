"""OpenAI's list prices as genai-prices tells them, against what OpenAI's price pages said in November 2026."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import genai_prices
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_runner.pricing.listed import TABLE, list_version, listed_price
from batch_runner.pricing.money import Rates
from batch_runner.records import Usage
from tests.pricing.make import PROVIDER, table, written

FIRST_DAY = date(2024, 1, 1)
NAMES = [name for model in table()["models"] for name in model["names"]]
STARTS = [model["pattern"].replace("\\", "").strip("^$") for model in table()["models"] if model["pattern"]]
ENDINGS = ["", "-2026-08-01", "-20260801", "-20261301", "-mini", "-x", ":y"]

names = st.builds(
    lambda start, ending, shape: shape(start + ending),
    st.sampled_from([*NAMES, *STARTS, "nobody's"]),
    st.sampled_from(ENDINGS),
    st.sampled_from([str, str.upper]),
)
tokens = st.integers(0, 10**6)


def rates(*numbers: str) -> Rates:
    return Rates(*(Decimal(number) for number in numbers))


@pytest.mark.parametrize(
    ("model", "prompt", "cached", "completion"),
    [
        ("o1-preview", "15", "7.5", "60"),
        ("o1-mini", "1.1", "0.55", "4.4"),
        ("o1-mini-2024-09-12", "1.1", "0.55", "4.4"),
        ("o1", "15", "7.5", "60"),
        ("o1-pro", "150", "150", "600"),
        ("o3-mini", "1.1", "0.55", "4.4"),
        ("o3", "2", "0.5", "8"),
        ("o3-pro", "20", "20", "80"),
        ("o4-mini", "1.1", "0.275", "4.4"),
        ("gpt-5", "1.25", "0.125", "10"),
        ("gpt-5-mini", "0.25", "0.025", "2"),
        ("gpt-5-nano", "0.05", "0.005", "0.4"),
        ("gpt-5-pro", "15", "15", "120"),
        ("gpt-5.1", "1.25", "0.125", "10"),
        ("gpt-5.2", "1.75", "0.175", "14"),
        ("gpt-5.4", "2.5", "0.25", "15"),
        ("gpt-5.5", "5", "0.5", "30"),
        ("gpt-5.6-sol", "4", "0.4", "20"),
        ("gpt-6-luna", "0.1", "0.01", "0.5"),
        ("gpt-6-sol", "2", "0.2", "10"),
        ("gpt-6.1-sol", "2", "0.1", "10"),
    ],
)
def test_the_list_price_of_a_model_is_known(model: str, prompt: str, cached: str, completion: str) -> None:
    price = listed_price(model)

    assert price is not None
    assert price.listed
    assert price.rates == rates(prompt, cached, completion)


def test_long_prompts_cost_more_where_openai_asks_more() -> None:
    price = listed_price("gpt-5.4")

    assert price is not None
    assert price.at(272_000) == rates("2.5", "0.25", "15")
    assert price.at(272_001) == rates("5", "0.5", "22.5")


@pytest.mark.parametrize("model", ["", "x", "somebody/else", "deepseek-chat"])
def test_a_model_that_openai_does_not_sell_has_no_price(model: str) -> None:
    assert listed_price(model) is None


def test_the_list_names_its_version_and_the_day_of_its_last_change() -> None:
    told = re.fullmatch(r"genai-prices [\d.]+ of (\d{4}-\d\d-\d\d)", list_version())

    assert told is not None
    assert date(2025, 6, 10) < date.fromisoformat(told[1]) <= datetime.now(UTC).date()


def test_the_table_is_what_the_installed_list_makes_it() -> None:
    assert TABLE.read_bytes() == written(table()), "make prices"


@given(model=names, day=st.integers(0, 1500), prompt=tokens, cached=tokens, completion=tokens)
def test_the_table_asks_what_genai_prices_asks(model: str, day: int, prompt: int, cached: int, completion: int) -> None:
    cached, on = min(prompt, cached), FIRST_DAY + timedelta(days=day)
    price = listed_price(model, on)

    if price is None:
        assert _sold_by_tokens(model, on) is None
        return

    asked = genai_prices.calc_price(
        genai_prices.Usage(input_tokens=prompt, cache_read_tokens=cached, output_tokens=completion),
        model_ref=model,
        provider_id=PROVIDER,
        genai_request_timestamp=datetime(on.year, on.month, on.day, 12, tzinfo=UTC),
    )
    assert price.at(prompt).cost(Usage(prompt, cached, completion, 0, prompt + completion)) == asked.total_price


def _sold_by_tokens(model: str, on: date) -> object:
    """What genai-prices asks for a model that is sold by tokens in and out; nothing where it isn't, or isn't known."""
    try:
        found = genai_prices.calc_price(
            genai_prices.Usage(input_tokens=1, output_tokens=1),
            model_ref=model,
            provider_id=PROVIDER,
            genai_request_timestamp=datetime(on.year, on.month, on.day, 12, tzinfo=UTC),
        ).model_price
    except LookupError:
        return None
    return getattr(found, "input_mtok", None) and getattr(found, "output_mtok", None)
