"""`batch-runner help TOPIC`: a command's own help, or what there is to know of exit codes, environment, input and output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from batch_runner.endpoint import OWN_KEY_VARIABLE
from batch_runner.exits import MEANINGS
from batch_runner.nearest import did_you_mean
from batch_runner.results.states import MEANINGS as STATES
from batch_runner.results.states import STALE, STALE_MEANING
from batch_runner.settings import table

if TYPE_CHECKING:
    from collections.abc import Callable

INPUT = """\
An input is a file of rows, told by its name: JSON Lines, .txt (a prompt a line), .csv, .tsv, .parquet (an extra); all but the
last also as .gz or .zst. - is standard input, JSON Lines. A line of these is one of:

  {"prompt": "晚上好"}  or  "晚上好"          also: input, question, text
  {"messages": [{"role": "user", "content": "晚上好"}]}
  {"conversations": [{"from": "human", "value": "晚上好"}]}                               ShareGPT
  {"custom_id": "r-1", "method": "POST", "url": "/v1/chat/completions", "body": {…}}     an OpenAI Batch line, sent as written

  id                 names the row: a text or a whole number, each once. Without one, the row is known by what it asks.
  model, max_completion_tokens, reasoning_effort, response_format, tools
                     override the run's settings for this row.
  params             an object with any other request parameter of this row.
  anything else      is yours: it travels to the output, in `extra`.

  --template 'Classify: {text}'        makes the prompt from the row's fields; {{ and }} are braces; @FILE reads it
  --prompt-field NAME, --id-field NAME take prompt and id from other fields
  --where 'lang == "zh"', --sample N --seed S, --limit N       choose rows, in this order;  --repeat K sends each K times
  --images-from FOLDER                 sends images that rows name by a path below FOLDER
  --drop-answer                        cuts the assistant's turn off the end of training data

A line that can't be sent becomes an `invalid` line of the output, with the reason; the other rows are sent (with --strict: none).
A row already in the output is not sent again, wherever it stands in the input. Repeated ids stop the run before it starts.
"""

OUTPUT = """\
The output is JSONL. Its first line, and the first of each later run, has status "run"; the last line of each run has status
"totals"; every other line is one row, each with the same keys:

  id, source         the row and where it stood, FILE:LINE
  status             ok · truncated (the cap was too small) · refused · failed · unfinished (no last word yet) · invalid
  answer             the text of the answer
  failure, message   why there is none: a kind, and a sentence
  model, model_answered, finish_reason, request_id, http_status, usage, latency_s     of the answering attempt
  spent              tokens of all attempts of all runs;  maybe_billed: of attempts whose answer never came, at their worst
  cost_usd           US dollars for `spent`; null where the price isn't known
  attempts           one entry for each stretch of like attempts
  extra, input, body JSON text: your own fields, the input line (unless ok), the whole reply

Read the rows:
  jq 'select(.answer != "") | [.id, .answer]' OUT
  pandas.read_json("OUT", lines=True).query("status not in ('run', 'totals')")
"""


@click.command(name="help")
@click.argument("topic", required=False, metavar="[TOPIC|COMMAND]")
@click.pass_context
def help_topic(ctx: click.Context, topic: str | None) -> None:
    """Explain a topic (exit-codes, environment, input, output) or a command."""
    parent = ctx.parent or ctx
    texts: dict[str, Callable[[], str]] = {
        "exit-codes": exit_codes,
        "environment": environment,
        "input": lambda: INPUT,
        "output": lambda: OUTPUT,
    }
    commands = parent.command.list_commands(parent) if isinstance(parent.command, click.Group) else []
    if topic is None:
        click.echo(parent.get_help())
        click.echo("\nTopics: batch-runner help " + " | ".join(texts))
    elif topic in texts:
        click.echo(texts[topic](), nl=False)
    elif topic in commands:
        click.echo(_help_of(topic, parent))
    else:
        raise click.UsageError(f"there is neither a topic nor a command {topic!r}{did_you_mean(topic, [*texts, *commands])}", ctx)


def _help_of(name: str, parent: click.Context) -> str:
    assert isinstance(parent.command, click.Group)
    command = parent.command.get_command(parent, name)
    assert command is not None
    return command.get_help(click.Context(command, info_name=name, parent=parent))


def exit_codes() -> str:
    """The table of exit statuses."""
    rows = "".join(f"{status:>5}  {meaning}\n" for status, meaning in MEANINGS.items())
    states = "".join(f"{status:>5}  {state}: {meaning}\n" for state, (status, meaning) in STATES.items())
    states += f"{STALE:>5}  {STALE_MEANING}\n"
    return f"{rows}\nOf status OUT:\n\n{states}\nMore may come: treat a status you don't know as a failure.\n"


def environment() -> str:
    """The table of environment variables."""
    keys = [
        ("APICORE_API_KEY", "the key of --endpoint apicore"),
        ("OPENAI_API_KEY", "the key of --endpoint openai; OPENAI_BASE_URL moves that endpoint"),
        (OWN_KEY_VARIABLE, "the key of an endpoint given by its URL"),
        ("HTTP_PROXY, HTTPS_PROXY, NO_PROXY", "the proxy to go through"),
        ("NO_COLOR", "no colours"),
    ]
    settings = [(entry.variable, f"{entry.flag}: {entry.facts.help}") for entry in table() if entry.variable]
    width = max(len(name) for name, _ in settings)
    lines = [f"{name:<{width}}  {meaning}\n" for name, meaning in (*keys, *settings)]
    rest = "\nBATCH_RUNNER_PARAM holds a JSON object. A flag wins over a variable, a variable over a job file.\n"
    return "".join(lines) + rest
