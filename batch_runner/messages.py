"""The messages of a row: checked, or made from the turns of a ShareGPT conversation. Pure."""

from __future__ import annotations

from typing import Any

from batch_runner.complaints import WrongLineError, named

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})

SPEAKERS = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "system": "system",
}
"""Who speaks in a ShareGPT conversation (axolotl's documentation of its data formats) -> role."""


def check_messages(messages: Any, name: str = "messages") -> bool:
    """Refuse what can't be a conversation; true when a message has parts, as one with an image does."""
    if not isinstance(messages, list) or not messages:
        raise WrongLineError(f"{name} must be a list with at least one message")
    empty, in_parts = True, False
    for number, message in enumerate(messages):
        if not isinstance(message, dict):
            raise WrongLineError(f"{name}[{number}] must be an object with role and content, this is {named(message)}")
        role, content = message.get("role"), message.get("content")
        if not isinstance(role, str) or role not in ROLES:
            raise WrongLineError(f"{name}[{number}].role must be one of {', '.join(sorted(ROLES))}, this is {role!r}")
        if isinstance(content, str):
            empty = empty and not content.strip()
        elif isinstance(content, list):
            empty, in_parts = False, True
            _check_parts(content, f"{name}[{number}].content")
        elif content is None and role == "assistant":
            empty = False
        else:
            raise WrongLineError(f"{name}[{number}].content must be a text or a list of parts, this is {named(content)}")
    if empty:
        raise WrongLineError(f"{name}: there is no text in any of them" if len(messages) > 1 else f"{name}[0].content is empty")
    return in_parts


def are_turns(value: Any) -> bool:
    """True for a list in ShareGPT's form: each turn has `from` and `value`, or `role` and `value`."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and "value" in value[0]


def from_turns(turns: list[Any], name: str) -> list[dict[str, Any]]:
    """A ShareGPT conversation as messages."""
    messages = []
    for number, turn in enumerate(turns):
        if not isinstance(turn, dict):
            raise WrongLineError(f"{name}[{number}] must be an object with from and value, this is {named(turn)}")
        speaker, text = turn.get("from", turn.get("role")), turn.get("value", turn.get("content"))
        if not isinstance(speaker, str) or speaker not in SPEAKERS:
            raise WrongLineError(f"{name}[{number}].from must be one of {', '.join(sorted(SPEAKERS))}, this is {speaker!r}")
        if not isinstance(text, str):
            raise WrongLineError(f"{name}[{number}].value must be a text, this is {named(text)}")
        messages.append({"role": SPEAKERS[speaker], "content": text})
    return messages


def without_answer(messages: list[Any], name: str) -> list[Any]:
    """The conversation up to the last turn that isn't the assistant's: what training data lets a model learn to say is cut."""
    end = len(messages)
    while end and isinstance(messages[end - 1], dict) and messages[end - 1].get("role") == "assistant":
        end -= 1
    if not end:
        raise WrongLineError(f"{name}: the assistant alone speaks in it, so there is nothing to answer")
    return messages[:end]


def _check_parts(parts: list[Any], name: str) -> None:
    for number, part in enumerate(parts):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise WrongLineError(f"{name}[{number}] must be an object with a type, this is {named(part)}")
        if part["type"] == "text" and not isinstance(part.get("text"), str):
            raise WrongLineError(f"{name}[{number}].text must be a text, this is {named(part.get('text'))}")
        if part["type"] == "image_url" and not isinstance(image_address(part), str):
            raise WrongLineError(
                f"{name}[{number}].image_url must be an object with a url, this is {named(part.get('image_url'))}"
            )
    if not parts:
        raise WrongLineError(f"{name} is an empty list")


def image_address(part: dict[str, Any]) -> Any:
    """Where an image part says its image is; some write the address without the object around it."""
    image = part.get("image_url")
    return image.get("url") if isinstance(image, dict) else image
