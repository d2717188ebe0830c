"""A packed body -> its bytes, and not one more than are wanted: a few kilobytes can unpack into gigabytes."""

from __future__ import annotations

import zlib

EITHER, BARE = 47, -15
"""What zlib calls gzip and deflate told apart by their heads, and deflate without one, which some servers send."""


class CantUnpackError(Exception):
    """The body isn't packed the way it says."""


def unpacked(body: bytes, encoding: str, *, most: int) -> bytes | None:
    """`body` as it was before `encoding` (a Content-Encoding) was laid over it; `None` when it has more than `most` bytes.

    Raises `CantUnpackError`.
    """
    layers = [name for part in encoding.lower().split(",") if (name := part.strip()) not in {"", "identity"}]
    found: bytes | None = body
    for name in reversed(layers):
        if name not in {"gzip", "x-gzip", "deflate"}:
            raise CantUnpackError(f"the reply is packed with {name[:40]!r}, which nobody asked for")
        found = None if found is None else _inflated(found, most)
    return found


def _inflated(data: bytes, most: int) -> bytes | None:
    try:
        unpacking = zlib.decompressobj(EITHER)
        found = unpacking.decompress(data, most + 1)
    except zlib.error as error:
        try:
            unpacking = zlib.decompressobj(BARE)
            found = unpacking.decompress(data, most + 1)
        except zlib.error:
            raise CantUnpackError(f"the reply can't be unpacked: {error}") from None
    return found if len(found) <= most else None
