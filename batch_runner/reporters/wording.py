"""Numbers and flags as people read them. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from batch_runner.admission.finder import Learned
    from batch_runner.output.journal import Stall
    from batch_runner.settings import Settings


def duration(seconds: float) -> str:
    """`8 s`, `2 min 05 s`, `3 h 20 min`."""
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"  # noqa: PLR2004 - tenths matter below ten
    if whole < 3600:  # noqa: PLR2004 - an hour
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def limit_in_words(learned: Learned) -> str:
    """`480/min (was 500/min), holding 0.98`, `1,000/min in a window of a minute`, `50 requests at once`; what is remembered with
    its age.
    """
    if learned.rate is None:
        few = f"{learned.in_flight:,} requests at once"
        return few if learned.kind == "cap" else f"{few}: with more it slows down"
    if learned.kind == "tokens":
        return f"{60 * learned.rate:,.0f} tokens/min"
    words = f"{60 * learned.rate:,.0f}/min{' in a window of a minute' if learned.kind == 'window' else ''}"
    if learned.age:
        return f"{words}, found {duration(learned.age)} ago"
    was = "" if learned.was is None else f" (was {60 * learned.was:,.0f}/min)"
    return f"{words}{was}, holding {learned.held:.2f}"


def stall_in_words(stall: Stall) -> str:
    """`the disk is full: nothing is sent, 3 lines in memory; waiting for space, 59 min 12 s more at most`."""
    patience = duration(stall.seconds_left)
    return f"{stall.reason}: nothing is sent, {lines(stall.lines)} in memory; waiting for space, {patience} more at most"


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
    line = printable(" ".join(text[: 4 * most].split()))
    return line if len(line) <= most and len(text) <= 4 * most else line[: most - 1] + "…"


def printable(text: str) -> str:
    """A text without what commands a terminal, or breaks a line."""
    return "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in text)


def lines(count: int) -> str:
    """`1 line`, `1,234 lines`."""
    return many(count, "line")


def requests(count: int) -> str:
    """`1 request`, `1,234 requests`."""
    return many(count, "request")


def in_brackets(text: str) -> str:
    """` (unreachable)`, or nothing where nothing is to be said."""
    return f" ({text})" if text else ""


def rows(count: int) -> str:
    """`1 row`, `1,234 rows`."""
    return many(count, "row")


def full_length_in_words(count: int) -> str:
    """Why truncated rows are not sent again."""
    return f"{rows(count)} cut off at the most that the model writes; a larger cap would buy the same"


def percent(share: float, digits: int = 1) -> str:
    """`12.5 %`."""
    return f"{100 * share:.{digits}f} %"


def counted(parts: Iterable[tuple[int, str]]) -> str:
    """`3 new, 1 done`: each word with its count, those with none left out."""
    return ", ".join(f"{count:,} {word}" for count, word in parts if count)


def many(count: int, word: str) -> str:
    """`1 line`, `1,234 lines`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def size(count: int) -> str:
    """`950 B`, `12.3 kB`, `4.5 GB`."""
    number, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 999.95:  # noqa: PLR2004 - from there on it would round to 1000.0
            break
        number, unit = number / 1000, larger
    return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"


def choosers(settings: Settings) -> str:
    """The flags that leave rows of the input out."""
    chosen = [flag for flag, value in (("--where", settings.rows.where), ("--sample", settings.rows.sample)) if value]
    return " and ".join(chosen)
