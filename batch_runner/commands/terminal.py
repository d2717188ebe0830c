"""How a command speaks: colour, quiet, questions. Results go to stdout, all else to stderr."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import orjson

from batch_runner.reporters.voice import show, tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

F = TypeVar("F", bound="Callable[..., Any]")
WIDEST = 100
MARGIN = 9
"""Columns before the words of a summary's lines."""
TO_BE_COPIED = ("output ", "next ")

color_option = click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="Colours; auto obeys NO_COLOR. [default: auto]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@dataclass(frozen=True, slots=True)
class Face:
    """How much is said, and in which form."""

    quiet: bool = False
    verbose: bool = False
    yes: bool = False
    as_json: bool = False
    color: str = "auto"

    @property
    def live(self) -> bool:
        """True where a line can be redrawn."""
        return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not self.quiet

    def console(self) -> Console:
        """A rich console on stderr."""
        from rich.console import Console

        class Undeterred(Console):
            """Goes on when nobody reads it any more; rich's own console ends the program."""

            def on_broken_pipe(self) -> None:
                self.quiet = True

        forced = {"always": True, "never": False}.get(self.color)
        return Undeterred(
            stderr=True,
            force_terminal=True if forced else None,
            no_color=True if forced is False else None,
            highlight=False,
            soft_wrap=True,
        )

    def say(self, text: str) -> None:
        """One line for a person, unless told to be quiet."""
        if not self.quiet:
            tell(text)

    def confirm(self) -> Callable[[str], bool] | None:
        """Who answers questions: `--yes`, the person at the terminal, or nobody."""
        if self.yes:
            return lambda _question: True
        if all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr)):
            return lambda question: click.confirm(question, default=False, err=True)
        return None


def face_options(command: F) -> F:
    """Add the options that say how a run speaks."""
    for option in (
        color_option,
        json_option,
        click.option("-y", "--yes", is_flag=True, help="Answer every question with yes."),
        click.option("-v", "--verbose", is_flag=True, help="Tell of every failed attempt."),
        click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
    ):
        command = option(command)
    return command


def face_from(ctx: click.Context) -> Face:
    """The face that a command was asked for."""
    return Face(**{name: ctx.params[name] for name in ("quiet", "verbose", "yes", "as_json", "color")})


def print_json(document: dict[str, Any]) -> None:
    """One document on stdout."""
    show(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())


def width() -> int:
    """Columns for what is printed for a person: the terminal's, and no more than the eye follows."""
    return min(WIDEST, shutil.get_terminal_size().columns)


def folded(line: str) -> str:
    """A line of the summary, broken between words where the terminal on stderr would break within one. What somebody may copy,
    the output's name and the next command, stays in one piece.
    """
    if sys.stderr is None or not sys.stderr.isatty() or line.startswith(TO_BE_COPIED):
        return line
    columns = os.get_terminal_size(sys.stderr.fileno()).columns
    if len(line) <= columns or columns <= 2 * MARGIN:  # a terminal without a size says 0
        return line
    return textwrap.fill(line, columns, subsequent_indent=" " * MARGIN, break_long_words=False, break_on_hyphens=False)


def shown(path: Path) -> str:
    """A path as a user would type it here; in `/`, where schedulers start things, in full."""
    here = Path(os.path.realpath("."))
    try:
        return str(path if here == Path("/") else path.relative_to(here))
    except ValueError:
        return str(path)
