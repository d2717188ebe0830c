"""Numbers as people read them. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from decimal import Decimal


def duration(seconds: float) -> str:
    """`8 s`, `2 min 05 s`, `3 h 20 min`."""
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"  # noqa: PLR2004 - tenths matter below ten
    if whole < 3600:  # noqa: PLR2004 - an hour
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def short(number: float) -> str:
    """`950`, `12.3k`, `4.5M`."""
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if number >= 0.99995 * size:  # from there on it would round to 1000.0 of the smaller unit
            return f"{number / size:.1f}{unit}"
    return f"{number:.0f}"


def money(usd: Decimal | float) -> str:
    """`$0`, `$0.000054`, `$0.0123`, `$12.30`, `$1,234.50`: cents from a dollar on, below it three digits that count."""
    amount = float(usd)
    if amount == 0:
        return "$0"
    if amount >= 0.9995:  # noqa: PLR2004 - from there on it would round to a dollar
        return f"${amount:,.2f}"
    return f"${amount:.{2 - math.floor(math.log10(amount))}f}"


def one_line(text: str, most: int = 160) -> str:
    """Somebody else's words on one line: a service's message must neither break the layout nor command the terminal."""
    line = " ".join(text[: 4 * most].split())
    line = "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in line)
    return line if len(line) <= most and len(text) <= 4 * most else line[: most - 1] + "…"


def rows(count: int) -> str:
    """`1 row`, `1,234 rows`."""
    return f"{count:,} row{'' if count == 1 else 's'}"
