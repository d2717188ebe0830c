"""This program beside a bare loop and beside others, on a loopback server that isn't the bottleneck.

    python -m benchmarks.race [--full] [--only WORDS] [--rounds N] [--results FILE]

Runners take turns, so that a busy machine disturbs all alike; a figure is the median of the ratios to the bare loop's run of the
same turn. Everything of ours is on: journal with sync, a limit on requests, progress, totals.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from benchmarks.race.measuring import Took, missed, run
from benchmarks.race.runners import BARE, OURS, RIVALS, Runner, Task
from benchmarks.race.scenes import LONG, QUICK, Scene, write_rows
from benchmarks.race.server import serving

HEADER = "| runner | rows/s ÷ bare | CPU ÷ bare | wall | CPU a row | peak | rows missed |\n|---|---|---|---|---|---|---|"


def play(scene: Scene, url: str, folder: Path) -> dict[str, list[Took]]:
    """Run a scene; what each runner took, round by round."""
    rows = folder / f"rows-{scene.rows}.jsonl"
    if not rows.exists():
        write_rows(rows, scene.rows)
    told: dict[str, list[Took]] = {runner.name: [] for runner in scene.runners}
    for _ in range(scene.rounds):
        for runner in scene.runners:
            told[runner.name].append(
                _once(runner, scene, Task(f"{url}/{scene.place}/v1", rows, _output(folder), scene.in_flight))
            )
    return told


def _output(folder: Path) -> Path:
    output = folder / "out.jsonl"
    for left in folder.glob("out.jsonl*"):
        left.unlink()
    return output


def _once(runner: Runner, scene: Scene, task: Task) -> Took:
    log = task.output.with_name("log")
    took = run(runner.command(runner.programs, task), runner.environment(log.parent), log)
    lost = missed(task.output, scene.rows)
    if runner is OURS and (lost or took.status):
        sys.exit(f"{lost} rows missed, status {took.status}:\n{log.read_text(errors='replace')[-3000:]}")
    return Took(took.wall, took.cpu, took.peak, took.status, lost)


def table(scene: Scene, told: dict[str, list[Took]]) -> str:
    """A scene's table."""
    lines = [f"**{scene.name}** ({scene.in_flight:,} in flight, {scene.rounds} rounds)\n", HEADER]
    bare = told[BARE.name]
    for name, tooks in told.items():
        speed, cpu = _ratio(bare, tooks, "wall"), _ratio(tooks, bare, "cpu")
        wall, used = (statistics.median(getattr(took, what) for took in tooks) for what in ("wall", "cpu"))
        peak = max(took.peak for took in tooks) / 2**20
        lost = max(took.missed for took in tooks)
        lines.append(
            f"| {name} | {speed:.2f} | {cpu:.2f} | {wall:.2f} s | {1e6 * used / scene.rows:,.0f} µs | {peak:.0f} MiB | {lost} |"
        )
    return "\n".join([*lines, *_goals(scene, told)]) + "\n"


def _ratio(above: list[Took], below: list[Took], what: str) -> float:
    ratios: list[float] = [getattr(one, what) / getattr(other, what) for one, other in zip(above, below, strict=True)]
    return statistics.median(ratios)


def _goals(scene: Scene, told: dict[str, list[Took]]) -> list[str]:
    """What we wanted, and whether it holds."""
    bare, ours = told[BARE.name], told[OURS.name]
    found = []
    if scene.least_speed is not None:
        found.append((f"rows/s at least {scene.least_speed} × bare", _ratio(bare, ours, "wall") >= scene.least_speed))
    if scene.most_cpu is not None:
        found.append((f"CPU at most {scene.most_cpu} × bare", _ratio(ours, bare, "cpu") <= scene.most_cpu))
    if scene.most_wall is not None and scene.ideal is not None:
        wall = statistics.median(took.wall for took in ours)
        found.append((f"wall {wall / scene.ideal:.2f} × ideal, at most {scene.most_wall}", wall <= scene.most_wall * scene.ideal))
    elif scene.most_wall is not None:
        found.append((f"wall at most {scene.most_wall} × bare", _ratio(ours, bare, "wall") <= scene.most_wall))
    return [f"\n{goal}: {'holds' if holds else 'does not hold'}" for goal, holds in found]


def machine() -> dict[str, Any]:
    """Where this runs."""
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").open() if line.startswith("model name")), "")  # noqa: SIM115
    return {
        "at": time.strftime("%Y-%m-%d %H:%M"),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "processor": model,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the long scenes too")
    parser.add_argument("--only", default="", help="scenes whose name has this in it")
    parser.add_argument("--rounds", type=int, help="instead of each scene's own")
    parser.add_argument("--results", type=Path, help="write all figures as JSON")
    asked = parser.parse_args()
    scenes = [scene for scene in (*QUICK, *(LONG if asked.full else ())) if asked.only in scene.name]
    for rival in RIVALS:
        if any(rival in scene.runners for scene in scenes):
            rival.set_up()
    facts = machine()
    print(f"{facts['at']}, Python {facts['python']}, {facts['cores']} cores, {facts['processor']}, load {facts['load']:.1f}\n")
    found = []
    with TemporaryDirectory() as folder, serving(Path(folder)) as url:
        for scene in scenes:
            scene = Scene(**{**vars(scene), "rounds": asked.rounds or scene.rounds})  # noqa: PLW2901 - the same, but for rounds
            told = play(scene, url, Path(folder))
            print(table(scene, told), flush=True)
            found.append({"scene": scene.name, "in_flight": scene.in_flight, "rows": scene.rows, "took": told})
    if asked.results:
        versions = {runner.name: runner.versions() for runner in {r for scene in scenes for r in scene.runners}}
        told_all = {"machine": facts, "versions": versions, "scenes": found}
        asked.results.write_bytes(orjson.dumps(told_all, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


if __name__ == "__main__":
    main()
