"""`batch-runner prune`: an output without rows that its input no longer holds."""

from __future__ import annotations

import time

import click

from batch_runner.commands.terminal import Face, json_option, print_json


@click.command()
@click.argument("output", metavar="OUT")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@json_option
def prune(output: str, inputs: tuple[str, ...], *, yes: bool, as_json: bool) -> int:
    """Set aside the records in OUT whose rows are in none of INPUT (all the inputs of OUT: files or globs).

    Asks first. What goes is kept in OUT.<UTC time>.pruned, an output too: merge joins it to OUT again. Exits as the rows that
    stay deserve, as a run would: 0 when all are ok, 10 when some are not.

    \b
    Example:
      batch-runner prune prompts.results.jsonl prompts.jsonl
      batch-runner prune nightly.results.jsonl 'prompts/*.jsonl' --yes
    """
    from batch_runner.reporters.voice import tell
    from batch_runner.reporters.wording import rows
    from batch_runner.totals import row_counts
    from batch_runner.upkeep.pruning import prune as set_aside

    done = set_aside(output, inputs, clock=time.time, confirm=Face(yes=yes).confirm())
    if as_json:
        print_json(
            {
                "schema": 1,
                "output": str(done.output),
                "rows_dropped": done.dropped,
                "kept_in": str(done.aside or ""),
                "rows": row_counts(done.rows),
                "exit_status": int(done.exit_status),
            }
        )
    elif done.aside is None:
        tell(f"{output}: nothing to prune, every record is of a row of the input")
    else:
        tell(f"{output}: {rows(done.dropped)} set aside, in {done.aside.name}")
    return int(done.exit_status)
