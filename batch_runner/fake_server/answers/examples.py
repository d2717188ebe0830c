"""Examples: the smallest JSON value that fits a schema, for answers and tool calls that must follow one."""

from collections.abc import Callable, Mapping
from typing import Any

Schema = Mapping[str, Any]

DEEPEST = 12
"""Schemas may refer to themselves; below this an example stops following them."""


def example_of(schema: Schema, text: str, *, root: Schema | None = None, depth: int = 0) -> object:
    """A value that fits the schema, with `text` wherever a string may stand."""
    root = schema if root is None else root
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if depth > DEEPEST:
        return None
    if inner := _inner(schema, root):
        return example_of(inner, text, root=root, depth=depth + 1)
    make = MAKERS.get(_type(schema))
    return make(schema, text, root, depth) if make else text


def _inner(schema: Schema, root: Schema) -> Schema | None:
    """The schema meant by a reference or a choice between several."""
    if isinstance(reference := schema.get("$ref"), str):
        found: Any = root
        for name in reference.removeprefix("#").strip("/").split("/"):
            found = found.get(name, {}) if name else found
        return found if isinstance(found, Mapping) else None
    for choice in ("anyOf", "oneOf", "allOf"):
        if options := schema.get(choice):
            first: Schema = options[0]
            return first
    return None


def _type(schema: Schema) -> str:
    named = schema.get("type", "object" if "properties" in schema else "string")
    return str(named[0] if isinstance(named, list) else named)


def _object(schema: Schema, text: str, root: Schema, depth: int) -> object:
    return {name: example_of(inner, text, root=root, depth=depth + 1) for name, inner in schema.get("properties", {}).items()}


def _array(schema: Schema, text: str, root: Schema, depth: int) -> object:
    inner = example_of(schema.get("items", {}), text, root=root, depth=depth + 1)
    return [inner] * max(1, schema.get("minItems", 1))


def _string(schema: Schema, text: str, _root: Schema, _depth: int) -> object:
    padded = text.ljust(schema.get("minLength", 0), ".")
    return padded[: schema.get("maxLength", len(padded))]


def _number(schema: Schema, _text: str, _root: Schema, _depth: int) -> object:
    return schema.get("minimum", min(1, schema.get("maximum", 1)))


MAKERS: dict[str, Callable[[Schema, str, Schema, int], object]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "number": _number,
    "integer": _number,
    "boolean": lambda _schema, _text, _root, _depth: True,
    "null": lambda _schema, _text, _root, _depth: None,
}
