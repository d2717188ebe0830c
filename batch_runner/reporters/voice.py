"""How the program speaks: results and asked-for documents on stdout, all else on stderr.

Nobody listening (a closed pipe, a closed terminal) is no reason to fail, or to end a run: the exit status tells.
"""

from __future__ import annotations

import os
import sys

import click


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
    except (OSError, ValueError):
        _forget(2 if err else 1)


def _forget(descriptor: int) -> None:
    """Send what is still buffered nowhere, or the interpreter would complain of it on its way out, and exit 120."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
