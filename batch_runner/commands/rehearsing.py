"""What comes before the whole: `--dry-run`, everything up to the first request; and the option for a pilot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from batch_runner.commands.terminal import Face, print_json, width
from batch_runner.settings.kinds import Count

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batch_runner.intent import Order

F = TypeVar("F", bound="Callable[..., object]")

DRY_RUN = "--dry-run"

dry_run_option = click.option(
    DRY_RUN, is_flag=True, help="Tell what would be done and may cost, show the first request as curl; send and write nothing."
)

pilot_option = click.option(
    "--pilot",
    type=Count(),
    metavar="N",
    help="Send N random rows first, tell what they foretell of the others, and ask; where nobody answers, --yes or a cap on cost "
    "goes on.",
)


def dry_run(order: Order, face: Face, about: Mapping[str, Any] | None = None) -> int:
    """Tell what a run of `order` would do; the exit status: 3 where it wouldn't begin. `about`: what a document tells besides."""
    from batch_runner.check.rehearsal import rehearsal_document, rehearsal_lines, rehearse
    from batch_runner.reporters.voice import show, tell

    rehearsal = rehearse(order)
    if face.as_json:
        print_json(rehearsal_document(rehearsal) | dict(about or {}))
    elif face.quiet:
        for obstacle in rehearsal.obstacles:
            tell(obstacle)
    else:
        for line in rehearsal_lines(rehearsal, width()):
            show(line)
    return int(rehearsal.exit_status)
