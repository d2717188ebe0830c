"""Secrets never reach a log, an error or an output line. Pure."""

from __future__ import annotations

import re

MASK = "***"

SHORTEST_KEY = 8
"""A shorter one is no secret but what local servers are given (`none`, `EMPTY`), and would mask ordinary words."""

_PATTERNS = (
    (re.compile(r"(?i)(bearer\s+)[^\s\"',;]+"), rf"\1{MASK}"),
    (re.compile(r"\b(sk-)[A-Za-z0-9_*.\-]{3,}"), rf"\1{MASK}"),
    (re.compile(r"(?i)([?&](?:api[_-]?key|key|token)=)[^&\s\"']+"), rf"\1{MASK}"),
    (re.compile(r"(?i)(https?://)[^/\s@\"']+@"), rf"\1{MASK}@"),
)


def redact(text: str, key: str | None = None) -> str:
    """`text` with keys masked: the run's own `key`, and whatever looks like one (gateways echo parts of keys in errors)."""
    if key and len(key) >= SHORTEST_KEY:
        text = text.replace(key, MASK)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
