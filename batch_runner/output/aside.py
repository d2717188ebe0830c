"""Names for what is moved out of an output's way and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def aside_path(output: Path, at: str, ending: str) -> Path:
    """`OUT.<UTC time>.<ending>`, numbered where that is taken: nothing is ever overwritten."""
    names = (f"{output.name}.{at}{number}.{ending}" for number in ("", *(f"-{count}" for count in range(2, 1000))))
    return next(path for path in map(output.with_name, names) if not path.exists())
