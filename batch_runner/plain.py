"""Plain rows, many at once: what `forms.read_line` says of a prompt and some fields beside it, for a block of such lines.

Most files hold nothing else, and all their rows have the same fields. So what depends on the names of the fields is found
out once a block, and what depends on values column by column, in C. Wherever that isn't enough to be sure, the lines are
read one by one. Pure.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from batch_runner.complaints import WrongLineError
from batch_runner.forms import AS_IT_COMES, LISTS, LONG_NUMBER, OVERRIDING, Asked, id_name, prompt_name
from batch_runner.identity import id_from_content
from batch_runner.loader import Draft
from batch_runner.records import PromptRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch_runner.forms import Shape
    from batch_runner.loader import Block

NESTED = frozenset({dict, list})


class PlainRows(NamedTuple):
    """The rows of a block, each one text and nothing else that is asked."""

    block: Block
    ids: list[str]
    """Their own, or made from what they ask and not yet numbered."""
    own_ids: bool
    prompts: list[str]
    fields: list[dict[str, Any]]
    prompt_field: str
    own_fields: tuple[str, ...]
    """Names of the fields that mean nothing to us."""
    used: frozenset[str]

    def asked(self, place: int) -> Asked:
        """What one of them asks for."""
        asks = _asks(self.prompts[place])
        own_id = self.ids[place] if self.own_ids else None
        return Asked(own_id, asks, asks, self.fields[place], self.used, self.prompt_field, None, False, True)

    def row(self, place: int) -> PromptRow:
        """One of them, to be sent."""
        prompt, fields = self.prompts[place], self.fields[place]
        return PromptRow(
            self.ids[place],
            f"{self.block.name}:{self.block.numbers[place]}",
            self.block.texts[place],
            _asks(prompt),
            extra={name: fields[name] for name in self.own_fields},
            text=prompt,
        )

    def draft(self, place: int) -> Draft:
        """One of them, read."""
        return Draft(self.block.line(place), self.asked(place), self.ids[place], self.own_ids)


def read_plain(block: Block, shape: Shape = AS_IT_COMES) -> PlainRows | None:
    """All lines of a block, or `None` where one of them isn't plainly such a row, or another kind than the first."""
    rows = _alike(block.texts) if shape.template is None and block.known is None else None
    if rows is None:
        return None
    columns = {name: list(map(itemgetter(name), rows)) for name in rows[0]}
    names = _names(columns, shape)
    if names is None or not _flat_and_whole(block.texts, columns) or not _are_prompts(columns[names[0]]):
        return None
    prompt_field, id_field = names
    prompts = columns[prompt_field]
    ids = [id_from_content(_asks(prompt)) for prompt in prompts] if id_field is None else _ids(columns[id_field])
    if ids is None:
        return None
    own_fields = tuple(name for name in columns if name not in shape.used and name != prompt_field)
    return PlainRows(block, ids, id_field is not None, prompts, rows, prompt_field, own_fields, shape.used)


def _asks(prompt: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}]}


def _alike(texts: Sequence[bytes]) -> list[dict[str, Any]] | None:
    """The rows of lines that are objects with the same fields in the same order, one at least."""
    try:
        rows = list(map(orjson.loads, texts))
    except orjson.JSONDecodeError:
        return None
    if set(map(type, rows)) != {dict}:
        return None
    names = set(map(tuple, rows))
    return rows if len(names) == 1 and names != {()} else None


def _names(columns: dict[str, list[Any]], shape: Shape) -> tuple[str, str | None] | None:
    """The fields of the prompt and of the id, where nothing else is asked."""
    if "body" in columns or not OVERRIDING.isdisjoint(columns):
        return None
    try:
        prompt_field, id_field = prompt_name(columns, shape), id_name(columns, shape.id_field)
    except WrongLineError:
        return None
    return None if prompt_field in LISTS else (prompt_field, id_field)


def _are_prompts(column: list[Any]) -> bool:
    return set(map(type, column)) == {str} and all(column) and not any(map(str.isspace, column))


def _flat_and_whole(texts: Sequence[bytes], columns: dict[str, list[Any]]) -> bool:
    r"""True when no value holds others, no key stands twice in a line, and no number may have lost digits.

    A line has two quotes around each key and each text. One with a key more than there are fields has more, whatever else
    is in it; so the sum over all lines tells that none has. Quotes within texts are more as well: they are taken off where
    each is surely one (`\\"`, and nowhere a backslash that is escaped itself).
    """
    quotes = 0
    for column in columns.values():
        kinds = set(map(type, column))
        if not kinds.isdisjoint(NESTED):
            return False
        if float in kinds and not all(-LONG_NUMBER < value < LONG_NUMBER for value in column if type(value) is float):
            return False
        quotes += 2 * len(column)
        quotes += 2 * (len(column) if kinds == {str} else sum(type(value) is str for value in column))
    data = b"".join(texts)
    found = data.count(b'"')
    return found == quotes or (b"\\\\" not in data and found - data.count(b'\\"') == quotes)


def _ids(column: list[Any]) -> list[str] | None:
    kinds = set(map(type, column))
    if kinds == {str}:
        return column if all(column) else None
    return list(map(str, column)) if kinds == {int} else None
