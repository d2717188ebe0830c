"""What the account routes answer, in the shapes of OpenAI and of the gateways."""

from collections.abc import Iterable

from batch_runner.fake_server.account.wallet import Wallet
from batch_runner.fake_server.protocol.dialects import Dialect

UNLIMITED_USD = 100_000_000
"""What a gateway says of a key without a limit."""
GATEWAY_BIRTH = 1_626_777_600
"""When every model was created, according to a gateway."""
O1_BIRTH = 1_725_649_008


def models(names: Iterable[str], dialect: Dialect) -> dict[str, object]:
    """`GET /v1/models`."""
    listed = [model(name, dialect) for name in names]
    return {"success": True, "data": listed} if dialect == "new-api" else {"object": "list", "data": listed}


def model(name: str, dialect: Dialect) -> dict[str, object]:
    """One model, as the list and `GET /v1/models/NAME` show it."""
    if dialect == "openai":
        return {"id": name, "object": "model", "created": O1_BIRTH, "owned_by": "system", "shutdown_date": None}
    shown: dict[str, object] = {"id": name, "object": "model", "created": GATEWAY_BIRTH, "owned_by": "openai"}
    return {**shown, "supported_endpoint_types": ["openai"]} if dialect == "new-api" else shown


def subscription(wallet: Wallet) -> dict[str, object]:
    """`GET /v1/dashboard/billing/subscription`: what was ever granted, spent or not."""
    granted = wallet.account.granted_usd
    limit = UNLIMITED_USD if granted is None else granted
    return {
        "object": "billing_subscription",
        "has_payment_method": True,
        "soft_limit_usd": limit,
        "hard_limit_usd": limit,
        "system_hard_limit_usd": limit,
        "access_until": max(0, wallet.account.expires_at),
    }


def usage(wallet: Wallet) -> dict[str, object]:
    """`GET /v1/dashboard/billing/usage`: hundredths of what was spent."""
    return {"object": "list", "total_usage": wallet.used_usd * 100}


def token_usage(wallet: Wallet) -> dict[str, object]:
    """`GET /api/usage/token`: the same in the gateway's own units."""
    account = wallet.account
    used = round(wallet.used_usd * account.per_usd)
    granted = 0 if account.granted_usd is None else round(account.granted_usd * account.per_usd)
    return {
        "code": True,
        "message": "ok",
        "data": {
            "object": "token_usage",
            "name": account.name,
            "total_granted": granted,
            "total_used": used,
            "total_available": granted - used if granted else 0,
            "unlimited_quota": account.granted_usd is None,
            "model_limits": {},
            "model_limits_enabled": False,
            "expires_at": max(0, account.expires_at),
        },
    }


def status(wallet: Wallet) -> dict[str, object]:
    """`GET /api/status`: what a gateway says of itself to anybody."""
    return {
        "success": True,
        "message": "",
        "data": {
            "system_name": "fake gateway",
            "quota_per_unit": wallet.account.per_usd,
            "display_in_currency": True,
            "quota_display_type": "USD",
        },
    }
