"""OpenAI's own prices, as the installed genai-prices knows them. It is imported here only, when a price is needed: it takes
a fifth of a second. Its snapshot calls itself as old as the process, so its version and its last change stand for its date.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from batch_runner.pricing.money import Price, Rates

if TYPE_CHECKING:
    from collections.abc import Iterator

PROVIDER = "openai"


def listed_price(model: str) -> Price | None:
    """What OpenAI asks for `model`; `None` when genai-prices doesn't know it."""
    from genai_prices import Usage, calc_price  # noqa: PLC0415 - see above

    try:
        found = calc_price(Usage(input_tokens=1, output_tokens=1), model_ref=model, provider_id=PROVIDER).model_price
    except LookupError:
        return None
    prompt, completion = getattr(found, "input_mtok", None), getattr(found, "output_mtok", None)
    if prompt is None or completion is None:
        return None
    parts = (prompt, getattr(found, "cache_read_mtok", None) or prompt, completion)
    starts = sorted({tier.start for part in parts for tier in getattr(part, "tiers", ())})
    return Price(_rates(parts, 0), tuple((start, _rates(parts, start + 1)) for start in starts))


@lru_cache(maxsize=1)
def list_version() -> str:
    """How the list is called where its prices are shown: `genai-prices 0.2.3 of 2026-11-09`, the day of the last change of any
    price that it knows of; it holds later ones, too, that were announced beforehand.
    """
    from importlib.metadata import version  # noqa: PLC0415 - needed for display only

    changes = [day for day in _changes() if day <= datetime.now(UTC).date()]
    return f"genai-prices {version('genai-prices')}" + (f" of {max(changes)}" if changes else "")


def _changes() -> Iterator[date]:
    """The days from which on some price in the list holds."""
    from genai_prices.data import providers  # noqa: PLC0415 - see above

    for model in (model for provider in providers for model in provider.models):
        for price in model.prices if isinstance(model.prices, list) else ():
            day = getattr(price.constraint, "start_date", None)
            if isinstance(day, date):
                yield day


def _rates(parts: tuple[Any, ...], prompt_tokens: int) -> Rates:
    return Rates(*(_at(part, prompt_tokens) for part in parts))


def _at(part: Any, prompt_tokens: int) -> Decimal:
    """The rate for a prompt of so many tokens: a part is a number, or a base and tiers."""
    if isinstance(part, Decimal):
        return part
    tiers = sorted(part.tiers, key=lambda tier: int(tier.start), reverse=True)
    return Decimal(next((tier.price for tier in tiers if prompt_tokens > tier.start), part.base))
