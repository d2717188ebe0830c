"""What is good to know of a run before its first request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_runner.commands.terminal import shown
from batch_runner.endpoint import is_loopback
from batch_runner.models import family_of
from batch_runner.reporters.wording import choosers, counted, full_length_in_words, one_line, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_runner.findings import Findings
    from batch_runner.preparation import Prepared

MOST_FORETOLD = 5


def notes(prepared: Prepared) -> Iterator[str]:
    """What is good to know before the first request."""
    yield from _found(prepared)
    if not prepared.plan.nothing_to_do:
        yield _plan_told(prepared)
        yield from _warnings(prepared)


def _found(prepared: Prepared) -> Iterator[str]:
    plan = prepared.plan
    unreadable = prepared.history.index.unreadable_lines
    if unreadable:
        yield f"{shown(prepared.output)} has lines that can't be read ({unreadable:,}): their rows count as new"
    for path in prepared.taken_in:
        yield f"took in what the last run had to put into {shown(path)}"
    for name in prepared.intent.left_out:
        yield f"passed over {name}: it is an output of batch-runner"
    if plan.left_out:
        yield f"{rows(plan.left_out)} of the input left out by {choosers(prepared.settings)}"
    if plan.full_length and not plan.nothing_to_do:
        yield f"not sent again: {full_length_in_words(plan.full_length)}"


def _plan_told(prepared: Prepared) -> str:
    plan = prepared.plan
    parts = [
        (plan.new, "new"),
        (plan.again, "again"),
        (plan.changed, "changed"),
        (plan.rejected, "invalid"),
        (plan.kept, "done"),
    ]
    told = counted(parts)
    return f"{rows(plan.rows)}: {told} → {prepared.endpoint.host}, {shown(prepared.output)}"


def _warnings(prepared: Prepared) -> Iterator[str]:
    weighing, url = prepared.plan.weighing, prepared.endpoint.url
    if url.startswith("http://") and not is_loopback(prepared.endpoint.host):
        yield f"{url} isn't encrypted: key, prompts and answers can be read on the way"
    if weighing.uncapped:
        most = weighing.largest.completion
        yield f"{rows(weighing.uncapped)} without --max-completion-tokens: an answer may use up to {most:,} tokens"
    if weighing.as_written and (prepared.defaults.system or prepared.defaults.params):
        yield f"{rows(weighing.as_written)} in OpenAI Batch form: sent as written, without the run's own parameters"
    if weighing.ending_in_answer:
        ending = rows(weighing.ending_in_answer)
        yield f"{ending} with an answer of the assistant's at the end, sent so: --drop-answer cuts it off"
    if weighing.cut:
        yield f"{rows(weighing.cut)} without the answer that the conversation ends with; it travels in `extra`"
    if prepared.defaults.system and "system" in family_of(prepared.defaults.model).roles:
        yield f"{prepared.defaults.model} takes no system messages: --system stands at the head of each first user turn"
    for mend, count in weighing.findings.mended.items():
        yield f"--fix: {mend} in {rows(count)}"
    yield from _refusals_foretold(weighing.findings)


def _refusals_foretold(findings: Findings) -> Iterator[str]:
    """What the models are known to refuse, before it is paid for in time."""
    for finding in findings.refused[:MOST_FORETOLD]:
        ask = f"{rows(finding.named.rows)} ask{'s' if finding.named.rows == 1 else ''} {one_line(finding.model, 40)}"
        mends = ", --fix mends it" if finding.refusal.mend else ""
        yield f"{ask} for what it refuses ({finding.refusal.what}): batch-runner check tells more{mends}"
    if len(findings.refused) > MOST_FORETOLD:
        yield f"and {len(findings.refused) - MOST_FORETOLD} more that is refused"
