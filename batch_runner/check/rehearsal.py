"""A run rehearsed: what it would do and may cost, and its first request as a shell would send it. Nobody is asked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batch_runner.check.document import inspection_document
from batch_runner.check.inspection import Inspection, inspect
from batch_runner.check.sections import cost_section, time_section
from batch_runner.endpoint import FAKE, key_in_shell, with_key
from batch_runner.exits import ExitStatus
from batch_runner.failures import CannotStart
from batch_runner.output.heartbeat import may_live, read_heartbeat
from batch_runner.reporters.wording import choosers, counted, many, rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batch_runner.check.inspection import Onlooker
    from batch_runner.intent import Order

NAMED = 1
MOST_BODY = 64 * 1024
"""Characters of a first request that are shown; a picture in it would fill a hundred screens."""
ADDRESS_OF_FAKE = "http://127.0.0.1:8080/v1/chat/completions"
"""Where `batch-runner fake-server --port 8080` answers; the embedded endpoint has no address before it is started."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A run that was thought through to its first request, and not begun."""

    seen: Inspection
    obstacles: tuple[str, ...]
    """Why it wouldn't begin; empty when it would."""
    first_request: str
    """As a curl command, the key by the name of its variable; empty when nothing would be sent."""

    @property
    def exit_status(self) -> ExitStatus:
        """3 where the run wouldn't begin, else as its rows would deserve if all that can be answered were."""
        return ExitStatus.CANNOT_START if self.obstacles else self.seen.exit_status


def rehearse(order: Order, *, onlooker: Onlooker | None = None, environment: Mapping[str, str] = os.environ) -> Rehearsal:
    """Look at everything that a run of `order` would look at. Asks nobody, writes nothing, takes no lock.

    Raises `UsageMistake` or `CannotStart` for what can't be looked at.
    """
    seen = inspect(order, named=NAMED, onlooker=onlooker, environment=environment)
    return Rehearsal(seen, tuple(_obstacles(seen, environment)), _curl(seen, environment))


def rehearsal_lines(rehearsal: Rehearsal, width: int) -> Iterator[str]:
    """For a person, in lines of up to `width` columns; the request at the end is as long as it is."""
    seen = rehearsal.seen
    yield from _rows(seen)
    if seen.plan.to_send:
        for heading, lines in (cost_section(seen, width), time_section(seen, width)):
            yield heading
            yield from lines
    if rehearsal.first_request:
        yield "First request"
        yield rehearsal.first_request
    for obstacle in rehearsal.obstacles:
        yield f"a run wouldn't begin: {obstacle}"
    yield "dry run: nothing was sent, nothing was written"


def rehearsal_document(rehearsal: Rehearsal) -> dict[str, Any]:
    """For a program: what `check --json` tells, and the rest."""
    return inspection_document(rehearsal.seen) | {
        "exit_status": int(rehearsal.exit_status),
        "obstacles": list(rehearsal.obstacles),
        "first_request": rehearsal.first_request,
    }


def _rows(seen: Inspection) -> Iterator[str]:
    plan = seen.plan
    parts = [
        (plan.new, "new"),
        (plan.again, "again"),
        (plan.changed, "changed"),
        (plan.bad, "can't be sent"),
        (plan.rows - plan.to_send - plan.bad, "done"),
    ]
    told = counted(parts)
    yield f"{rows(plan.rows)}: {told} → {seen.endpoint.host}, {'no output is named' if seen.output is None else seen.output}"
    if plan.left_out:
        yield f"{rows(plan.left_out)} of the input left out by {choosers(seen.settings)}"
    if plan.changed and not seen.settings.rows.rerun_changed:
        yield f"a run asks before it buys {rows(plan.changed)} again; where nobody answers, it wants --rerun-changed"
    if seen.refused_rows:
        yield f"{rows(seen.refused_rows)} would be refused: batch-runner check tells more"
    for place in plan.bad_lines:
        yield f"{place.at}: {place.what}"


def _obstacles(seen: Inspection, environment: Mapping[str, str]) -> Iterator[str]:
    plan = seen.plan
    for row_id, first in seen.first_places.items():
        yield f"the id {row_id!r} stands at {first} and again at {plan.doubled[row_id]}"
    if seen.settings.rows.strict and plan.bad:
        yield f"{many(plan.bad, 'line')} can't be sent, so --strict sends nothing"
    if seen.output is None:
        yield "name the output with -o: it has a default only for a single input file"
    elif may_live(beat := read_heartbeat(seen.output)):
        yield f"another run holds {seen.output} (process {beat.get('pid')} on {beat.get('host')})"
    if plan.to_send:
        try:
            with_key(seen.endpoint, seen.settings, environment)
        except CannotStart as refused:
            yield str(refused)


def _curl(seen: Inspection, environment: Mapping[str, str]) -> str:
    if not seen.survey.first_body:
        return ""
    endpoint = seen.endpoint
    key = key_in_shell(endpoint, seen.settings, environment)
    parts = [
        f"curl {_quoted(ADDRESS_OF_FAKE if endpoint.host == FAKE else endpoint.chat_url)}",
        *([f'-H "Authorization: Bearer {key}"'] if key else []),
        "-H 'Content-Type: application/json'",
        f"-d {_quoted(_shortened(_printable(seen.survey.first_body.decode())))}",
    ]
    return " \\\n  ".join(parts)


def _quoted(text: str) -> str:
    """As one word of a shell, in single quotes."""
    return "'" + text.replace("'", "'\\''") + "'"


def _printable(json_text: str) -> str:
    """The same JSON without a character that could command a terminal."""
    return "".join(each if each.isprintable() else _escaped(each) for each in json_text)


def _escaped(character: str) -> str:
    pairs = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{pairs[place : place + 2].hex()}" for place in range(0, len(pairs), 2))


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_BODY else f"{text[:MOST_BODY]}… ({len(text) - MOST_BODY:,} characters more)"
