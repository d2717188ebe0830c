"""batch-runner: JSONL prompts in, o1 chat answers and usage totals out, resumable.

The way of a row, and with it the order of the modules. Each imports only what stands above it.

    exits           the exit statuses
    usage           how many tokens something has
    failures        failure kinds, and the error tree
    records         the frozen values that travel: row, request, reply, result
    clock           times as they are written
    json_text       JSON where orjson alone gives up
    blocks          things in blocks, fewer where they are large
    replacement     a small file, replaced in one step
    toml_text       on which line of a TOML file something stands
    redaction       text -> text without secrets
    nearest         what somebody who misspelt a word probably meant
    zones           time zones, and the moments at which their clocks show a time
    settings/       one table, read as flags, environment, job keys and keyword arguments
    endpoint        where requests go, which key goes with them, and who is trusted there
    advice          what to do about each failure kind
    identity        a row's id, a request's fingerprint, and whether a record is still good
    complaints      what is said of a line that can't be sent
    template        a prompt with places for a row's fields
    messages        the messages of a row, checked
    images          an image named by its path -> a data URL
    forms           one input line -> what it asks for
    files           a file -> numbered lines of UTF-8
    tables          CSV and Parquet rows -> JSON lines
    loader          input files -> rows, streaming
    plain           plain rows, many at once
    sorted_keys     many keys, in numpy columns
    keys            which keys were met before
    naming          the final ids of a run's rows
    condition       which rows are meant, as an expression
    selection       which rows a run is about, and how often each is sent
    totals          sums of a run and of a job
    models          what is known of models by their names
    refusals        what a model refuses about a request, and what can be mended
    tokens          how many tokens a prompt has
    pricing/        tokens -> money
    chat            row -> request, reply -> completion
    stencil         plain prompt -> request, without building it anew each time
    growth          how a row whose answer was cut off is asked again
    account         what a service tells of a key's account: models, quota
    hints           what a refusal says of when to come back, and how fast
    error_replies   error replies in every dialect -> failure kind and scope, as tables
    leaving         the way out: drain, then hang up
    deadline        when a run has to be over
    admission/      leave to send: caps on cost, places in flight, tokens, pace, pause, ceiling
    exchange        a request and its reply over connections of aiohttp, without its session
    transport       sends one request, and says what came of it
    verdict         what came of an attempt -> completion or failure, and whom that is about
    inquiry         asks a service about a key's account
    retry           whether and when an attempt is made again
    health          whether the run goes on
    output/         the output file: lines, index, ledger, history, heartbeat, lock, journal, rescue, compaction, packing
    spending        the caps on cost, and whether a run can keep to them
    findings        what models are known to refuse about the rows to be sent
    weighing        what the rows to be sent weigh
    plan            what a run would do, line by line
    planner         the first pass: what is new, changed, done
    tally           what one row has come to so far
    progress        what reporters are shown
    state           the parts of a run that change
    worker          one row, top to bottom
    alongside       a task beside the main work
    runner          the pool and its drain
    intent          what somebody wants run, before any output is opened
    preparation     an order -> a run that could begin
    projection      what some random rows foretell of the others
    pilot           a few random rows first
    reporters/      live line, timed lines, heartbeat, summary
    notices/        who is told of a run: addresses, services, commands, files, a log
    check/          what a run would do, cost and take, told beforehand
    results/        reading an output
    upkeep/         outputs between runs: compacted, pruned, joined
    preflight       a look at the key's account before a run, and after
    execution       builds a run, runs it, says how it ended
    api             run_file
    nightly/        job files: nights, their outputs and history, turns, schedules
    commands/       the command line, thin

`fake_server/`, the embedded endpoint, imports nothing of these; only `execution` and `commands` import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batch_runner.api import run_file, run_file_sync
    from batch_runner.exits import ExitStatus
    from batch_runner.failures import BatchRunnerError, Bug, CannotStart, FailureKind, OutputBusy, UsageMistake
    from batch_runner.progress import RunReport
    from batch_runner.records import Result, Status, Usage
    from batch_runner.results.reading import read_results
    from batch_runner.totals import Totals

__version__ = "0.1.0"

__all__ = [
    "BatchRunnerError",
    "Bug",
    "CannotStart",
    "ExitStatus",
    "FailureKind",
    "OutputBusy",
    "Result",
    "RunReport",
    "Status",
    "Totals",
    "Usage",
    "UsageMistake",
    "read_results",
    "run_file",
    "run_file_sync",
]

_HOMES = {
    "batch_runner.api": ("run_file", "run_file_sync"),
    "batch_runner.exits": ("ExitStatus",),
    "batch_runner.failures": ("BatchRunnerError", "Bug", "CannotStart", "FailureKind", "OutputBusy", "UsageMistake"),
    "batch_runner.progress": ("RunReport",),
    "batch_runner.records": ("Result", "Status", "Usage"),
    "batch_runner.results.reading": ("read_results",),
    "batch_runner.totals": ("Totals",),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `--help` shouldn't wait for an HTTP client."""
    from importlib import import_module  # noqa: PLC0415 - with the rest, only when needed

    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
