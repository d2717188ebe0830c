"""What somebody who misspelt a word probably meant. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` when something known is near, else nothing."""
    near = nearest(word, known, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def nearest(word: str, known: Iterable[str], most: int) -> list[str]:
    """The known words most like `word`, the nearest first; none where nothing is like it."""
    import difflib  # noqa: PLC0415 - only where a word is misspelt

    return difflib.get_close_matches(word, list(known), n=most)
