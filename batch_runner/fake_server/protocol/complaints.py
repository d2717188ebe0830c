"""A complaint: how a service says no, as JSON in one of the shapes that are about."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

import orjson

BodyShape = Literal["openai", "openrouter", "flat", "anthropic", "admin"]


@dataclass(frozen=True, slots=True)
class Complaint:
    """One error answer. A `bare` one has neither `param` nor `code`, as the middleware of older gateways sends it."""

    status: int
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    bare: bool = False
    shape: BodyShape = "openai"

    def body(self, request_id: str = "") -> bytes:
        """The error as JSON; a gateway's own `request_id` is appended to the message, as gateways do."""
        message = f"{self.message} (request id: {request_id})" if request_id else self.message
        return orjson.dumps(SHAPES[self.shape](self, message))

    def answered_with(self, *, status: int | None = None, headers: Mapping[str, str]) -> "Complaint":
        """The same words under another status, or with more headers."""
        return replace(self, status=status or self.status, headers={**self.headers, **headers})


Fields = dict[str, object]


def _openai(complaint: Complaint, message: str) -> Fields:
    error: Fields = {"message": message, "type": complaint.type}
    if not complaint.bare:
        error |= {"param": complaint.param, "code": complaint.code}
    return {"error": error}


def _openrouter(complaint: Complaint, message: str) -> Fields:
    return {"error": {"code": complaint.code, "message": message, "metadata": {}}}


def _flat(complaint: Complaint, message: str) -> Fields:
    return {
        "object": "error",
        "message": message,
        "type": complaint.type,
        "param": complaint.param,
        "code": complaint.code,
    }


def _anthropic(complaint: Complaint, message: str) -> Fields:
    return {"type": "error", "error": {"type": complaint.type, "message": message}}


def _admin(_complaint: Complaint, message: str) -> Fields:
    return {"success": False, "message": message}


SHAPES: Mapping[BodyShape, Callable[[Complaint, str], Fields]] = MappingProxyType(
    {"openai": _openai, "openrouter": _openrouter, "flat": _flat, "anthropic": _anthropic, "admin": _admin}
)
