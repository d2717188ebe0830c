"""A small file, replaced in one step: who reads it never meets half of it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def replace_file(path: Path, data: bytes) -> None:
    """Make `data` the content of `path`. Raises `OSError`, and leaves `path` as it was.

    One process at a time: what a killed one left of its own goes with the next.
    """
    temporary = path.with_name(f"{path.name}.new")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
