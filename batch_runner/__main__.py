"""The entry point: every way a command can end becomes an exit status here, and no user sees a traceback."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback

EX_BUG = 70
EX_INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit."""
    sys.exit(_status())


def _status() -> int:
    """Everything below is imported inside the net: a broken install is a fault to tell in one line, too."""
    if os.name == "nt":
        sys.stderr.write("batch-runner runs on Linux and macOS; on Windows use it inside WSL\n")
        return 3
    try:
        return _run()
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; nothing was sent\n")
        return EX_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains on its way out
        return 0
    except Exception as bug:  # noqa: BLE001 - the last net: one line for the user, the rest in a file
        return _tell_bug(bug)


def _run() -> int:
    import click  # noqa: PLC0415

    from batch_runner.commands.main import cli  # noqa: PLC0415
    from batch_runner.failures import BatchRunnerError, Bug  # noqa: PLC0415

    try:
        result = cli.main(prog_name="batch-runner", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Abort:
        sys.stderr.write("\ninterrupted; nothing was sent\n")
        return EX_INTERRUPTED
    except click.ClickException as mistake:
        mistake.show()
        return 2
    except Bug as bug:
        return _tell_bug(bug.__cause__ or bug)
    except BatchRunnerError as error:
        click.echo(f"Error: {error}", err=True)
        return int(error.exit_status)
    return result if isinstance(result, int) else 0


def _tell_bug(bug: BaseException) -> int:
    handle, name = tempfile.mkstemp(prefix="batch-runner-bug-", suffix=".log")
    with os.fdopen(handle, "w", encoding="utf-8") as log:
        log.write(_redacted("".join(traceback.format_exception(bug))))
    sys.stderr.write(
        f"Error: a fault in batch-runner ({type(bug).__name__}); what was received is in the output. Details: {name}\n"
    )
    return EX_BUG


def _redacted(text: str) -> str:
    try:
        from batch_runner.redaction import redact  # noqa: PLC0415
    except ImportError:
        return text
    return redact(text)


if __name__ == "__main__":
    main()
