"""A look at the key's account before a run spends, and at its quota after: it never stands in a run's way."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from batch_runner.exits import ExitStatus
from batch_runner.inquiry import Account, look, look_again
from batch_runner.leaving import Waits
from batch_runner.reporters.statement import before_a_run
from batch_runner.transport import HttpTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_runner.account import Quota
    from batch_runner.commands.terminal import Face
    from batch_runner.preparation import Prepared
    from batch_runner.progress import RunReport
    from batch_runner.reporters.statement import Cost

SECONDS_BEFORE = 5.0
SECONDS_AFTER = 2.0

IN_A_HURRY = frozenset({ExitStatus.INTERRUPTED, ExitStatus.TERMINATED})
"""Ends of a run after which nobody wants to wait for a gateway."""


async def look_before(prepared: Prepared, face: Face, *, seconds: float = SECONDS_BEFORE) -> Account:
    """Ask for models and quota, together; nothing where nobody would hear of it, or nothing can be spent."""
    unheard = face.quiet and not face.as_json
    free = not prepared.real or prepared.endpoint.key is None or prepared.plan.to_send == 0
    if unheard or free or not prepared.settings.request.preflight:
        return Account()
    async with _transport(prepared, seconds) as asker:
        return await look(asker, prepared.endpoint, seconds=seconds)


def warnings(account: Account, prepared: Prepared, estimate: Cost | None = None) -> Iterator[str]:
    """What that look says of the run; `estimate` is what the run may cost, where the prices are known."""
    every_row_names_its_own = prepared.plan.weighing.as_written == prepared.plan.to_send
    model = None if every_row_names_its_own else prepared.defaults.model
    return before_a_run(account, model=model, host=prepared.endpoint.host, now=datetime.now(UTC), estimate=estimate)


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
