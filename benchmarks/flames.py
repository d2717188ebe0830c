"""Draws where a run's time goes: folded stacks of py-spy -> a small SVG.

    py-spy record -r 200 -f raw -o stacks.txt -- batch-runner run …
    python -m benchmarks.flames stacks.txt docs/flames.svg

Wide is long; what hangs below a frame was called by it. Frames below half a percent are left out, and so is what leads to the
event loop.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from zlib import crc32

WIDTH, HEIGHT, LEAST = 1000, 17, 0.005
SHOWN = re.compile(r"(?P<name>\S+) \((?:.*/)?(?P<place>[\w.]+(?:/[\w.]+)?)(?::\d+)?\)")
IDLE = ("Condition.wait (threading", "_worker (concurrent/futures/thread")
"""Where a thread waits; py-spy takes a wait for Python's lock for work."""
ROOTS = ("Runner.run (asyncio", "run (asyncio/runners", "_work (batch_runner/output/journal")


@dataclass
class Frame:
    """A function, and what it called."""

    name: str
    samples: int = 0
    calls: dict[str, Frame] = field(default_factory=dict)

    def add(self, stack: list[str], samples: int) -> None:
        self.samples += samples
        if stack:
            self.calls.setdefault(stack[0], Frame(stack[0])).add(stack[1:], samples)


def read(path: Path) -> Frame:
    """All stacks, from the event loop or the journal's thread on; imports and the like are one frame."""
    root = Frame("a run")
    for line in path.read_text().splitlines():
        stack, _, samples = line.rpartition(" ")
        if any(mark in stack.rpartition(";")[2] for mark in IDLE):
            continue
        frames = [re.sub(r":\d+\)", ")", frame) for frame in stack.split(";")]
        start = next((place for place, frame in enumerate(frames) if any(mark in frame for mark in ROOTS)), None)
        root.add(["starting"] if start is None else frames[start:], int(samples))
    return root


def draw(root: Frame) -> str:
    """The picture."""
    shapes: list[str] = []

    def put(frame: Frame, x: float, depth: int) -> int:
        width = WIDTH * frame.samples / root.samples
        found = SHOWN.match(frame.name)
        label = f"{found['name']} {found['place']}" if found else frame.name
        share = f"{100 * frame.samples / root.samples:.1f} %"
        shade = 40 + crc32(label.split()[-1].split("/")[0].encode()) % 60
        shapes.append(
            f'<g><title>{escape(label)}: {share}</title><rect x="{x:.1f}" y="{depth * HEIGHT}" width="{width:.1f}" '
            f'height="{HEIGHT - 1}" fill="hsl({shade},75%,72%)"/>'
            + (
                f'<text x="{x + 2:.1f}" y="{depth * HEIGHT + 12}">{escape(label[: int(width / 6.2)])}</text>'
                if width > 30
                else ""
            )
            + "</g>"
        )
        deepest, place = depth, x
        for called in sorted(frame.calls.values(), key=lambda each: -each.samples):
            if called.samples >= LEAST * root.samples:
                deepest = max(deepest, put(called, place, depth + 1))
            place += WIDTH * called.samples / root.samples
        return deepest

    height = (put(root, 0.0, 0) + 1) * HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="monospace" font-size="10">\n'
        + "\n".join(shapes)
        + "\n</svg>\n"
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stacks", type=Path)
    parser.add_argument("picture", type=Path)
    asked = parser.parse_args()
    asked.picture.write_text(draw(read(asked.stacks)))


if __name__ == "__main__":
    main()
