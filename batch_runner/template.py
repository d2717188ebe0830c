"""A prompt with places for a row's fields: `Classify: {text}`. `{{` and `}}` are braces. Pure.

Only names stand between braces: no attribute, index, format or conversion, so that nothing but the row's own JSON is reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import Formatter
from typing import Any

from batch_runner.complaints import WrongLineError, fields_told
from batch_runner.failures import UsageMistake
from batch_runner.json_text import dumps


@dataclass(frozen=True, slots=True)
class Template:
    """Texts, each with the name of the field that follows it; the last has none."""

    pieces: tuple[tuple[str, str | None], ...]

    @classmethod
    def of(cls, text: str) -> Template:
        """Read a template. Raises `UsageMistake` for a brace that stands alone or encloses no plain name."""
        try:
            pieces = tuple(_piece(*each) for each in Formatter().parse(text))
        except ValueError as error:
            raise UsageMistake(f"--template: {error}; a brace of the text itself is doubled: {{{{ or }}}}") from None
        if not any(name for _, name in pieces):
            raise UsageMistake("--template names no field: write {name} where a row's field belongs")
        return cls(pieces)

    def fields_of(self, row: dict[str, Any]) -> dict[str, Any]:
        """The values of the fields that the template names. Refuses a row that lacks one."""
        return {name: _value(row, name) for _, name in self.pieces if name is not None}

    def filled(self, values: dict[str, Any]) -> str:
        """The text with `values` in their places: texts as they are, all else as JSON."""
        return "".join(text if name is None else text + _shown(values[name]) for text, name in self.pieces)


def _piece(text: str, name: str | None, layout: str | None, conversion: str | None) -> tuple[str, str | None]:
    if name is None:
        return text, None
    if layout or conversion or not name.strip() or any(mark in name for mark in '"\n'):
        inside = name + (f"!{conversion}" if conversion else "") + (f":{layout}" if layout else "")
        raise ValueError(f"{{{inside[:40]}}} is no field's name")
    return text, name


def _value(row: dict[str, Any], name: str) -> Any:
    """The field `name`, or what a path such as `meta.lang` leads to through objects."""
    value: Any = row
    for part in (name,) if name in row else name.split("."):
        if not isinstance(value, dict) or part not in value:
            raise WrongLineError(f"the template needs {{{name}}}, this row has {fields_told(row)}")
        value = value[part]
    if value is None:
        raise WrongLineError(f"the template needs {{{name}}}, which is null here")
    return value


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value).decode()
