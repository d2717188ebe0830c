"""One input line -> what it asks for. The forms: an OpenAI Batch line, `messages`, `prompt` (or another name of it), a ShareGPT
conversation, a bare text. A template or a named field stands above them. Pure, but for images that a row names by their path.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from batch_runner.complaints import NAMES, WrongLineError, doubled_key, fields_told, named, not_json, start_of
from batch_runner.failures import UsageMistake
from batch_runner.images import embedded
from batch_runner.json_text import loads_exactly
from batch_runner.messages import are_turns, check_messages, from_turns, without_answer
from batch_runner.template import Template

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_runner.settings import Settings

PROMPT_NAMES = ("prompt", "input", "question", "text")
"""Names of a row's prompt; the first that a row has counts, the rest are the row's own fields."""

CONVERSATION = "conversations"
"""ShareGPT's name of its turns."""

LISTS = frozenset({"messages", CONVERSATION})
"""Fields that never hold a text."""

OVERRIDES: dict[str, type] = {
    "model": str,
    "max_completion_tokens": int,
    "reasoning_effort": str,
    "response_format": dict,
    "tools": list,
}
"""The only fields at the top of a row that override the run's parameters. A data set's column named `user` or `seed`
must not leak into a request, so everything else goes through `params`."""

OVERRIDING = frozenset({"params", *OVERRIDES})

OURS = frozenset({"id", "custom_id", "params", *OVERRIDES})
"""Fields of a plain row that mean something to us, the prompt aside."""

BATCH_FIELDS = frozenset({"id", "custom_id", "method", "url", "body"})

LOOKED_INTO = frozenset({dict, list, float})
LONG_NUMBER = 2.0**63
NEVER_SO_MANY = 10**9
"""Keys that no line has."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How the rows of a run are read, where the user says so."""

    template: Template | None = None
    prompt_field: str | None = None
    id_field: str | None = None
    drop_answer: bool = False
    """Cut trailing assistant turns off `messages` too; a ShareGPT conversation never keeps them."""
    images_from: Path | None = None
    """The folder below which images may be named by their path."""

    used: frozenset[str] = OURS
    """Fields that aren't the row's own, the prompt's aside. Where another field names the row, `id` and `custom_id` are."""

    @property
    def names_the_prompt(self) -> bool:
        """True when the user said what the prompt is."""
        return self.template is not None or self.prompt_field is not None


AS_IT_COMES = Shape()


def shape(settings: Settings) -> Shape:
    """How the settings have rows read. Raises `UsageMistake` for a template that can't be one, or no folder of images."""
    asked = settings.request
    folder = None if asked.images_from is None else Path(asked.images_from).expanduser()
    if folder is not None and not folder.is_dir():
        raise UsageMistake(f"--images-from {asked.images_from}: there is no such folder")
    template = None if asked.template is None else Template.of(asked.template)
    if template is not None and asked.prompt_field is not None:
        raise UsageMistake("--template and --prompt-field both say what the prompt is: keep one")
    used = OURS if asked.id_field is None else OURS - {"id", "custom_id"}
    return Shape(template, asked.prompt_field, asked.id_field, asked.drop_answer, folder, used)


class Asked(NamedTuple):
    """What a line asks for."""

    id: str | None
    asks: dict[str, Any]
    known_by: dict[str, Any]
    """What makes the row's id where it brings none: what it asks; under a template, the fields that the template names."""
    fields: dict[str, Any]
    """The whole row, as it was read."""
    used: frozenset[str]
    """Fields that mean something to us, the prompt's aside."""
    prompt_field: str | None = None
    cut: list[Any] | None = None
    """Turns of the assistant at the end of the prompt's field that aren't sent."""
    as_written: bool = False
    plain: bool = False
    """True for one text and nothing else, as it stands in the line."""

    @property
    def extra(self) -> dict[str, Any]:
        """The row's own fields; of the prompt's own, what isn't sent."""
        own = {key: value for key, value in self.fields.items() if key not in self.used and key != self.prompt_field}
        return {**own, self.prompt_field: self.cut} if self.cut and self.prompt_field is not None else own


class Unusable(NamedTuple):
    """Why a line can't be sent, and its own id where it has a good one."""

    id: str | None
    reason: str


def read_line(line: bytes, shape: Shape = AS_IT_COMES) -> Asked | Unusable:
    """What `line` asks for, or why it can't be sent."""
    row_id = None
    try:
        fields = _fields(line)
        batch = "body" in fields and _is_batch_line(fields, shape)
        row_id = _id(fields, None if batch else shape.id_field)
        return _batch_line(row_id, fields, shape) if batch else _plain_line(row_id, fields, shape)
    except WrongLineError as error:
        return Unusable(row_id, str(error))


def _fields(line: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise WrongLineError(not_json(line, error)) from None
    if not isinstance(fields, dict):
        if isinstance(fields, str):
            return {"text": fields}
        hint = " (jq -c '.[]' makes lines of it)" if isinstance(fields, list) else ""
        raise WrongLineError(f"a row is a JSON object or a text, this is {named(fields)}{hint}: {start_of(line)}")
    marks = line.count(b'":') if b'" :' not in line else NEVER_SO_MANY
    if marks == len(fields):
        for value in fields.values():
            if type(value) in LOOKED_INTO and (type(value) is not float or not -LONG_NUMBER < value < LONG_NUMBER):
                break
        else:
            return fields  # flat, as most rows are
    return fields if marks == _keys_in(fields) else _read_closely(line)


def _keys_in(value: Any) -> int:
    """How many keys a JSON value has at all depths; far too many where it holds a number that may have lost digits."""
    if type(value) is float:
        return NEVER_SO_MANY if abs(value) >= LONG_NUMBER else 0
    keys = len(value) if type(value) is dict else 0
    try:
        for inner in value.values() if keys else value:
            if type(inner) in LOOKED_INTO:
                keys += _keys_in(inner)
    except RecursionError:
        return NEVER_SO_MANY
    return keys


def _read_closely(line: bytes) -> dict[str, Any]:
    """A row in which `":` doesn't stand as often as there are keys: one may stand twice, though most often a text holds those."""
    if (key := doubled_key(line)) is not None:
        raise WrongLineError(f"the key {key[:60]!r} stands twice in one object: keep one")
    try:
        fields: dict[str, Any] = loads_exactly(line)
    except ValueError:
        raise WrongLineError(f"a number in it has thousands of digits: {start_of(line)}") from None
    return fields


def id_name(fields: Mapping[str, Any], id_field: str | None) -> str | None:
    """The field that holds the row's id, if any does. Raises `WrongLineError` where two may hold different ones."""
    if id_field is not None:
        if id_field not in fields:
            raise WrongLineError(f"there is no field {id_field!r} to take the id from, this row has {fields_told(fields)}")
        return id_field
    if "id" in fields:
        if "custom_id" in fields and fields["id"] != fields["custom_id"]:
            raise WrongLineError("both id and custom_id, and they differ: keep one")
        return "id"
    return "custom_id" if "custom_id" in fields else None


def _id(fields: dict[str, Any], id_field: str | None) -> str | None:
    name = id_name(fields, id_field)
    if name is None:
        return None
    value = fields[name]
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise WrongLineError(f"{name} must be a text or a whole number, this is {named(value)}")


def _is_batch_line(fields: dict[str, Any], shape: Shape) -> bool:
    """A row with a prompt of its own may have columns named `url` and `body`; a Batch line has no prompt beside its body."""
    if "body" not in fields or "messages" in fields or any(name in fields for name in PROMPT_NAMES):
        return False
    return isinstance(fields["body"], dict) or not shape.names_the_prompt


def _batch_line(row_id: str | None, fields: dict[str, Any], shape: Shape) -> Asked:
    url, method, body = fields.get("url", ""), fields.get("method", "POST"), fields["body"]
    if method != "POST":
        raise WrongLineError(f"method must be POST, this is {method!r}")
    if url and not str(url).endswith("/chat/completions"):
        raise WrongLineError(f"url must be /v1/chat/completions, this is {url!r}")
    if not isinstance(body, dict):
        raise WrongLineError(f"body must be an object, this is {named(body)}")
    if body.get("stream"):
        raise WrongLineError("body asks for stream: answers are read whole; remove it")
    in_parts = check_messages(body.get("messages"))
    _check_overrides(body)
    asks = {**body, "messages": embedded(body["messages"], shape.images_from)} if in_parts else body
    return Asked(row_id, asks, body, fields, BATCH_FIELDS, as_written=True)


def _plain_line(row_id: str | None, fields: dict[str, Any], shape: Shape) -> Asked:
    if shape.template is not None:
        asked = _templated(row_id, fields, shape.template, shape)
    else:
        name = prompt_name(fields, shape)
        value = fields[name]
        if type(value) is str and name not in LISTS:
            if not value or value.isspace():
                raise WrongLineError(f"{name} is empty")
            asks = {"messages": [{"role": "user", "content": value}]}
            asked = Asked(row_id, asks, asks, fields, shape.used, name, None, False, True)
        else:
            asked = _conversation(row_id, fields, name, shape)
    return asked if OVERRIDING.isdisjoint(fields) else _overridden(asked)


def _templated(row_id: str | None, fields: dict[str, Any], template: Template, shape: Shape) -> Asked:
    values = template.fields_of(fields)
    text = template.filled(values)
    if not text.strip():
        raise WrongLineError("the template and this row's fields make an empty text")
    return Asked(row_id, {"messages": [{"role": "user", "content": text}]}, {"messages": values}, fields, shape.used)


def _conversation(row_id: str | None, fields: dict[str, Any], name: str, shape: Shape) -> Asked:
    """The messages in the field `name`, without the answer that training data ends with."""
    value = fields[name]
    turns = are_turns(value)
    if name != "messages" and not isinstance(value, list):
        kinds = "a list of messages" if name == CONVERSATION else "a text or a list of messages"
        raise WrongLineError(f"{name} must be {kinds}, this is {named(value)}")
    messages = from_turns(value, name) if turns else value
    in_parts = check_messages(messages, name)
    if shape.drop_answer or turns or name == CONVERSATION:
        messages = without_answer(messages, name)
    sent = embedded(messages, shape.images_from) if in_parts else messages
    return Asked(row_id, {"messages": sent}, {"messages": messages}, fields, shape.used, name, value[len(messages) :])


def _overridden(asked: Asked) -> Asked:
    """With what the row says of the request's other parameters."""
    fields = asked.fields
    overrides = {key: fields[key] for key in OVERRIDES if key in fields}
    _check_overrides(overrides)
    more = (_params(fields["params"]) if "params" in fields else {}) | overrides
    return asked._replace(asks=asked.asks | more, known_by=asked.known_by | more, plain=False)


def prompt_name(fields: Mapping[str, Any], shape: Shape) -> str:
    """The field that holds the prompt or the messages. Raises `WrongLineError` where that can't be told."""
    if shape.prompt_field is not None:
        if shape.prompt_field not in fields:
            raise WrongLineError(
                f"there is no field {shape.prompt_field!r} to take the prompt from, this row has {fields_told(fields)}"
            )
        return shape.prompt_field
    if "messages" in fields:
        if "prompt" in fields:
            raise WrongLineError("both prompt and messages: keep one")
        return "messages"
    for name in PROMPT_NAMES:
        if name in fields:
            if name == "input" and "instruction" in fields:
                raise WrongLineError(
                    "both instruction and input: say how they make one prompt, --template '{instruction}\\n\\n{input}'"
                )
            return name
    if CONVERSATION in fields:
        return CONVERSATION
    raise WrongLineError(
        f"no prompt among {fields_told(fields)}: name one with --prompt-field or --template; by itself it is `messages`, "
        f"{', '.join(PROMPT_NAMES)}, `{CONVERSATION}` or an OpenAI Batch line",
    )


def _check_overrides(overrides: dict[str, Any]) -> None:
    for key, expected in OVERRIDES.items():
        value = overrides.get(key)
        if value is None:
            continue
        if not isinstance(value, expected) or isinstance(value, bool):
            raise WrongLineError(f"{key} must be {NAMES[expected]}, this is {named(value)}")
        if isinstance(value, int) and value < 1:
            raise WrongLineError(f"{key} must be above zero, this is {value}")


def _params(params: Any) -> dict[str, Any]:
    if not isinstance(params, dict):
        raise WrongLineError(f"params must be an object, this is {named(params)}")
    if "messages" in params:
        raise WrongLineError("params can't hold messages: put them at the top of the row")
    if params.get("stream"):
        raise WrongLineError("params ask for stream: answers are read whole; remove it")
    _check_overrides(params)
    return params
