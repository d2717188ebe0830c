"""Draws runs against limits that nobody told: `docs/pictures/limits-*.svg`, from the simulation behind `benchmarks.adaptive`.

python -m benchmarks.pictures
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from batch_runner.admission.finder import Ceilings, Finder
from batch_runner.fake_server.limits.values import Change, ConcurrencyLimit, RateLimit, Tenant
from benchmarks.simulation import LOOK, Service, Simulation

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
SECONDS, STEP, SEED = 900, 5, 1
WIDTH, HEIGHT, LEFT, TOP, FOOT = 720, 220, 52, 28, 36
LIMIT, PACE, REFUSED = "#9aa0a6", "#1a73e8", "#d93025"


class Picture(NamedTuple):
    """One run to draw."""

    name: str
    title: str
    service: Service
    unit: str


class Curves(NamedTuple):
    """What is drawn, every `STEP` seconds."""

    limit: list[float]
    pace: list[float]
    refused: list[int]


def pictures() -> Iterator[Picture]:
    """One for each kind."""
    steps = (Change(300.0, 300), Change(600.0, 600))
    minute = "requests a minute"
    yield Picture("rate", "A bucket of one second, 600/min, halved and doubled", _limited(burst=10.0, changes=steps), minute)
    yield Picture(
        "window", "A fixed window of a minute, 600/min, halved and doubled", _limited(shape="fixed", changes=steps), minute
    )
    cap = ConcurrencyLimit(50, changes=(Change(300.0, 25), Change(600.0, 50)))
    yield Picture("cap", "A cap of 50 at once, halved and doubled", Service(limits=(cap,)), "in flight")
    yield Picture("slow", "A service that slows down above 50 at once", Service(places=50), "in flight")
    shared = _limited(burst=10.0, tenant=Tenant(low=0.2, high=0.6, every=60.0))
    yield Picture("shared", "600/min shared with somebody who takes another 20 to 60 % each minute", shared, minute)


def _limited(**how: object) -> Service:
    return Service(limits=(RateLimit("requests", 600, **how),))  # type: ignore[arg-type]  # the rest of a limit


def curves(simulation: Simulation) -> Curves:
    """What the books say."""
    books, starts = simulation.books, range(0, SECONDS, STEP)
    if simulation.counts_places:
        looks = round(STEP / LOOK)
        limit = [simulation.granted(start, start + STEP) / STEP for start in starts]
        pace = [sum(books.in_flight[start * 2 : start * 2 + looks]) / looks for start in starts]
    else:
        limit = [60 * simulation.granted(start, start + STEP) / STEP for start in starts]
        pace = [60 * sum(books.admitted[start : start + STEP]) / STEP for start in starts]
    return Curves(limit, pace, [sum(books.refused[start : start + STEP]) for start in starts])


def svg(picture: Picture, drawn: Curves) -> str:
    """The picture as text."""
    top = 1.15 * max(drawn.limit)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="16" font-size="13">{picture.title}</text>',
        *_axes(top, picture.unit),
        _line(drawn.limit, top, LIMIT, dashed=True),
        _line(drawn.pace, top, PACE),
        *_ticks(drawn.refused),
        _legend(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _x(second: float) -> float:
    return LEFT + second / SECONDS * (WIDTH - LEFT - 12)


def _y(value: float, top: float) -> float:
    return TOP + (1 - min(value, top) / top) * (HEIGHT - TOP - FOOT)


def _line(values: list[float], top: float, color: str, *, dashed: bool = False) -> str:
    points = " ".join(f"{_x(STEP * (number + 0.5)):.0f},{_y(value, top):.1f}" for number, value in enumerate(values))
    dash = ' stroke-dasharray="5 3"' if dashed else ""
    return f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.6"{dash}/>'


def _ticks(refused: list[int]) -> Iterator[str]:
    """One red mark for each stretch with refusals, the taller the more."""
    base = HEIGHT - FOOT
    for number, count in enumerate(refused):
        if count:
            x = _x(STEP * (number + 0.5))
            height = min(24, 4 + 2 * count)
            yield f'<line x1="{x:.0f}" x2="{x:.0f}" y1="{base}" y2="{base - height}" stroke="{REFUSED}" stroke-width="2"/>'


def _axes(top: float, unit: str) -> Iterator[str]:
    base = HEIGHT - FOOT
    yield f'<line x1="{LEFT}" x2="{WIDTH - 12}" y1="{base}" y2="{base}" stroke="#444"/>'
    for minute in range(0, SECONDS // 60 + 1, 3):
        yield f'<text x="{_x(60 * minute):.0f}" y="{base + 14}" text-anchor="middle">{minute} min</text>'
    for share in (0.0, 0.5, 1.0):
        value = share * top / 1.15
        yield f'<text x="{LEFT - 6}" y="{_y(value, top) + 4:.0f}" text-anchor="end">{value:,.0f}</text>'
    yield f'<text x="{LEFT - 6}" y="{TOP - 2}" text-anchor="end">{unit.rsplit(maxsplit=1)[-1]}</text>'


def _legend() -> str:
    items = (("limit", LIMIT), ("used", PACE), ("refused", REFUSED))
    words = "".join(
        f'<tspan fill="{color}" x="{WIDTH - 190 + 62 * number}">{word}</tspan>' for number, (word, color) in enumerate(items)
    )
    return f'<text y="{HEIGHT - 6}">{words}</text>'


def main() -> None:
    """Draw all of them."""
    FOLDER.mkdir(exist_ok=True)
    for picture in pictures():
        played = Simulation(picture.service, lambda: Finder(Ceilings(), 0.0), seed=SEED, seconds=float(SECONDS)).run()
        (FOLDER / f"limits-{picture.name}.svg").write_text(svg(picture, curves(played)), encoding="utf-8")


if __name__ == "__main__":
    main()
