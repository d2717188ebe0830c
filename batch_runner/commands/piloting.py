"""`--pilot N`: some random rows first, then what they foretell of the others, and a question."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import click

from batch_runner.exits import ExitStatus
from batch_runner.failures import CannotStart
from batch_runner.pilot import Pilot
from batch_runner.reporters.prospect import prospect_document, prospect_lines
from batch_runner.reporters.wording import rows
from batch_runner.spending import MAX_COST, MAX_TOTAL_TOKENS

if TYPE_CHECKING:
    from batch_runner.commands.terminal import Face
    from batch_runner.intent import Order
    from batch_runner.pilot import Prospect
    from batch_runner.preparation import Prepared
    from batch_runner.progress import Reporter, RunReport

FINISHED = frozenset({ExitStatus.OK, ExitStatus.ROWS_NOT_OK})


class Send(Protocol):
    """Runs what was prepared, and tells the reporters given, too; `last`: nothing of it is run after this."""

    def __call__(self, prepared: Prepared, /, *reporters: Reporter, last: bool) -> RunReport: ...  # noqa: D102 - as above


def check_pilot(order: Order, face: Face) -> None:
    """Raises `CannotStart` where nobody could answer the question, and no cap stands in their place."""
    if face.confirm() is None and not _caps(order):
        raise CannotStart(
            "--pilot asks before the other rows are sent, and nobody is here to answer: add --yes, or a cap that holds, "
            f"{MAX_COST} or {MAX_TOTAL_TOKENS}"
        )


def send_in_two(prepared: Prepared, count: int, face: Face, send: Send) -> RunReport:
    """Send `count` random rows, tell what they foretell, and send the others if that is wanted. How it all ended.

    Where the pilot would be everything, or didn't come to its end, nothing is foretold.
    """
    if count >= prepared.plan.to_send:
        return send(prepared, last=True)
    first, rest = prepared.plan.parted(count, prepared.settings.rows.seed)
    pilot = Pilot(prepared.prices)
    face.say(f"pilot: {count:,} of them first, at random")
    report = send(replace(prepared, plan=first), pilot, last=False)
    prospect = pilot.prospect(rest.to_send, report.run, prepared.settings.limits)
    if report.reason or report.exit_status not in FINISHED or prospect is None:
        return report
    foretold = prospect_document(prospect, prepared.prices)
    for line in prospect_lines(prospect, prepared.prices):
        face.say(line)
    no = _asked(prospect, prepared.order, face)
    if no is not None:
        reason = f"{rows(prospect.others)} not sent; the same command without --pilot sends them"
        return replace(report, exit_status=no, reason=reason, pilot=foretold)
    prepared.history.read_on()
    whole = send(replace(prepared, plan=replace(rest, standing=report.totals.rows)), last=True)
    return replace(whole, run=report.run.merge(whole.run), examples=report.examples | whole.examples, pilot=foretold)


def _asked(prospect: Prospect, order: Order, face: Face) -> ExitStatus | None:
    """`None` when the others are to be sent; else how the command ends."""
    confirm = face.confirm()
    if confirm is None:
        face.say(f"nobody is here to ask: going on, {' and '.join(_caps(order))} holds")
        return None
    try:
        return None if confirm(f"Send the other {rows(prospect.others)}?") else ExitStatus.CANNOT_START
    except (click.Abort, KeyboardInterrupt):
        return ExitStatus.INTERRUPTED


def _caps(order: Order) -> list[str]:
    money = order.settings.money
    caps = ((MAX_COST, money.max_cost), (MAX_TOTAL_TOKENS, money.max_total_tokens))
    return [flag for flag, cap in caps if cap is not None] + [each.name for each in order.wider_caps]
