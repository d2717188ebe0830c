"""Which rows are meant, as an expression over a row's fields: `lang == "zh" and len(text) > 80`.

simpleeval walks the expression itself, nothing is compiled or run as Python; attributes are taken away too, so that only the
row's JSON values, the operators and the few functions here can be reached.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from batch_runner.complaints import fields_told
from batch_runner.failures import CannotStart, UsageMistake
from batch_runner.nearest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

FUNCTIONS = {
    "len": len,
    "lower": str.lower,
    "startswith": str.startswith,
    "endswith": str.endswith,
    "int": int,
    "float": float,
    "str": str,
}

WORDS = {"true": True, "false": False, "null": None}
"""JSON's words; Python's are understood as well."""

ROW = "row"
"""Names the whole row, for fields whose name is no word: `row["my field"]`."""


class Condition:
    """An expression that holds for a row, or doesn't. Raises `UsageMistake` for one that can't be read."""

    def __init__(self, text: str) -> None:
        from simpleeval import EvalWithCompoundTypes, InvalidExpression  # noqa: PLC0415 - only for those who ask for it

        self._text = text
        self._walk = EvalWithCompoundTypes()
        self._walk.functions = dict(FUNCTIONS)  # and none of those it brings
        for node in (ast.Attribute, ast.ListComp, ast.GeneratorExp, ast.SetComp, ast.DictComp):
            self._walk.nodes.pop(node, None)
        try:
            self._parsed = self._walk.parse(text.strip())
        except (SyntaxError, ValueError, Warning, InvalidExpression) as error:
            raise UsageMistake(
                f'--where {text!r} can\'t be read: {getattr(error, "msg", error)}; write it like lang == "zh"'
            ) from None
        nodes = list(ast.walk(self._parsed))
        if any(isinstance(node, ast.Attribute) for node in nodes):
            raise UsageMistake(
                f'--where {text!r}: a field inside a field is written meta["lang"], a text begins startswith(text, "…")'
            )
        called = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
        if unknown := sorted(called - FUNCTIONS.keys()):
            there = f"there are {', '.join(FUNCTIONS)}"
            raise UsageMistake(f"--where {text!r}: no {unknown[0]}(){did_you_mean(unknown[0], FUNCTIONS)}; {there}")
        self.names = {node.id for node in nodes if isinstance(node, ast.Name)} - called - WORDS.keys() - {ROW}
        """The fields it asks for."""

    def holds(self, fields: dict[str, Any], source: str) -> bool:
        """Whether a row is meant; a field it lacks counts as null. Raises `CannotStart` where that can't be said."""
        self._walk.names = {**dict.fromkeys(self.names), **WORDS, ROW: fields, **fields}
        try:
            return bool(self._walk.eval(self._text, previously_parsed=self._parsed))
        except Exception as error:  # noqa: BLE001 - whatever a comparison of odd values raises is about this row
            raise CannotStart(
                f"{source}: --where {self._text!r} can't be asked of this row: {error}; it has {fields_told(fields)}",
            ) from None

    def never_met(self, unmet: Iterable[str]) -> CannotStart:
        """What to say when no row of the whole input has the fields `unmet`."""
        return CannotStart(f"--where {self._text!r}: no row has a field {min(unmet)!r}, so nothing was sent")
