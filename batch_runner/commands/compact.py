"""`batch-runner compact`: an output without the lines that later ones replaced."""

from __future__ import annotations

import click

from batch_runner.commands.terminal import json_option, print_json


@click.command()
@click.argument("output", metavar="OUT")
@json_option
def compact(output: str, *, as_json: bool) -> int:
    """Rewrite OUT with one line for each row: lines that later ones replaced go.

    It is written beside OUT and takes its place in one step. A run does the same at its end unless OUT is large and few of
    its lines are replaced. Exits as the rows deserve, as a run would: 0 when all are ok, 10 when some are not.

    \b
    Example:
      batch-runner compact prompts.results.jsonl
    """
    from batch_runner.reporters.voice import tell
    from batch_runner.reporters.wording import many, size
    from batch_runner.totals import row_counts
    from batch_runner.upkeep.compaction import tidy

    done = tidy(output)
    if as_json:
        print_json(
            {
                "schema": 1,
                "output": str(done.output),
                "lines_removed": done.lines_gone,
                "bytes_before": done.bytes_before,
                "bytes_after": done.bytes_after,
                "rows": row_counts(done.rows),
                "trouble": done.trouble,
                "exit_status": int(done.exit_status),
            }
        )
    elif done.trouble:
        tell(f"{output} stays as it was, it can't be written anew: {done.trouble}. Make room beside it, then compact again")
    elif done.lines_gone:
        tell(f"{output}: {many(done.lines_gone, 'replaced line')} went, {size(done.bytes_before)} → {size(done.bytes_after)}")
    else:
        tell(f"{output}: nothing to compact, no line was replaced by a later one")
    return int(done.exit_status)
