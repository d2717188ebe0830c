"""Posts a notice to an address, again where that may help, and says in a few words why it couldn't."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from batch_runner.endpoint import Endpoint
from batch_runner.leaving import Waits
from batch_runner.records import Reply
from batch_runner.transport import HttpTransport

if TYPE_CHECKING:
    from batch_runner.clock import Clock
    from batch_runner.records import Outcome

MOST_ATTEMPTS = 3
ATTEMPT_SECONDS = 10.0
PAUSE_SECONDS = 2.0
AGAIN = frozenset({408, 425, 429})
"""Refusals that may be gone a moment later, beside what a server blames on itself."""


class Undelivered(Exception):
    """A notice that couldn't be brought to where it belongs; its text says why, without secrets."""


async def deliver(url: str, body: bytes, kind: str, *, seconds: float, attempts: int = MOST_ATTEMPTS) -> None:
    """Post `body`, whose media type is `kind`, within `seconds` in all. Raises `Undelivered`."""
    now: Clock = asyncio.get_running_loop().time
    deadline = now() + seconds
    parts = urlsplit(url)
    endpoint = Endpoint(f"{parts.scheme}://{parts.netloc}", parts.hostname or "")  # a transport leads to one
    made, trouble = 0, "no time for it"
    while made < attempts and (left := deadline - now()) > 0:
        if made:
            await asyncio.sleep(min(PAUSE_SECONDS * made, left / 2))
        patience = max(0.1, round(min(ATTEMPT_SECONDS, deadline - now()), 1))  # it is told: a tenth is exact enough
        async with HttpTransport(endpoint, timeout=patience, sends=Waits()) as transport:
            outcome = await transport.post(url, body, kind)
        made += 1
        trouble = _trouble(outcome)
        if not trouble:
            return
        if isinstance(outcome, Reply) and outcome.status < 500 and outcome.status not in AGAIN:  # noqa: PLR2004 - its own fault
            break
    raise Undelivered(f"{trouble}{f' ({made} attempts)' if made > 1 else ''}")


def address_of(value: str) -> str:
    """The address itself, out of the file where `@FILE` was written. Raises `Undelivered`."""
    if not value.startswith("@"):
        return value
    name = value[1:]
    try:
        return Path(name).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, ValueError, RuntimeError) as error:  # no text in it, a NUL in its name, `~nobody`
        raise Undelivered(f"{name} can't be read: {getattr(error, 'strerror', None) or error}") from None


def shown(url: str) -> str:
    """An address without what may be secret in it: `https://hc-ping.com/***`."""
    parts = urlsplit(url)
    rest = "/***" if parts.path.strip("/") or parts.query or "@" in parts.netloc else ""
    host = parts.netloc.rpartition("@")[2] if parts.scheme in {"http", "https"} else ""
    return f"{parts.scheme}://{host}{rest}" if host else f"{parts.scheme}://***"


def _trouble(outcome: Outcome) -> str:
    """Why an attempt doesn't count; empty where it does."""
    if not isinstance(outcome, Reply):
        return outcome.reason
    if 300 <= outcome.status < 400:  # noqa: PLR2004 - redirections
        return f"HTTP {outcome.status}: it leads elsewhere, and isn't followed"
    return "" if outcome.status < 300 else f"HTTP {outcome.status}"  # noqa: PLR2004 - success
