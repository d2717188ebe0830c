"""A file of prices: what a gateway really asks, in TOML.

multiplier = 0.6            # of every price, those of this file and OpenAI's list

[models.o1-mini]            # US dollars for a million tokens
input = 1.10
cached = 0.55               # left out: as input
output = 4.40
"""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_runner.failures import CannotStart, UsageMistake
from batch_runner.nearest import did_you_mean
from batch_runner.pricing.money import Price, Rates
from batch_runner.pricing.prices import Prices
from batch_runner.toml_text import line_of

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = ("models", "multiplier")
RATES = ("input", "cached", "output")
NEEDED = ("input", "output")
MOST = 1_000_000
"""No price is believed beyond this."""


def read_prices(name: str | None) -> Prices:
    """The prices that apply where the user names the file `name`, or none. Raises `UsageMistake` with every complaint, each
    with its line.
    """
    if name is None:
        return Prices()
    import tomllib  # noqa: PLC0415 - only where there is a file of prices

    try:
        text = Path(name).expanduser().read_text(encoding="utf-8-sig")
        document = tomllib.loads(text, parse_float=Decimal)
    except OSError as error:
        raise CannotStart(f"--prices {name}: can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, ValueError, RuntimeError) as error:
        raise UsageMistake(f"{name}: {error}") from None
    complaints = [f"{name}:{line}: {complaint}" for line, complaint in _complaints(text, document)]
    if complaints:
        raise UsageMistake("\n".join(complaints))
    own = {model: _price(rates) for model, rates in document.get("models", {}).items()}
    multiplier = document.get("multiplier")
    return Prices(own, None if multiplier is None else Decimal(multiplier), Path(name).name)


def _price(rates: dict[str, Any]) -> Price:
    prompt = Decimal(rates["input"])
    return Price(Rates(prompt, Decimal(rates.get("cached", prompt)), Decimal(rates["output"])), listed=False)


def _complaints(text: str, document: dict[str, Any]) -> Iterator[tuple[int, str]]:
    for key, value in document.items():
        if key not in TOP:
            yield line_of(text, (key,)), f"there is no {key!r} here{did_you_mean(key, TOP)}"
        elif key == "multiplier" and not _is_rate(value, above=0):
            yield line_of(text, (key,)), f"multiplier must be a number above 0, this is {_shown(value)}"
        elif key == "models" and not isinstance(value, dict):
            yield line_of(text, (key,)), "models holds a table for each model: [models.o1-mini]"
        elif key == "models":
            for model, rates in value.items():
                yield from _complaints_about(text, model, rates)
    if not document:
        yield 1, "there is no price here: [models.o1-mini] with input and output, or a multiplier"


def _complaints_about(text: str, model: str, rates: Any) -> Iterator[tuple[int, str]]:
    if not isinstance(rates, dict):
        yield line_of(text, ("models", model)), f"{model!r} must be a table with {' and '.join(NEEDED)}, this is {_shown(rates)}"
        return
    for key, value in rates.items():
        line = line_of(text, ("models", model, key))
        if key not in RATES:
            yield line, f"there is no {key!r} in a price{did_you_mean(key, RATES)}"
        elif not _is_rate(value, above=-1):
            yield line, f"{key} must be US dollars for a million tokens, this is {_shown(value)}"
    for key in NEEDED:
        if key not in rates:
            yield _line_of_table(text, model), f"{model!r} has no {key}{_if_quoted(rates)}"


def _if_quoted(rates: dict[str, Any]) -> str:
    """A name with a dot, unquoted, is a table in a table to TOML."""
    nested = any(isinstance(value, dict) for value in rates.values())
    return "; a name with a dot is written in quotes: [models.'gpt-5.1']" if nested else ""


def _is_rate(value: Any, *, above: int) -> bool:
    number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    return number and Decimal(value).is_finite() and above < value <= MOST and value >= 0


def _line_of_table(text: str, model: str) -> int:
    head = re.compile(rf"\s*\[\s*models\s*\.\s*(['\"]?){re.escape(model)}\1[\s.\]]")
    return next((number for number, line in enumerate(text.splitlines(), start=1) if head.match(line)), 1)


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, Decimal) else repr(value)[:60]
