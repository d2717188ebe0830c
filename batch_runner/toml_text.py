"""TOML as people write it: on which line something stands. Pure."""

from __future__ import annotations

import re
from typing import Any

MARK = "<<here>>"


def line_of(text: str, keys: tuple[str, ...]) -> int:
    """The line on which the key path `keys` of a TOML text stands. tomllib doesn't tell; tomlkit keeps the layout, so the
    value is replaced by a mark and the mark looked for.
    """
    import tomlkit  # noqa: PLC0415 - needed only when something is wrong

    table_head = re.compile(rf"\s*\[+\s*{re.escape(keys[0])}\b")
    heads = [number for number, line in enumerate(text.splitlines(), start=1) if table_head.match(line)]
    if len(keys) == 1 and heads:
        return heads[0]
    document: Any = tomlkit.parse(text)
    place = document
    for key in keys[:-1]:
        place = place[key]
    if keys[-1] not in place:
        return 1
    place[keys[-1]] = MARK
    return next(number for number, line in enumerate(tomlkit.dumps(document).split("\n"), start=1) if MARK in line)
