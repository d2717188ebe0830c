"""`OUT.status.json` as others read it: how a run stands, and whether it is still at work."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

STALE_SECONDS = 60.0
"""A heartbeat this old is a dead run's: a living one beats every two seconds."""

AT_WORK = frozenset({"running", "draining"})


def heartbeat_path(output: Path) -> Path:
    """The heartbeat file of an output."""
    return output.with_name(output.name + ".status.json")


def read_heartbeat(output: Path) -> dict[str, Any]:
    """What the heartbeat of an output tells; empty when there is none, or none that can be read."""
    with suppress(OSError, orjson.JSONDecodeError):
        beat = orjson.loads(heartbeat_path(output).read_bytes())
        if isinstance(beat, dict):
            return beat
    return {}


def may_live(beat: Mapping[str, Any]) -> bool:
    """Whether the process behind a heartbeat may be at work: it says so, and where it can be looked at, it is there."""
    if beat.get("state") not in AT_WORK:
        return False
    try:
        if is_ours(beat):
            os.kill(int(beat["pid"]), 0)
    except PermissionError:
        return True  # somebody else's process, but a process
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return False
    return True


def is_ours(beat: Mapping[str, Any]) -> bool:
    """Whether it beats on this machine; one that `may_live`."""
    return bool(beat["host"] == socket.gethostname())
