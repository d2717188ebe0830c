"""`batch-runner status`: how an output stands, running or finished."""

from __future__ import annotations

import os
from pathlib import Path

import click

from batch_runner.commands.terminal import json_option, print_json


@click.command()
@click.argument("output", metavar="OUT")
@click.option("--prices", metavar="FILE", help="Count money at the prices in FILE. [default: the run's own, else OpenAI's list]")
@json_option
def status(output: str, *, prices: str | None, as_json: bool) -> int:
    """Tell how OUT stands: running or not, rows by status, what failed and why, tokens and cost of all its runs.

    \b
    Example:
      batch-runner status prompts.results.jsonl
      batch-runner status prompts.results.jsonl --json | jq .rows
    """
    from batch_runner.reporters.voice import show
    from batch_runner.results.standing import read_standing, standing_document, standing_lines

    standing = read_standing(Path(os.path.realpath(output)), prices)
    if as_json:
        print_json(standing_document(standing))
    else:
        for line in standing_lines(standing, output):
            show(line)
    return 0
