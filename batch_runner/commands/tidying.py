"""Old nights' outputs, put away: what `job tidy` and the end of `job run` do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_runner.commands.terminal import shown
from batch_runner.nightly.retention import Fate, carry_out_step, steps
from batch_runner.reporters.wording import size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_runner.nightly.job_keys import JobKeys
    from batch_runner.nightly.outputs import Outputs
    from batch_runner.nightly.retention import Step


def tidied(outputs: Outputs, keys: JobKeys, *, dry: bool = False) -> Iterator[str]:
    """Put away what is old, and tell it, a line for each; `dry`: only tell."""
    for step in steps(outputs, keys):
        try:
            yield _told(step if dry else carry_out_step(step), dry=dry)
        except OSError as error:
            yield f"{shown(step.path)}: left as it is: {error.strerror or error}"


def _told(step: Step, *, dry: bool) -> str:
    if step.fate is Fate.LEFT:
        return f"{shown(step.path)}: left as it is: {step.why}"
    freed = f", {size(step.freed)} {'would be ' if dry else ''}freed" if step.freed else ""
    return f"{shown(step.path)}: {'would be ' if dry else ''}{step.fate}{freed}"
