"""Writes `batch_runner/pricing/listed.json`, OpenAI's list prices, from the installed genai-prices: `make prices`.

A line a model, in the order in which genai-prices tries them: the names it goes by, a pattern of others, and what a million
tokens cost in US dollars: from which day on -> for prompts of more than so many tokens -> prompt, cached part of it, completion.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import orjson
from genai_prices.data import providers
from genai_prices.types import (
    ClauseContains,
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    ConditionalPrice,
    ModelPrice,
    StartDateConstraint,
)

from batch_runner.pricing.listed import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genai_prices.types import MatchLogic, ModelInfo

PROVIDER = "openai"


def table() -> dict[str, Any]:
    """All that the file holds."""
    models = [*map(_entry, next(provider for provider in providers if provider.id == PROVIDER).models)]
    _check_order(models)
    return {"source": f"genai-prices {version('genai-prices')} of {_last_change()}", "models": models}


def written(document: dict[str, Any]) -> bytes:
    """The file: a line a model, so that a change of prices is a change of lines."""
    models = b",\n".join(map(orjson.dumps, document["models"]))
    return b'{"source":%b,"models":[\n%b\n]}\n' % (orjson.dumps(document["source"]), models)


def _entry(model: ModelInfo) -> dict[str, Any]:
    clauses = model.match.or_ if isinstance(model.match, ClauseOr) else [model.match]
    names = [clause.equals.lower() for clause in clauses if isinstance(clause, ClauseEquals)]
    patterns = [_pattern(clause) for clause in clauses if not isinstance(clause, ClauseEquals)]
    return {"names": names, "pattern": "|".join(patterns), "prices": dict(_days(model))}


def _pattern(clause: MatchLogic) -> str:
    """What `re.search` finds in a name that the clause means."""
    match clause:
        case ClauseStartsWith(starts_with=text):
            return "^" + re.escape(text.lower())
        case ClauseContains(contains=text):
            return re.escape(text.lower())
        case ClauseRegex(regex=pattern):
            return pattern
    raise NotImplementedError(f"a clause the table has no form for: {clause}")


def _days(model: ModelInfo) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """The day from which on a price holds, empty for the first, and the price."""
    stages = [ConditionalPrice(prices=model.prices)] if isinstance(model.prices, ModelPrice) else model.prices
    before = ""
    for number, stage in enumerate(stages):
        if not isinstance(stage.constraint, StartDateConstraint if number else type(None)):
            raise NotImplementedError(f"{model.id}: the table has no form for {stage.constraint}")
        day = str(stage.constraint.start_date) if isinstance(stage.constraint, StartDateConstraint) else ""
        if day < before:
            raise NotImplementedError(f"{model.id}: its prices aren't in the order of their days")
        before = day
        yield day, _steps(stage.prices)


def _steps(price: ModelPrice) -> dict[str, list[str]]:
    """For prompts of more than so many tokens, the rates; nothing where the model isn't sold by tokens in and out."""
    prompt, completion = getattr(price, "input_mtok", None), getattr(price, "output_mtok", None)
    if prompt is None or completion is None:
        return {}
    parts = (prompt, getattr(price, "cache_read_mtok", None) or prompt, completion)
    starts = sorted({0, *(tier.start for part in parts for tier in getattr(part, "tiers", ()))})
    return {str(start): [str(_above(part, start)) for part in parts] for start in starts}


def _above(part: Any, tokens: int) -> Decimal:
    """The rate for a prompt of more than so many tokens: a part is a number, or a base and tiers."""
    if isinstance(part, Decimal):
        return part
    return Decimal(next((tier.price for tier in reversed(part.tiers) if tokens >= tier.start), part.base))


def _last_change() -> date:
    """The newest day on which any price of any provider has changed: the list is as new as that, at least."""
    every = (model.prices for provider in providers for model in provider.models if isinstance(model.prices, list))
    constraints = (price.constraint for prices in every for price in prices)
    days = (constraint.start_date for constraint in constraints if isinstance(constraint, StartDateConstraint))
    return max(day for day in days if day <= datetime.now(UTC).date())


def _check_order(models: list[dict[str, Any]]) -> None:
    """A name is looked for before any pattern, so no pattern may take one from a later model."""
    for number, model in enumerate(models):
        for later in models[number + 1 :]:
            taken = [name for name in later["names"] if model["pattern"] and re.search(model["pattern"], name)]
            if taken:
                raise NotImplementedError(f"{model['pattern']} takes the names {taken} of a later model")


if __name__ == "__main__":
    TABLE.write_bytes(written(table()))
