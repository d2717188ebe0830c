"""Things one after the other -> blocks of them: so many at most, fewer where they are large. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")


def in_blocks(things: Iterable[T], size: Callable[[T], int], *, most: int, most_bytes: int) -> Iterator[list[T]]:
    """`things` in blocks that end at `most` of them, or with the one that takes their `size` above `most_bytes`."""
    block: list[T] = []
    taken = 0
    for thing in things:
        block.append(thing)
        taken += size(thing)
        if len(block) == most or taken > most_bytes:
            yield block
            block, taken = [], 0
    if block:
        yield block
