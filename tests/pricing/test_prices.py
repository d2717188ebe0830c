from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_runner.pricing import Cost, Price, Prices, Rates
from batch_runner.records import Usage

O1 = Price(Rates(Decimal(15), Decimal("7.5"), Decimal(60)), listed=False)
LONG = Price(Rates(Decimal(2), Decimal(1), Decimal(10)), ((1000, Rates(Decimal(4), Decimal(2), Decimal(20))),), listed=False)

counts = st.integers(0, 10**9)
usages = st.builds(Usage, counts, counts, counts, counts, counts)
prices = st.sampled_from([O1, LONG])


def test_cached_tokens_cost_less_and_reasoning_is_part_of_the_completion() -> None:
    assert O1.rates.cost(Usage(1_000_000, 400_000, 100_000, 90_000, 1_100_000)) == Decimal(9) + Decimal(3) + Decimal(6)


def test_a_number_nobody_told_costs_nothing() -> None:
    assert O1.rates.cost(Usage(None, None, None, None, None)) == 0


def test_more_cached_tokens_than_prompt_are_not_believed() -> None:
    assert O1.rates.cost(Usage(10, 500, 0, 0, 10)) == O1.rates.cost(Usage(10, 10, 0, 0, 10))


@given(price=prices, usage=usages, prompt=counts, completion=counts)
def test_more_tokens_never_cost_less(price: Price, usage: Usage, prompt: int, completion: int) -> None:
    more = Usage((usage.prompt_tokens or 0) + prompt, usage.cached_tokens, (usage.completion_tokens or 0) + completion, 0, 0)

    assert price.rates.cost(more) >= price.rates.cost(usage) >= 0
    assert price.at(more.prompt_tokens or 0).cost(more) >= price.at(usage.prompt_tokens or 0).cost(usage)


@given(parts=st.lists(usages, max_size=20))
def test_the_cost_of_a_sum_is_the_sum_of_the_costs(parts: list[Usage]) -> None:
    honest = [Usage(part.prompt_tokens, 0, part.completion_tokens, 0, 0) for part in parts]

    assert O1.rates.cost(sum(honest, Usage())) == sum((O1.rates.cost(part) for part in honest), Decimal(0))


def test_ten_million_rows_cost_ten_million_times_one_row() -> None:
    row = Usage(9, 0, 10, 0, 19)
    rates = Rates(Decimal("1.1"), Decimal("0.55"), Decimal("4.4"))

    all_of_them = Usage(9 * 10**7, 0, 10 * 10**7, 0, 19 * 10**7)

    assert rates.cost(row) == Decimal("0.0000539")
    assert rates.cost(all_of_them) == Decimal(539)


costs = st.builds(
    Cost, st.decimals(0, 10**6, places=6), st.frozensets(st.sampled_from("abc")), st.booleans(), st.booleans(), st.booleans()
)


@given(a=costs, b=costs, c=costs)
def test_costs_add_up_in_any_order(a: Cost, b: Cost, c: Cost) -> None:
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + Cost() == a


def test_an_unknown_price_is_unknown_and_not_nothing() -> None:
    cost = Prices().cost({"o1-mini": Usage(1_000_000, 0, 0, 0, 1_000_000), "nobody's": Usage(5, 0, 5, 0, 10)})

    assert (cost.usd, cost.unpriced, cost.known) == (Decimal("1.1"), frozenset({"nobody's"}), None)
    assert Prices().usd("nobody's", Usage(5, 0, 5, 0, 10), 5) is None


def test_a_model_nobody_asked_costs_nothing() -> None:
    assert Prices().cost({"nobody's": Usage()}) == Cost()


def test_the_users_price_stands_before_the_list_and_holds_for_snapshots() -> None:
    own = Prices({"o1-mini": O1})

    assert own.of("o1-mini") == own.of("o1-mini-2024-09-12") == O1
    assert (own.of("o1") or LONG).listed


def test_a_multiplier_is_of_every_price() -> None:
    gateway = Prices({"o1": O1, "long": LONG}, Decimal("0.5"))

    assert gateway.of("o1") == Price(Rates(Decimal("7.5"), Decimal("3.75"), Decimal(30)), listed=False)
    assert (gateway.of("long") or O1).at(1001) == Rates(Decimal(2), Decimal(1), Decimal(10))
    assert (gateway.of("o1-mini") or O1).rates.prompt == Decimal("0.55")
    assert gateway.of("nobody's") is None


@pytest.mark.parametrize(("prompt", "usd"), [(1000, 0.002), (1001, 0.004), (None, 0.002)])
def test_a_row_is_priced_by_the_length_of_its_prompt(prompt: int | None, usd: float) -> None:
    assert Prices({"long": LONG}).usd("long", Usage(1000, 0, 0, 0, 1000), prompt) == usd


def test_a_sum_that_may_hold_long_prompts_costs_at_least_that() -> None:
    own = Prices({"long": LONG, "o1": O1})

    assert own.cost({"long": Usage(1001, 0, 0, 0, 1001)}).at_least
    assert not own.cost({"long": Usage(1000, 0, 9999, 0, 10_999), "o1": Usage(9999, 0, 0, 0, 9999)}).at_least


def test_money_says_whose_prices_it_is_made_of() -> None:
    tokens = Usage(1, 0, 1, 0, 2)
    mine = Prices({"o1": O1}, source="gateway.toml")

    assert Prices().basis(Prices().cost({"o1": tokens})).startswith("list-price equivalent, genai-prices ")
    assert mine.basis(mine.cost({"o1": tokens})) == "prices of gateway.toml"
    assert mine.basis(mine.cost({"o1": tokens, "o3": tokens})).startswith("prices of gateway.toml, else list-price equivalent")
