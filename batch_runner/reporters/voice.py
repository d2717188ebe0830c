"""How the program speaks: results and asked-for documents on stdout, all else on stderr.

Nobody listening (a closed pipe, a closed terminal) is no reason to fail, or to end a run: the exit status tells. A full disk
under stdout is told on stderr and in the exit status, since somebody will miss what isn't there.
"""

from __future__ import annotations

import errno
import os
import sys

import click

FULL = {errno.ENOSPC, errno.EDQUOT}
STDOUT = 1

_filled: set[int] = set()
"""Stdout, once the disk under it was full."""


def tell(text: str) -> None:
    """A line on stderr."""
    _write(text, err=True)


def show(text: str) -> None:
    """A line on stdout."""
    _write(text, err=False)


def _write(text: str, *, err: bool) -> None:
    stream = sys.stderr if err else sys.stdout
    if stream is None:  # started with the stream closed
        return
    try:
        click.echo(text, err=err)
    except (OSError, ValueError) as error:
        if not err and isinstance(error, OSError) and error.errno in FULL:
            _told_as_full(error)
        _forget(2 if err else STDOUT)


def stdout_is_full(error: OSError | None = None) -> bool:
    """Whether the disk under stdout was full, which has been told; `error`: what a write came to that may have been one there."""
    if error is not None and error.errno in FULL and not _filled:
        try:
            os.write(STDOUT, b"\n")
        except OSError as again:
            if again.errno in FULL:
                _told_as_full(again)
                _forget(STDOUT)
    return bool(_filled)


def _told_as_full(error: OSError) -> None:
    _filled.add(STDOUT)
    tell(f"stdout can't be written: {error.strerror}; what stands there isn't all")


def _forget(descriptor: int) -> None:
    """Send what is still buffered nowhere, or the interpreter would complain of it on its way out, and exit 120."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
