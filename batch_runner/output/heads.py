"""What a line says of itself before its long texts: all that an index needs, and quick to read."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import orjson

from batch_runner.failures import CannotStart
from batch_runner.identity import key_of_encoded_id
from batch_runner.loader import RUN_LINE_START
from batch_runner.output.file import is_sound
from batch_runner.output.lines import FORMAT_VERSION, HEAD, RUN, TOTALS, read_run
from batch_runner.records import Status
from batch_runner.totals import Totals

STATUSES = tuple(Status)
CODES = {status.value.encode(): code for code, status in enumerate(STATUSES)}
"""A status as an output line has it -> its place in `STATUSES`."""
KEY_BYTES = 8

USUAL_HEAD = re.compile(rb'\{"id":"([^"]*)","status":"([^"]*)","fingerprint":"v\d+:([^"]{16})[^"]{16}",')
"""The head of nearly every row line. `[^"]` is what `re` is quickest at; what was found is looked at once more."""
FINGERPRINT = re.compile(r"v\d+:[0-9a-f]{32}")


class Columns(NamedTuple):
    """Row lines as an index keeps them, column by column."""

    ids: list[int]
    """Keys, see `identity.key_of_id`."""
    fingerprints: bytes
    """Keys, see `identity.key_of_fingerprint`: eight bytes each, the highest first."""
    statuses: bytes
    """Places in `STATUSES`."""


class Head(NamedTuple):
    """What a line says of itself before its long texts; of a bookkeeping line, everything."""

    id: str
    status: str
    fingerprint: str
    bookkeeping: dict[str, Any] | None


def usual_heads(lines: list[bytes]) -> Columns | None:
    """What row lines tell an index, read all at once, which halves the time; `None` when one of them isn't as usual."""
    found = [head.groups() for line in lines if line[-2:] == b"}\n" and (head := USUAL_HEAD.match(line))]
    if len(found) < len(lines) or not is_sound(b"".join(lines)):
        return None
    ids, statuses, fingerprints = zip(*found, strict=True)
    together = b'"'.join(ids)
    try:
        codes = bytes(map(CODES.__getitem__, statuses))
        keys = bytes.fromhex(b"".join(fingerprints).decode())  # it passes over blanks, so there may be too few
    except (KeyError, ValueError):
        return None
    if b"\\" in together or len(keys) < KEY_BYTES * len(lines):
        return None
    return Columns(list(map(key_of_encoded_id, ids)), keys, codes)


def read_head(line: bytes) -> Head | None:
    """The head of a whole line; `None` when the line can't be read, and so tells of no row.

    Raises `CannotStart` for an output that a newer program made.
    """
    if not line.rstrip().endswith(b"}") or not is_sound(line):
        return None
    match = HEAD.match(line)
    if line.startswith(RUN_LINE_START) or (match is not None and match[2] == TOTALS.encode()):
        return _bookkeeping_head(line)
    if match is None or match[2] not in CODES:
        return None
    try:
        head = Head(orjson.loads(b'"' + match[1] + b'"'), match[2].decode(), match[3].decode(), None)
    except ValueError:
        return None
    return head if FINGERPRINT.fullmatch(head.fingerprint) else None


def _bookkeeping_head(line: bytes) -> Head | None:
    try:
        document = orjson.loads(line)
        status = document["status"]
        if status == RUN:
            _check_version(document["run"])
            read_run(document)
        Totals.from_json(document["totals"]["job"])
    except (ValueError, KeyError, TypeError):
        return None
    return Head("", status, "", document)


def _check_version(about: dict[str, Any]) -> None:
    """Refuse what a newer program wrote: rows it understands and we don't would be bought again."""
    if about["version"] > FORMAT_VERSION:
        raise CannotStart(
            f"made by a newer program, {about.get('program') or 'batch-runner'} (format {about['version']}; this one knows "
            f"{FORMAT_VERSION}), so it stays as it is: update batch-runner to go on with it"
        )
