"""Dialects: OpenAI and the gateways refuse the same things in different words, types and statuses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from batch_runner.fake_server.protocol import keys, strictness
from batch_runner.fake_server.protocol.catalogue import CATALOGUE
from batch_runner.fake_server.protocol.complaints import Complaint

Dialect = Literal["openai", "one-api", "new-api"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """How one kind of service says no to a key, a model and an empty account.

    A gateway puts its request id into every message, and hints of its limits into none.
    """

    is_gateway: bool
    error_type: str
    no_key: Complaint
    wrong_key: Callable[[str], Complaint]
    unknown_model: Callable[[str], Complaint]
    no_money: Complaint


def _gateway(error_type: str, *, bare: bool) -> Speech:
    def middleware(status: int, message: str) -> Complaint:
        return Complaint(status, message, type=error_type, param="", code="", bare=bare)

    return Speech(
        is_gateway=True,
        error_type=error_type,
        no_key=middleware(401, "未提供令牌"),
        wrong_key=lambda _key: middleware(401, "无效的令牌"),
        unknown_model=lambda model: middleware(503, f"当前分组 default 下对于模型 {model} 无可用渠道"),
        no_money=Complaint(403, "用户额度不足", type=error_type, param="", code="insufficient_user_quota"),
    )


SPEECHES: Mapping[Dialect, Speech] = MappingProxyType(
    {
        "openai": Speech(
            is_gateway=False,
            error_type="invalid_request_error",
            no_key=keys.NO_KEY,
            wrong_key=keys.wrong_key,
            unknown_model=strictness.unknown_model,
            no_money=CATALOGUE["insufficient_quota"],
        ),
        # The older gateway's middleware sends neither `param` nor `code`.
        "one-api": _gateway("one_api_error", bare=True),
        "new-api": _gateway("new_api_error", bare=False),
    }
)
