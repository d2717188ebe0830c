"""What was found out about limits, kept for the next run: a small file in the user's cache folder, by endpoint and model.

Losing it costs a minute of finding out again, so nothing about it is an error: an unwritable folder, a torn or strange file,
another run at the same moment.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import orjson
from filelock import FileLock, Timeout

from batch_runner.admission.finder.values import MOST_IN_FLIGHT, Kind, Learned
from batch_runner.replacement import replace_file

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = 1
STALE_SECONDS = 7 * 86_400.0
"""Older than a week, it is about another service."""

MOST_ENTRIES = 100
LOCK_SECONDS = 1.0
MOST_RATE = 1e9
KINDS: tuple[Kind, ...] = get_args(Kind)


class Place(NamedTuple):
    """Whom a limit is about."""

    endpoint: str
    model: str

    @property
    def key(self) -> str:
        """Its name in the file."""
        return f"{self.endpoint} {self.model}"


class Memory:
    """The file `limits.json` in a folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "limits.json"

    def recall(self, place: Place, now: float) -> Learned | None:
        """What is remembered of a place; `now` in seconds since 1970."""
        entry = self._entries().get(place.key)
        return _learned(entry, now) if isinstance(entry, dict) else None

    def remember(self, place: Place, learned: Learned, now: float) -> None:
        """Keep what a run has found out. What is as old as it was remembered keeps its age."""
        with suppress(OSError, Timeout):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self._path}.lock", timeout=LOCK_SECONDS):
                entries = self._entries() | {place.key: _entry(learned, now)}
                newest = sorted(entries.items(), key=lambda item: -_found_at(item[1]))[:MOST_ENTRIES]
                replace_file(self._path, orjson.dumps({"schema": SCHEMA, "limits": dict(newest)}, option=orjson.OPT_INDENT_2))

    def _entries(self) -> dict[str, Any]:
        try:
            kept = orjson.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        known = isinstance(kept, dict) and kept.get("schema") == SCHEMA and isinstance(kept.get("limits"), dict)
        return kept["limits"] if known else {}


def cache_folder(environment: Mapping[str, str]) -> Path:
    """`$XDG_CACHE_HOME/batch-runner`, or `~/.cache/batch-runner`."""
    home = environment.get("XDG_CACHE_HOME", "")
    folder = Path(home) if home.startswith("/") else Path(environment.get("HOME") or "/nonexistent") / ".cache"
    return folder / "batch-runner"


def _entry(learned: Learned, now: float) -> dict[str, Any]:
    minute = None if learned.rate is None else 60 * learned.rate
    return {"kind": learned.kind, "per_minute": minute, "in_flight": learned.in_flight, "found_at": now - learned.age}


def _found_at(entry: Any) -> float:
    at = entry.get("found_at") if isinstance(entry, dict) else None
    return float(at) if isinstance(at, int | float) else 0.0


def _learned(entry: dict[str, Any], now: float) -> Learned | None:
    minute, in_flight = entry.get("per_minute"), entry.get("in_flight")
    kind = next((kind for kind in KINDS if kind == entry.get("kind")), None)
    age = now - _found_at(entry)
    if kind is None or not isinstance(in_flight, int) or not 0 <= age <= STALE_SECONDS:
        return None
    if minute is not None and not (isinstance(minute, int | float) and 0 < minute < MOST_RATE):
        return None
    rate = None if minute is None else minute / 60
    return Learned(kind, rate, min(MOST_IN_FLIGHT, max(1, in_flight)), age)
