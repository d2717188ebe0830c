"""`OUT.status.json` as others read it: how a run stands, and whether it is still at work."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        return _is_the_same(beat)  # somebody else's process, but a process
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return False
    return _is_the_same(beat)


def is_ours(beat: Mapping[str, Any]) -> bool:
    """Whether it beats on this machine; one that `may_live`."""
    return bool(beat["host"] == socket.gethostname())


def is_known(beat: Mapping[str, Any]) -> bool:
    """Whether the process behind a heartbeat that `may_live` is surely the one that wrote it."""
    return is_ours(beat) and beat.get("pid_since") is not None and beat["pid_since"] == process_since(beat["pid"])


def process_since(pid: int) -> int | None:
    """When a process began, in clock ticks since the machine did; `None` where nobody tells. A number of a process is used
    again for another one, which this tells apart (field 22 in `man proc_pid_stat`).
    """
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19])
    return None


def _is_the_same(beat: Mapping[str, Any]) -> bool:
    """False where the process of that number is known to be another one."""
    if not is_ours(beat) or beat.get("pid_since") is None:
        return True
    return process_since(beat["pid"]) in {None, beat["pid_since"]}
