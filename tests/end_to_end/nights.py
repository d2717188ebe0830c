"""What a scheduler does, in fast motion: the command started at any time of any night, by a clock that can run."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.conftest import Ended, Place, Served, Started

CLOCK = """
import sys, time
begin, speed, real, started = float(sys.argv[1]), float(sys.argv[2]), time.time, []
time.time = lambda: begin + (real() - started[0]) * speed if started else begin
import batch_runner.execution as execution, batch_runner.deadline as deadline, batch_runner.nightly.turn as turn
deadline.LOOK_SECONDS = turn.LOOK_SECONDS = 0.02
leave_in_time = execution.leave_in_time
execution.leave_in_time = lambda *more: started.append(real()) or leave_in_time(*more)
sys.argv = ["batch-runner", *sys.argv[6:]]
from batch_runner.__main__ import main
main()
"""
"""`batch-runner` on a clock that stands still until a deadline is watched, however slow the machine is, and then runs.

Words 3 to 5 are the command as it is started else.
"""


@dataclass(frozen=True)
class Nightly:
    """A job in a folder."""

    place: Place
    file: Path

    @classmethod
    def of(
        cls,
        place: Place,
        gateway: Served,
        keys: str = "",
        *,
        more: str = "",
        name: str = "nightly",
        output: str = "results/{date}/x.jsonl",
    ) -> Nightly:
        """Write one that sends `prompts.jsonl` to `gateway`."""
        file = place.folder / f"{name}.toml"
        file.write_text(
            f'inputs = "prompts.jsonl"\noutput = "{output}"\n[job]\nzone = "Europe/Berlin"\n{keys}\n'
            f'[request]\nendpoint = "{gateway.url}"\nmax_completion_tokens = 500\n[limits]\nconcurrency = 4\n{more}\n',
            encoding="utf-8",
        )
        return cls(place, file)

    def start(self, at: str, *more: str, speed: float = 1.0, **how: Any) -> Started:
        """Start it at a moment, on a clock that goes so many times as fast as ours."""
        begin = datetime.fromisoformat(at).timestamp()
        under = (sys.executable, "-c", CLOCK, str(begin), str(speed))
        return self.place.start("job", "run", self.file, *more, under=under, **how)

    def run(self, at: str, *more: str, speed: float = 1.0) -> Ended:
        """Start it, and wait for its end."""
        return self.start(at, *more, speed=speed).ended(seconds=60)

    def out(self, day: str) -> Path:
        """The output of a night."""
        return self.place.folder / f"results/{day}/x.jsonl"
