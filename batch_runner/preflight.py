"""A look at the key's account before a run spends, and at its quota after: it never stands in a run's way."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from batch_runner.exits import ExitStatus
from batch_runner.inquiry import Account, look, look_again
from batch_runner.leaving import Waits
from batch_runner.records import ANSWERED, Usage
from batch_runner.reporters.statement import before_a_run
from batch_runner.transport import HttpTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_runner.account import Quota
    from batch_runner.preparation import Prepared
    from batch_runner.progress import RunReport
    from batch_runner.reporters.statement import Estimate

SECONDS_BEFORE = 5.0
SECONDS_AFTER = 2.0

BYTES_A_TOKEN = 4
"""Of an input line: about what English and Chinese have alike."""

IN_A_HURRY = frozenset({ExitStatus.INTERRUPTED, ExitStatus.TERMINATED})
"""Ends of a run after which nobody wants to wait for a gateway."""


async def look_before(prepared: Prepared, *, seconds: float = SECONDS_BEFORE) -> Account:
    """Ask for models and quota, together; nothing where `--no-preflight` says so, or nothing can be spent."""
    free = not prepared.real or prepared.endpoint.key is None or prepared.plan.to_send == 0
    if free or not prepared.settings.request.preflight:
        return Account()
    async with _transport(prepared, seconds) as asker:
        return await look(asker, prepared.endpoint, seconds=seconds)


def warnings(account: Account, prepared: Prepared) -> Iterator[str]:
    """What that look says of the run."""
    every_row_names_its_own = prepared.plan.weighing.as_written == prepared.plan.to_send
    model = None if every_row_names_its_own else prepared.defaults.model
    estimate = None if account.quota is None or account.quota.left is None else estimate_of(prepared)
    return before_a_run(account, model=model, host=prepared.endpoint.host, now=datetime.now(UTC), estimate=estimate)


def estimate_of(prepared: Prepared) -> Estimate | None:
    """What the rows to be sent may cost, in US dollars: if answers are as long as those of earlier runs (empty where there are
    none), and if every answer uses its whole cap. `None` where a price isn't known.
    """
    before = prepared.history.index.job
    answered = sum(before.rows[status] for status in ANSWERED)
    each = (before.spent.completion_tokens or 0) / answered if answered and prepared.history.index.real else 0
    expected = most = Decimal(0)
    for model, load in prepared.plan.weighing.loads.items():
        price = prepared.prices.of(model)
        if price is None:
            return None
        prompts = load.bytes // BYTES_A_TOKEN
        likely = min(load.completion, round(each * load.rows))
        expected += price.rates.cost(Usage(prompts, 0, likely, 0, prompts + likely))
        most += price.rates.cost(Usage(prompts, 0, load.completion, 0, prompts + load.completion))
    return expected, most


async def look_after(
    prepared: Prepared, before: Account, report: RunReport, *, seconds: float = SECONDS_AFTER
) -> tuple[Quota, Quota] | None:
    """The quota before and after a run; `None` unless the route that told it before tells it again."""
    if before.quota is None or not report.run.attempts or report.exit_status in IN_A_HURRY:
        return None
    async with _transport(prepared, seconds) as asker:
        after = await look_again(asker, prepared.endpoint, before.quota, seconds=seconds)
    return None if after is None else (before.quota, after)


def _transport(prepared: Prepared, seconds: float) -> HttpTransport:
    return HttpTransport(prepared.endpoint, timeout=seconds, sends=Waits(), trust=prepared.trust)
