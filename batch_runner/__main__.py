"""The entry point: every way a command can end becomes an exit status here, and no user sees a traceback."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress

OBJECTS_BETWEEN_COLLECTIONS = 200_000
"""More than what is imported comes to, which makes no cycles: to look for some takes 10 ms."""

EX_BUG = 70
EX_INTERRUPTED = 130
EX_FULL = 3
"""What was asked for isn't there: nothing can be written where it belongs."""
EX_PIPE = 1
"""What click leaves with when the pipe it writes into is closed."""


def main() -> None:
    """Run the command line and exit."""
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    sys.exit(_status())


def _status() -> int:
    """Everything below is imported inside the net: a broken install is a fault to tell in one line, too."""
    if os.name == "nt":
        _say("batch-runner runs on Linux and macOS; on Windows use it inside WSL\n")
        return 3
    try:
        return _run()
    except KeyboardInterrupt:
        _say("\ninterrupted; nothing was sent\n")
        return EX_INTERRUPTED
    except Exception as bug:  # noqa: BLE001 - the last net: one line for the user, the rest in a file
        return EX_FULL if isinstance(bug, OSError) and _fills_stdout(bug) else _tell_bug(bug)


def _fills_stdout(error: OSError) -> bool:
    from batch_runner.reporters.voice import stdout_is_full  # noqa: PLC0415

    return stdout_is_full(error)


def _run() -> int:
    import click  # noqa: PLC0415

    from batch_runner.commands.main import cli  # noqa: PLC0415
    from batch_runner.failures import BatchRunnerError, Bug  # noqa: PLC0415
    from batch_runner.reporters.voice import stdout_is_full, tell  # noqa: PLC0415

    try:
        result = cli.main(prog_name="batch-runner", standalone_mode=False)
    except click.exceptions.Abort:
        _say("\ninterrupted; nothing was sent\n")
        return EX_INTERRUPTED
    except click.ClickException as mistake:
        context = getattr(mistake, "ctx", None)
        tell(f"Error: {mistake.format_message()} ({context.command_path if context else 'batch-runner'} --help)")
        return 2
    except SystemExit as end:  # a signal; or click's way out when nobody reads what it prints, such as a help text
        return end.code if isinstance(end.code, int) and end.code != EX_PIPE else 0
    except Bug as bug:
        return _tell_bug(bug.__cause__ or bug)
    except BatchRunnerError as error:
        tell(f"Error: {error}")
        return int(error.exit_status)
    status = result if isinstance(result, int) else 0
    return EX_FULL if status == 0 and stdout_is_full() else status


def _tell_bug(bug: BaseException) -> int:
    import tempfile  # noqa: PLC0415 - as everything that isn't needed to say which version this is
    import traceback  # noqa: PLC0415

    handle, name = tempfile.mkstemp(prefix="batch-runner-bug-", suffix=".log")
    with os.fdopen(handle, "w", encoding="utf-8") as log:
        log.write(_redacted("".join(traceback.format_exception(bug))))
    _say(f"Error: a fault in batch-runner ({type(bug).__name__}); what was received is in the output. Details: {name}\n")
    return EX_BUG


def _say(text: str) -> None:
    with suppress(OSError, AttributeError):  # stderr may be closed, or not there
        sys.stderr.write(text)


def _redacted(text: str) -> str:
    try:
        from batch_runner.redaction import redact  # noqa: PLC0415
    except ImportError:
        return text
    return redact(text)


if __name__ == "__main__":
    main()
