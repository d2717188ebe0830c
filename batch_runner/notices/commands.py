"""Commands that are run before and after a run: words, no shell; time-limited; what they print goes to standard error."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from batch_runner.notices.courier import Undelivered
from batch_runner.reporters.wording import duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch_runner.notices.news import News

GRACE_SECONDS = 5.0
"""Between asking a command to end and ending it."""

VARIABLES = {
    "BATCH_RUN_EVENT": "`before` or `ended`",
    "BATCH_RUN_NAME": "the name of the job, else of the output",
    "BATCH_RUN_OUT": "the output, by its full path; empty where it isn't known yet",
    "BATCH_RUN_STATE": "`success` or `failure`; empty before a run",
    "BATCH_RUN_EXIT_STATUS": "how the run ended; empty before",
    "BATCH_RUN_REASON": "why it ended before its rows did, in one line",
    "BATCH_RUN_ID": "the run, as in the output; empty where nothing was sent",
    "BATCH_RUN_ROWS": "rows of the input",
    "BATCH_RUN_ROWS_OK": "and of each other status: `_TRUNCATED`, `_REFUSED`, `_FAILED`, `_UNFINISHED`, `_INVALID`, "
    "`_UNATTEMPTED`",
}
"""What a command finds in its environment beside what the run itself was given."""


def facts_before(name: str) -> dict[str, str]:
    """What a command before a run is told."""
    return _facts("before", name)


def facts_after(news: News) -> dict[str, str]:
    """What a command after a run is told."""
    counts = news.counts
    rows = {f"BATCH_RUN_ROWS_{status.upper()}": str(count) for status, count in counts.items() if status != "not_in_input"}
    return (
        _facts(
            "ended",
            news.name,
            OUT="" if news.output is None else str(news.output),
            STATE=news.state,
            EXIT_STATUS=str(int(news.exit_status)),
            REASON=news.reason,
            ID="" if news.report is None else news.report.run_id,
            ROWS=str(sum(int(count) for count in rows.values())),
        )
        | rows
    )


async def run_command(words: Sequence[str], facts: Mapping[str, str], *, seconds: float) -> None:
    """Run a command for `seconds` at most. Raises `Undelivered` when it can't be run, fails, or takes longer."""
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            env={**os.environ, **{name: value.replace("\0", "") for name, value in facts.items()}},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=_standard_error(),
            start_new_session=True,  # so that what it starts can be ended with it, and a Ctrl-C is ours
        )
    except (OSError, ValueError) as error:
        raise Undelivered(f"can't be run: {getattr(error, 'strerror', None) or error}") from None
    try:
        async with asyncio.timeout(seconds):
            status = await process.wait()
    except TimeoutError:
        await _end(process)
        raise Undelivered(f"took longer than {duration(seconds)} and was ended") from None
    except asyncio.CancelledError:
        await _end(process)
        raise
    if status:
        raise Undelivered(f"ended with {f'signal {-status}' if status < 0 else f'exit status {status}'}")


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a command and what it has started: asked first, then not asked."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                await process.wait()
                return


def _standard_error() -> int:
    """Where a command's words go: standard output is for results."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # closed, or somebody's own
        return asyncio.subprocess.DEVNULL


def _facts(event: str, name: str, **more: str) -> dict[str, str]:
    empty = dict.fromkeys(VARIABLES, "")
    return empty | {"BATCH_RUN_EVENT": event, "BATCH_RUN_NAME": name} | {f"BATCH_RUN_{key}": text for key, text in more.items()}
