"""`batch-runner merge`: several outputs joined in a new one."""

from __future__ import annotations

import time

import click

from batch_runner.commands.terminal import json_option, print_json


@click.command()
@click.argument("outputs", nargs=-1, required=True, metavar="OUT OUT...")
@click.option("-o", "--output", required=True, metavar="NEW", help="The output they are joined in; must not be there yet.")
@json_option
def merge(outputs: tuple[str, ...], output: str, *, as_json: bool) -> int:
    """Join outputs in NEW: shards of one job, or what a run wrote elsewhere when its disk was full. They stay as they are.

    One line for each row: an answer beats a failure, a real one beats one of the embedded endpoint, then the later one wins.
    Attempts and tokens of all are added up, those that stand in more than one output once. Exits as the rows deserve, as a run
    would: 0 when all are ok, 10 when some are not.

    \b
    Example:
      batch-runner merge part-1.results.jsonl part-2.results.jsonl -o all.results.jsonl
      batch-runner merge 'part-*.results.jsonl' -o all.results.jsonl --json
    """
    from batch_runner.reporters.costs import token_lines
    from batch_runner.reporters.summary import standing_in_words
    from batch_runner.reporters.voice import tell
    from batch_runner.reporters.wording import rows
    from batch_runner.totals import row_counts
    from batch_runner.upkeep.merging import merge as join
    from batch_runner.upkeep.outputs import named

    names = named(outputs)
    done = join(names, output, clock=time.time)
    if as_json:
        print_json(
            {
                "schema": 1,
                "output": str(done.output),
                "inputs": names,
                "rows": row_counts(done.totals.rows),
                "in_more_than_one": done.repeated,
                "differing": done.differing,
                "unreadable_lines": done.unreadable,
                "job": done.totals.as_json(),
                "exit_status": int(done.exit_status),
            }
        )
        return int(done.exit_status)
    tell(standing_in_words(done.totals))
    if done.repeated:
        tell(f"{rows(done.repeated)} stood in more than one output")
    if done.differing:
        tell(f"{rows(done.differing)} of these had answers to different requests: the later one stands, look into the inputs")
    if done.unreadable:
        tell(f"lines that can't be read: {done.unreadable:,}; they stay in their own outputs")
    for line in token_lines(done.totals):
        tell(line)
    tell(f"output   {output}")
    return int(done.exit_status)
