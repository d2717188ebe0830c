"""What the rows of a survey will cost and take, as far as that can be known beforehand. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

from batch_runner.pricing import Cost
from batch_runner.records import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_runner.pricing import Prices
    from batch_runner.settings.groups import LimitSettings

ASSUMED_LATENCY_S = 20.0
"""How long an answer of a reasoning model is taken to take where the output tells nothing better."""

ASSUMED_IN_FLIGHT = 64
"""How many requests a service is taken to answer at once where no `--concurrency` is given: a run finds it out."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Money and time of the rows to be sent."""

    prompts: Cost
    """Were all answers empty: it can't be less."""
    at_caps: Cost
    """Did every answer use its whole cap: without retries it can't be more."""
    at_rpm_s: float | None
    """Seconds that `--rpm` alone lets it take; `None` without one."""
    at_tpm_s: tuple[float, float] | None
    """The same for `--tpm`: were all answers empty, and did every answer use its whole cap, or a service count it so."""
    in_flight_s: float
    """Seconds that so many requests at once take, each as long as `latency_s`."""
    latency_s: float
    measured: bool
    """True when `latency_s` is the median of the answers in the output, False when it is assumed."""

    @property
    def seconds(self) -> float:
        """The longest of them, answers taken as empty."""
        return max(self.at_rpm_s or 0.0, self.at_tpm_s[0] if self.at_tpm_s else 0.0, self.in_flight_s)


def forecast(
    sums: Mapping[tuple[str, int], Usage],
    prices: Prices,
    limits: LimitSettings,
    *,
    rows: int,
    latency_s: float | None,
) -> Forecast:
    """The forecast for `sums` of tokens (by model and step of its price) of so many rows."""
    each = ASSUMED_LATENCY_S if latency_s is None else latency_s
    total = sum(sums.values(), Usage())
    return Forecast(
        prompts=_cost({key: Usage(usage.prompt_tokens) for key, usage in sums.items()}, prices),
        at_caps=_cost(sums, prices),
        at_rpm_s=None if limits.rpm is None else _at(limits.rpm, rows),
        at_tpm_s=None if limits.tpm is None else (_at(limits.tpm, total.prompt_tokens), _at(limits.tpm, total.total_tokens)),
        in_flight_s=-(-rows // (limits.concurrency or ASSUMED_IN_FLIGHT)) * each,
        latency_s=each,
        measured=latency_s is not None,
    )


def _at(rate: float, count: int | None) -> float:
    """Seconds that so many take at a rate per minute."""
    return 60 * (count or 0) / rate


def _cost(sums: Mapping[tuple[str, int], Usage], prices: Prices) -> Cost:
    return reduce(add, (_cost_of_step(model, step, usage, prices) for (model, step), usage in sums.items()), Cost())


def _cost_of_step(model: str, step: int, usage: Usage, prices: Prices) -> Cost:
    price = prices.of(model)
    if price is None:
        return Cost(unpriced=frozenset({model}))
    rates = price.rates if step == 0 else price.long_prompts[step - 1][1]
    return Cost(rates.cost(usage), listed=price.listed, own=not price.listed)
