"""Who is compared: the bare loop, this program, and others, each in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
CLIENTS = HERE / "clients"
ROOT = HERE.parent.parent
ENVIRONMENTS = ROOT / ".venv-bench"
MATTERS = frozenset({"aiohttp", "batch-runner", "flexllm", "httptools", "lm-deluge", "lm_deluge", "orjson", "uvloop"})
"""Packages whose versions are told."""


class Task(NamedTuple):
    """What a runner is asked to do."""

    url: str
    rows: Path
    output: Path
    in_flight: int


@dataclass(frozen=True)
class Runner:
    """A program that sends the rows of a file."""

    name: str
    command: Callable[[Path, Task], list[str | Path]]
    """Folder of its environment's programs, task -> what is called."""
    packages: tuple[str, ...] = ()
    """What its environment holds; nothing: the environment this runs in."""

    @property
    def programs(self) -> Path:
        """Where its Python stands."""
        return ENVIRONMENTS / self.name / "bin" if self.packages else Path(sys.executable).parent

    def set_up(self) -> None:
        """Make its environment, once."""
        ready = ENVIRONMENTS / self.name / "ready"
        if not self.packages or (ready.exists() and ready.read_text() == " ".join(self.packages)):
            return
        print(f"setting up {self.name}: {' '.join(self.packages)}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENTS / self.name], check=True)
        subprocess.run([self.programs / "pip", "install", "--quiet", "--upgrade", "pip", *self.packages], check=True)
        ready.write_text(" ".join(self.packages))

    def versions(self) -> dict[str, str]:
        """What stands in its environment."""
        script = "import importlib.metadata as m, json; print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"
        told = subprocess.run([self.programs / "python", "-c", script], check=True, capture_output=True, text=True).stdout
        import orjson  # noqa: PLC0415

        found: dict[str, str] = orjson.loads(told)
        return {name: found[name] for name in sorted(found) if name in MATTERS}

    def environment(self, folder: Path) -> dict[str, str]:
        """The variables it runs with: no proxy, no settings of its user's."""
        return {"PATH": os.environ["PATH"], "HOME": str(folder), "OPENAI_API_KEY": "sk-benchmark"}


def _script(name: str) -> Callable[[Path, Task], list[str | Path]]:
    return lambda programs, task: [
        programs / "python",
        CLIENTS / name,
        task.url,
        task.rows,
        task.output,
        str(task.in_flight),
    ]


def _ours(programs: Path, task: Task) -> list[str | Path]:
    return [
        programs / "batch-runner",
        *("run", task.rows, "--output", task.output, "--endpoint", task.url, "--model", "o1-mini"),
        *("--concurrency", str(task.in_flight), "--rpm", "100000000"),
    ]


def _flexllm(programs: Path, task: Task) -> list[str | Path]:
    return [
        programs / "flexllm",
        *("batch", task.rows, "--output", task.output, "--base-url", task.url, "--api-key", "sk-benchmark"),
        *("--model", "o1-mini", "--concurrency", str(task.in_flight), "--user-field", "prompt"),
    ]


BARE = Runner("bare loop", _script("bare.py"))
OURS = Runner("batch-runner", _ours)
RIVALS = (
    Runner("lm-deluge", _script("deluge.py"), ("lm-deluge==0.0.168", "orjson")),
    Runner("flexllm", _flexllm, ("flexllm==0.17.10",)),
    Runner("cookbook", _script("cookbook.py"), ("aiohttp==3.14.5",)),
)
