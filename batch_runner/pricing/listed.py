"""OpenAI's own prices: a table that `make prices` made of genai-prices, which itself would take each run 0.1 s and 13 MiB."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from batch_runner.pricing.money import Price, Rates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

TABLE = Path(__file__).with_name("listed.json")
"""Its form is told where it is written, in tests/pricing/make.py."""

DAY = re.compile(r"-(20\d\d)([01]\d)([0-3]\d)\b")
"""The day in the name of a snapshot, as gateways shorten it."""


def listed_price(model: str, day: date | None = None) -> Price | None:
    """What OpenAI asks for `model` on a `day`, today unless told; `None` when the table doesn't know it."""
    name = model.lower()
    found = _find(name) or _find(DAY.sub(r"-\1-\2-\3", name))
    if found is None:
        return None
    on = str(day or datetime.now(UTC).date())
    return _price(found["prices"][max(start for start in found["prices"] if start <= on)])


def list_version() -> str:
    """How the list is called where its prices are shown: `genai-prices 0.2.3 of 2026-11-09`, the day of the last change of any
    price that it knows of; it holds later ones, too, that were announced beforehand.
    """
    source: str = _table()["source"]
    return source


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(TABLE.read_bytes())
    return document


def _find(name: str) -> dict[str, Any] | None:
    """The model that goes by `name`, or else the first with a pattern that takes it in."""
    models: list[dict[str, Any]] = _table()["models"]
    named = (model for model in models if name in model["names"])
    return next(named, None) or next((model for model in models if model["pattern"] and re.search(model["pattern"], name)), None)


def _price(steps: Mapping[str, Sequence[str]]) -> Price | None:
    """The price that these rates make, by the tokens that a prompt must have more than; none where it isn't sold by tokens."""
    rates = {int(start): Rates(*map(Decimal, each)) for start, each in steps.items()}
    return Price(rates.pop(0), tuple(rates.items())) if rates else None
