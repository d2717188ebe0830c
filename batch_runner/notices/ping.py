"""Pings as healthchecks.io and those after it take them: `URL/start`, `URL`, `URL/EXIT-STATUS`. Pure.

The address may be a UUID's, or one with a slug and `?create=1`; what is added goes before a query. `rid` pairs a start with
its end (<https://healthchecks.io/docs/http_api/>).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from batch_runner.notices.news import News

MOST_BYTES = 10_000
"""Of a summary: all services of the kind keep that much."""


def start_url(url: str, rid: str) -> str:
    """Where a beginning is told."""
    return _with(url, "/start", rid)


def end_url(url: str, status: int, rid: str) -> str:
    """Where an end is told: the address itself for a success, which is all that simpler services know."""
    return _with(url, f"/{status}" if status else "", rid)


def body_of(news: News) -> bytes:
    """The summary, cut where it is longer than is kept."""
    return news.text.encode()[:MOST_BYTES].decode(errors="ignore").encode()


def _with(url: str, more: str, rid: str) -> str:
    parts = urlsplit(url)
    query = "&".join(part for part in (parts.query, f"rid={rid}" if rid else "") if part)
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + more, query, ""))
