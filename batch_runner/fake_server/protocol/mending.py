"""Mending: what a new-api gateway quietly does to a request before it goes upstream."""

import re
from collections.abc import Mapping
from typing import Any

from batch_runner.fake_server.protocol.families import DATE

MENDED = re.compile(r"^(o\d|gpt-5)")
EFFORT_SUFFIX = re.compile(r"-(high|medium|low)$")
KEEPS_SYSTEM = frozenset({"o1-mini", "o1-preview"})
ALWAYS_DROPPED = frozenset({"temperature"})
DROPPED_FOR_GPT_5 = ALWAYS_DROPPED | {"top_p", "logprobs"}


def mended(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The request as it goes upstream: caps and roles renamed, temperatures dropped, an effort taken off the model's name."""
    model = fields.get("model")
    if not isinstance(model, str) or not MENDED.match(model):
        return dict(fields)
    dropped = DROPPED_FOR_GPT_5 if model.startswith("gpt-5") else ALWAYS_DROPPED
    kept = {name: value for name, value in fields.items() if name not in dropped}
    return _with_effort(_with_instructions(_with_cap(kept), model), model)


def _with_cap(fields: dict[str, Any]) -> dict[str, Any]:
    cap = fields.pop("max_tokens", None)
    if cap is not None:
        fields.setdefault("max_completion_tokens", cap)
    return fields


def _with_instructions(fields: dict[str, Any], model: str) -> dict[str, Any]:
    messages = fields.get("messages")
    if DATE.sub("", model) in KEEPS_SYSTEM or not isinstance(messages, list) or not messages:
        return fields
    first, *rest = messages
    if isinstance(first, dict) and first.get("role") == "system":
        fields["messages"] = [{**first, "role": "developer"}, *rest]
    return fields


def _with_effort(fields: dict[str, Any], model: str) -> dict[str, Any]:
    if found := EFFORT_SUFFIX.search(model):
        fields["model"] = model.removesuffix(found[0])
        fields["reasoning_effort"] = found[1]
    return fields
