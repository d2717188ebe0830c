from decimal import Decimal
from pathlib import Path

import pytest

from batch_runner.failures import CannotStart, UsageMistake
from batch_runner.pricing import Price, Prices, Rates
from batch_runner.pricing.file import read_prices

GOOD = """\
multiplier = 0.5

[models.o1-mini]
input = 1.10
output = 4.40

[models."gpt-5.1"]
input = 2
cached = 0
output = 10.123456789
"""


def prices_of(folder: Path, text: str) -> Prices:
    (folder / "prices.toml").write_text(text, encoding="utf-8")
    return read_prices(str(folder / "prices.toml"))


def test_a_file_gives_prices_exactly_as_written(tmp_path: Path) -> None:
    prices = prices_of(tmp_path, GOOD)

    assert prices.own == {
        "o1-mini": Price(Rates(Decimal("1.10"), Decimal("1.10"), Decimal("4.40")), listed=False),
        "gpt-5.1": Price(Rates(Decimal(2), Decimal(0), Decimal("10.123456789")), listed=False),
    }
    assert (prices.multiplier, prices.source) == (Decimal("0.5"), "prices.toml")


def test_a_multiplier_alone_is_enough(tmp_path: Path) -> None:
    assert prices_of(tmp_path, "multiplier = 2\n").of("o1") == Price(Rates(Decimal(30), Decimal(15), Decimal(120)), listed=False)


def test_without_a_file_the_list_holds() -> None:
    assert read_prices(None) == Prices()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", ":1: there is no price here: [models.o1-mini] with input and output, or a multiplier"),
        ("\nmultiplyer = 2", ":2: there is no 'multiplyer' here; did you mean 'multiplier'?"),
        ("multiplier = 0", ":1: multiplier must be a number above 0, this is 0"),
        ("multiplier = nan", ":1: multiplier must be a number above 0, this is NaN"),
        ("multiplier = true", ":1: multiplier must be a number above 0, this is True"),
        ("models = 3", ":1: models holds a table for each model: [models.o1-mini]"),
        ("[model.o1]\ninput = 1", ":1: there is no 'model' here; did you mean 'models'?"),
        ("[models]\no1 = 3", ":2: 'o1' must be a table with input and output, this is 3"),
        ("[models.o1]\ninput = 1\nouput = 2\noutput = 2", ":3: there is no 'ouput' in a price; did you mean 'output'?"),
        ("[models.o1]\ninput = -1\noutput = 2", ":2: input must be US dollars for a million tokens, this is -1"),
        ("[models.o1]\ninput = 'x'\noutput = 2", ":2: input must be US dollars for a million tokens, this is 'x'"),
        ("[models.o1]\ninput = 1\noutput = 1e9", ":3: output must be US dollars for a million tokens, this is 1E+9"),
        ("multiplier = 1\n[models.o1]\ninput = 1", ":2: 'o1' has no output"),
        ("[models.gpt-5.1]\ninput = 1", "'gpt-5' has no input; a name with a dot is written in quotes: [models.'gpt-5.1']"),
        ("[models.o1", "prices.toml: "),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(UsageMistake) as told:
        prices_of(tmp_path, text)

    assert complaint in str(told.value)


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageMistake) as told:
        prices_of(tmp_path, "x = 1\n[models.o1]\ninput = 'a'\nb = 2\n")

    assert len(str(told.value).splitlines()) == 4


@pytest.mark.parametrize("name", ["gone.toml", "."])
def test_a_file_that_can_not_be_read_is_no_prices(name: str) -> None:
    with pytest.raises(CannotStart, match=r"--prices .*: can't be read: "):
        read_prices(name)
