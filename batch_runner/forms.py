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
    from batch_runner.settings import Settings

PROMPT_NAMES = ("prompt", "input", "question", "text")
"""Names of a row's prompt; the first that a row has counts, the rest are the row's own fields."""

CONVERSATION = "conversations"
"""ShareGPT's name of its turns."""

OVERRIDES: dict[str, type] = {
    "model": str,
    "max_completion_tokens": int,
    "reasoning_effort": str,
    "response_format": dict,
    "tools": list,
}
"""The only fields at the top of a row that override the run's parameters. A data set's column named `user` or `seed`
must not leak into a request, so everything else goes through `params`."""

OURS = frozenset({"id", "custom_id", "params", *OVERRIDES})
"""Fields of a plain row that mean something to us, the prompt aside."""

OURS_BUT_IDS = OURS - {"id", "custom_id"}
"""The same where another field names the row: its columns `id` and `custom_id` are its own then."""

BATCH_FIELDS = frozenset({"id", "custom_id", "method", "url", "body"})


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
    return Shape(template, asked.prompt_field, asked.id_field, asked.drop_answer, folder)


class Asked(NamedTuple):
    """What a line asks for."""

    id: str | None
    asks: dict[str, Any]
    as_written: bool
    extra: dict[str, Any]
    known_by: dict[str, Any]
    """What makes the row's id where it brings none: what it asks; under a template, the fields that the template names."""
    fields: dict[str, Any]
    """The whole row, as it was read."""


class Unusable(NamedTuple):
    """Why a line can't be sent, and its own id where it has a good one."""

    id: str | None
    reason: str


class _Prompt(NamedTuple):
    """The messages of a plain row."""

    messages: list[Any]
    field: str | None
    """Where they stood; `None` for a template, whose fields stay the row's own."""
    cut: list[Any]
    """Turns of the assistant at the end that aren't sent."""
    known_by: dict[str, Any] | None = None
    in_parts: bool = False
    """True when a message is a list of parts, of which some may be images."""


def read_line(line: bytes, shape: Shape = AS_IT_COMES) -> Asked | Unusable:
    """What `line` asks for, or why it can't be sent."""
    row_id = None
    try:
        fields = _fields(line)
        row_id = _id(fields, shape.id_field)
        return _batch_line(row_id, fields, shape) if _is_batch_line(fields, shape) else _plain_line(row_id, fields, shape)
    except WrongLineError as error:
        return Unusable(row_id, str(error))


def _fields(line: bytes) -> dict[str, Any]:
    try:
        fields = loads_exactly(line)
    except orjson.JSONDecodeError as error:
        raise WrongLineError(not_json(line, error)) from None
    except ValueError:
        raise WrongLineError(f"a number in it has thousands of digits: {start_of(line)}") from None
    if isinstance(fields, str):
        return {"text": fields}
    if not isinstance(fields, dict):
        raise WrongLineError(f"a row is a JSON object or a text, this is {named(fields)}: {start_of(line)}")
    if line.count(b'":') != _keys_in(fields) and (key := doubled_key(line)) is not None:
        raise WrongLineError(f"the key {key[:60]!r} stands twice in one object: keep one")
    return fields


def _keys_in(value: dict[str, Any] | list[Any]) -> int:
    """How many keys a JSON value has at all depths, as long as that is cheap: -1 sends the rare deep ones to a closer look."""
    count = len(value) if isinstance(value, dict) else 0
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            try:
                count += _keys_in(inner)
            except RecursionError:
                return -1
    return count


def _id(fields: dict[str, Any], id_field: str | None) -> str | None:
    if id_field is not None:
        if id_field not in fields:
            raise WrongLineError(f"there is no field {id_field!r} to take the id from, this row has {fields_told(fields)}")
        name = id_field
    elif "id" in fields:
        name = "id"
        if "custom_id" in fields and fields["id"] != fields["custom_id"]:
            raise WrongLineError("both id and custom_id, and they differ: keep one")
    elif "custom_id" in fields:
        name = "custom_id"
    else:
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
    extra = {key: value for key, value in fields.items() if key not in BATCH_FIELDS}
    return Asked(row_id, asks, True, extra, body, fields)


def _plain_line(row_id: str | None, fields: dict[str, Any], shape: Shape) -> Asked:
    prompt = _prompt(fields, shape)
    overrides = {key: fields[key] for key in OVERRIDES if key in fields}
    if overrides:
        _check_overrides(overrides)
    asks = {"messages": prompt.messages, **(_params(fields["params"]) if "params" in fields else {}), **overrides}
    ours = OURS if shape.id_field is None else OURS_BUT_IDS
    extra = {key: value for key, value in fields.items() if key not in ours and key != prompt.field}
    if prompt.cut and prompt.field is not None:
        extra[prompt.field] = prompt.cut
    known_by = asks if prompt.known_by is None else {**asks, "messages": prompt.known_by}
    if prompt.in_parts:
        asks = {**asks, "messages": embedded(prompt.messages, shape.images_from)}
    return Asked(row_id, asks, False, extra, known_by, fields)


def _prompt(fields: dict[str, Any], shape: Shape) -> _Prompt:
    if shape.template is not None:
        values = shape.template.fields_of(fields)
        text = shape.template.filled(values)
        if not text.strip():
            raise WrongLineError("the template and this row's fields make an empty text")
        return _Prompt([{"role": "user", "content": text}], None, [], values)
    name = _prompt_name(fields, shape)
    value = fields[name]
    if isinstance(value, str) and name not in {"messages", CONVERSATION}:
        if not value.strip():
            raise WrongLineError(f"{name} is empty")
        return _Prompt([{"role": "user", "content": value}], name, [])
    return _conversation(name, value, shape)


def _prompt_name(fields: dict[str, Any], shape: Shape) -> str:
    """The field that holds the prompt or the messages."""
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
        f"no prompt: a row has `messages`, or one of {', '.join(PROMPT_NAMES)}, `{CONVERSATION}`, or is an OpenAI Batch line; "
        f"this one has {fields_told(fields)}: --prompt-field or --template says which to send",
    )


def _conversation(name: str, value: Any, shape: Shape) -> _Prompt:
    """The messages in the field `name`, without the answer that training data ends with."""
    turns = are_turns(value)
    if name == "messages" or isinstance(value, list):
        messages = from_turns(value, name) if turns else value
    else:
        raise WrongLineError(
            f"{name} must be a {'' if name == CONVERSATION else 'text or a '}list of messages, this is {named(value)}"
        )
    in_parts = check_messages(messages, name)
    asked = without_answer(messages, name) if shape.drop_answer or turns or name == CONVERSATION else messages
    return _Prompt(asked, name, value[len(asked) :], None, in_parts)


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
