"""`batch-runner status`: how an output stands, running or finished."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batch_runner.commands.terminal import json_option, print_json

if TYPE_CHECKING:
    from batch_runner.output.history import History


@click.command()
@click.argument("output", metavar="OUT")
@click.option("--verify", is_flag=True, help="Look at every line and add up the totals anew; exit 10 when something is wrong.")
@click.option("--prices", metavar="FILE", help="Count money at the prices in FILE. [default: the run's own, else OpenAI's list]")
@json_option
def status(output: str, *, verify: bool, prices: str | None, as_json: bool) -> int:
    """Tell how OUT stands: running or not, rows by status, what failed and why, tokens and cost of all its runs.

    With --verify, every line that is torn, unknown, repeated or doesn't add up is named by its number.

    \b
    Example:
      batch-runner status prompts.results.jsonl
      batch-runner status prompts.results.jsonl --json | jq .rows
      batch-runner status prompts.results.jsonl --verify
    """
    from batch_runner.exits import ExitStatus
    from batch_runner.output.history import History
    from batch_runner.reporters.voice import show
    from batch_runner.results.standing import standing_document, standing_lines, standing_of

    with History(Path(os.path.realpath(output))) as history:
        standing = standing_of(history, prices)
        if not as_json:
            for line in standing_lines(standing, output):
                show(line)
        faults = _verified(history, at_work=standing.at_work, aloud=not as_json) if verify else []
    if as_json:
        found = {"verify": {"well": not faults, "faults": faults}} if verify else {}
        print_json(standing_document(standing) | found)
    return int(ExitStatus.ROWS_NOT_OK if faults else ExitStatus.OK)


def _verified(history: History, *, at_work: bool, aloud: bool) -> list[dict[str, object]]:
    """What is wrong with the lines of an output; `aloud`, told as it is found."""
    from batch_runner.reporters.voice import show
    from batch_runner.reporters.wording import many, one_line, rows
    from batch_runner.results.verifying import Verification

    verification = Verification(history, at_work=at_work)
    faults = []
    for fault in verification.faults():
        faults.append(fault._asdict())
        if aloud:
            show(f"line {fault.line:,}: {fault.flaw}: {one_line(fault.told, 300)}")
    if aloud:
        end = "its totals are still to come, its lines are" if at_work else "lines and totals are"
        well = f"{end} well" if not faults else many(len(faults), "fault")
        show(f"verified {rows(verification.rows)}: {well}")
        if verification.replaced:
            show(f"besides, {many(verification.replaced, 'line')} replaced by later ones: compact removes what is replaced")
    return faults
