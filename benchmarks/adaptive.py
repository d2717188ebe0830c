"""Limits that nobody told: how much of each the shipped finder uses, and how much is refused, in virtual time.

    python -m benchmarks.adaptive [--seeds 20] [--both-cores] [WORDS ...]

WORDS choose lines by what is in their name. Each line is a service and what is asked of it, over so many seeds: the mean, and in
brackets the worst seed; *holds*: in how many of them everything that is asked does. Figures are from the end of the warm-up on,
*early* is the share refused in the first minute. *found*: seconds after a change until the next 30 s are used to 95 %
(a window each second: to 90 %).
"""

import argparse
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Any

from batch_runner.admission.finder import Ceilings, Finder
from batch_runner.fake_server.limits.values import Change, ConcurrencyLimit, RateLimit, Tenant
from benchmarks.simulation import Service, Simulation

MINUTE = 60.0
FOUND_IN, FOUND_REFUSED = 30, 0.05
HALVED_AT, DOUBLED_AT, CHANGED_SECONDS = 300.0, 600.0, 900.0


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What must hold on one line; shares of 1."""

    used: float | None = 0.95
    refused: float | None = 0.01
    early: float = 0.05
    slowness: float | None = None
    halved: float | None = None
    doubled: float | None = None
    found: float = 0.95
    """The share used in the 30 s that count as found."""


@dataclass(frozen=True)
class Line:
    """A service, and what is asked of the finder there."""

    name: str
    service: Service
    asked: Asked = Asked()
    warm_up: float = 120.0
    seconds: float = 900.0
    ceilings: Ceilings = Ceilings()


@dataclass(frozen=True)
class Figures:
    """What came of one seed."""

    used: float
    refused: float
    early: float
    slowness: float
    halved: float | None
    doubled: float | None

    def hold(self, asked: Asked) -> bool:
        """Whether all that is asked holds."""
        below = (
            (self.refused, asked.refused),
            (self.early, asked.early),
            (self.slowness, asked.slowness),
            (self.halved, asked.halved),
            (self.doubled, asked.doubled),
        )
        enough = asked.used is None or self.used >= asked.used
        return enough and all(most is None or (value is not None and value <= most) for value, most in below)


def shapes(rate: float, **more: Any) -> dict[str, RateLimit]:
    """The ways of counting requests a minute."""
    return {
        "bucket of 1 s": RateLimit("requests", rate, burst=max(1.0, rate / 60), **more),
        "bucket of 10 s": RateLimit("requests", rate, burst=rate / 6, **more),
        "bucket of 60 s": RateLimit("requests", rate, **more),
        "fixed window": RateLimit("requests", rate, shape="fixed", **more),
        "sliding window": RateLimit("requests", rate, shape="sliding", **more),
        "window each second": RateLimit("requests", rate, shape="fixed", quantum=1.0, **more),
    }


def lines() -> Iterator[Line]:
    """The table."""
    yield from usual()
    yield from hinted()
    yield from shared()
    yield from places()
    yield from changed()
    yield from slow_limits()
    yield from tokens()
    yield from rough()
    yield from moody()


def usual() -> Iterator[Line]:
    """Every shape, silent, from slow to quick."""
    for rate in (300, 600, 3000):
        for name, limit in shapes(rate).items():
            if rate == 300 and limit.quantum:
                continue  # five a second: a window that each jitter spoils
            window_below_500 = "window" in name and not limit.quantum and rate < 500
            asked = Asked(used=0.92 if limit.quantum else 0.95, refused=0.03 if window_below_500 else 0.01)
            yield Line(f"{rate:,}/min, {name}", Service(limits=(limit,)), asked)
    for name in ("bucket of 1 s", "sliding window"):
        yield Line(f"30,000/min, {name}", Service(limits=(shapes(30_000)[name],)), warm_up=180.0, seconds=480.0)
    for name in ("bucket of 1 s", "bucket of 60 s", "fixed window", "sliding window"):
        yield Line(f"600/min, {name}, answers in 0.5 s", Service(limits=(shapes(600)[name],), latency=0.5))


def hinted() -> Iterator[Line]:
    """With `Retry-After`, right or wrong, and with the limit named in the refusal."""
    for hint in ("exact", "rounded", "zero"):
        for name in ("bucket of 1 s", "bucket of 10 s", "fixed window", "sliding window"):
            limit = shapes(600)[name]
            yield Line(f"600/min, {name}, Retry-After {hint}", Service(limits=(limit,), retry_after=hint))
    for name in ("bucket of 1 s", "fixed window", "sliding window"):
        yield Line(f"600/min, {name}, limit named", Service(limits=(shapes(600)[name],), named=True))
    obeyed = Asked(used=None, refused=0.01)
    yield Line(
        "600/min, bucket of 1 s, Retry-After always 60",
        Service(limits=(shapes(600)["bucket of 1 s"],), retry_after="wrong"),
        obeyed,
    )


def shared() -> Iterator[Line]:
    """Somebody else takes 20 to 60 % of it, another share each so often."""
    for every, used in ((30.0, 0.85), (120.0, 0.9)):
        limit = replace(shapes(600)["bucket of 1 s"], tenant=Tenant(low=0.2, high=0.6, every=every))
        for named in (False, True):
            name = f"600/min, shared, changing each {every:.0f} s{', limit named' if named else ''}"
            yield Line(name, Service(limits=(limit,), named=named), Asked(used=used, refused=0.02))


def places() -> Iterator[Line]:
    """Caps on requests in flight, and services that slow down."""
    for most in (8, 50, 300):
        yield Line(f"{most} at once", Service(limits=(ConcurrencyLimit(most),)), Asked(early=1.0 if most < 20 else 0.05))
    yield Line("20 at once, answers in 1 s", Service(limits=(ConcurrencyLimit(20),), latency=1.0))
    slow = Asked(used=0.9, slowness=2.0)
    for most in (8, 50, 300):
        yield Line(f"slows down above {most} at once", Service(places=most), slow, warm_up=180.0 if most < 20 else 120.0)
    yield Line("slows down above 20 at once, answers in 0.5 s", Service(places=20, latency=0.5), slow)


def changed() -> Iterator[Line]:
    """Halved after 5 min, doubled back after 10."""
    for rate in (600, 3000):
        for name, whole in shapes(rate, changes=(Change(HALVED_AT, rate / 2), Change(DOUBLED_AT, rate))).items():
            limit = replace(whole, burst=None if whole.burst is None or whole.burst >= rate else whole.burst)
            window = "window" in name and not limit.quantum
            doubled = 90.0 if window else max(30.0, 300 * 60 / (rate / 2))
            found = 0.9 if limit.quantum else 0.95
            asked = Asked(used=None, refused=0.02, halved=90.0 if window else 30.0, doubled=doubled, found=found)
            yield Line(f"{rate:,}/min, {name}, halved and doubled", Service(limits=(limit,)), asked, seconds=CHANGED_SECONDS)
    for most in (50, 300):
        limit_ = ConcurrencyLimit(most, changes=(Change(HALVED_AT, most // 2), Change(DOUBLED_AT, most)))
        asked = Asked(used=None, refused=0.02, halved=30.0, doubled=max(30.0, 300 / (most / 2 / 14)))
        yield Line(f"{most} at once, halved and doubled", Service(limits=(limit_,)), asked, seconds=CHANGED_SECONDS)


def tokens() -> Iterator[Line]:
    """A limit on tokens of which nobody tells, not even that it is one on tokens."""
    words = {"reserve": "counts prompt + cap", "refund": "gives back", "use": "counts use"}
    for counting, how in words.items():
        for use in (0.02, 0.2):
            limit = RateLimit("tokens", 1_000_000, counting=counting)  # type: ignore[arg-type]  # one of the three
            usual = round(0.6 * use * 8192)
            service = Service(limits=(limit,), latency=usual / 100, usual_tokens=usual, most_tokens=8192)
            name = f"1 M tokens/min, {how}, {use:.0%} of the cap used, untold"
            yield Line(name, service, Asked(used=0.9, refused=0.02), warm_up=300.0, seconds=1200.0)


def slow_limits() -> Iterator[Line]:
    """Few requests a minute: every probe is a great share of them."""
    for name in ("bucket of 1 s", "bucket of 60 s", "fixed window", "sliding window"):
        window = "window" in name
        asked = Asked(refused=0.03 if window else 0.015, early=1.0)
        yield Line(f"120/min, {name}", Service(limits=(shapes(120)[name],)), asked)
    asked = Asked(used=0.89, refused=0.015, early=1.0)
    yield Line(
        "20/min, bucket of one request", Service(limits=(shapes(20)["bucket of 1 s"],)), asked, warm_up=300.0, seconds=3600.0
    )


def rough() -> Iterator[Line]:
    """Refusals that count, and a service that loses requests."""
    for name in ("bucket of 1 s", "bucket of 10 s", "sliding window"):
        limit = replace(shapes(600)[name], refusals_count=True)
        yield Line(f"600/min, {name}, refusals count", Service(limits=(limit,)))
    limit = shapes(600)["bucket of 1 s"]
    yield Line("600/min, bucket of 1 s, 5 % end in a 5xx", Service(limits=(limit,), lost=0.05))


def moody() -> Iterator[Line]:
    """Refusals that have nothing to do with the pace, beside a limit that does."""
    for rate in (600, 6000):
        limits = (shapes(rate)["bucket of 10 s"],)
        for share in (0.02, 0.1, 0.3):
            asked = Asked(used=0.5, refused=share + 0.05, early=1.0)
            name = f"{rate:,}/min, bucket of 10 s, {share:.0%} refused at random"
            yield Line(name, Service(limits=limits, moody=share, latency=1.0), asked)
        asked = Asked(used=0.5, refused=0.53, early=1.0)
        name = f"{rate:,}/min, bucket of 10 s, every first attempt refused"
        yield Line(name, Service(limits=limits, refuses_first=True, latency=1.0), asked)
    slow = Asked(used=0.8, refused=0.15, early=1.0, slowness=2.0)
    yield Line("slows down above 50 at once, 10 % refused at random", Service(places=50, moody=0.1), slow)


def play(task: tuple[Line, int]) -> Figures:
    """One seed of one line."""
    line, seed = task
    simulation = Simulation(line.service, lambda: Finder(line.ceilings, 0.0), seed=seed, seconds=line.seconds).run()
    return figures_of(simulation, line)


def figures_of(simulation: Simulation, line: Line) -> Figures:
    """What the books say."""
    books, since, until = simulation.books, int(line.warm_up), int(line.seconds)
    admitted, refused = sum(books.admitted[since:until]), sum(books.refused[since:until])
    early = sum(books.refused[:60]), sum(books.admitted[:60])
    slow = [slowness for at, slowness in books.slowness if at > since]
    return Figures(
        used=used_between(simulation, since, until),
        refused=refused / max(1, refused + admitted),
        early=early[0] / max(1, sum(early)),
        slowness=median(slow) if slow else math.inf,
        halved=found_after(simulation, HALVED_AT, line.asked.found) if line.asked.halved else None,
        doubled=found_after(simulation, DOUBLED_AT, line.asked.found) if line.asked.doubled else None,
    )


def used_between(simulation: Simulation, since: int, until: int) -> float:
    """The share used of what the service would have let in, or of the places it has, between two seconds."""
    granted = simulation.granted(since, until)
    if simulation.counts_places:
        return sum(simulation.places_used(second) for second in range(since, until)) / granted
    return simulation.let_in(since, until) / granted


def found_after(simulation: Simulation, changed_at: float, share: float) -> float:
    """Seconds after a change until the next 30 s are well used, and little is refused in them."""
    books = simulation.books
    for since in range(int(changed_at), int(simulation.seconds) - FOUND_IN):
        until = since + FOUND_IN
        refused, admitted = sum(books.refused[since:until]), sum(books.admitted[since:until])
        if refused <= FOUND_REFUSED * (refused + admitted) and used_between(simulation, since, until) >= share:
            return since - changed_at
    return math.inf


HEAD = "| service | used | refused | early | latency | found | asked | holds |"


def table_line(line: Line, seeds: list[Figures]) -> str:
    """One line of the table."""
    asked = line.asked
    cells = [
        line.name,
        _percent([each.used for each in seeds], min),
        _percent([each.refused for each in seeds], max, 2),
        _percent([each.early for each in seeds], max),
        f"{fmean(each.slowness for each in seeds):.2f} ×" if asked.slowness else "",
        _found(seeds, asked),
        _in_words(asked),
        f"{sum(each.hold(asked) for each in seeds)} of {len(seeds)}",
    ]
    return f"| {' | '.join(cells)} |"


def _percent(values: list[float], worst: Callable[[list[float]], float], digits: int = 1) -> str:
    return f"{100 * fmean(values):.{digits}f} % ({100 * worst(values):.{digits}f})"


def _found(seeds: list[Figures], asked: Asked) -> str:
    if asked.halved is None:
        return ""
    halved, doubled = [each.halved or 0.0 for each in seeds], [each.doubled or 0.0 for each in seeds]
    return f"{median(halved):.0f} s ({max(halved):.0f}), {median(doubled):.0f} s ({max(doubled):.0f})"


def _in_words(asked: Asked) -> str:
    words = [
        f"≥ {100 * asked.used:.0f} %" if asked.used is not None else "",
        f"≤ {100 * asked.refused:g} %" if asked.refused is not None else "",
        f"≤ {asked.slowness:g} ×" if asked.slowness else "",
        f"{asked.halved:.0f} s, {asked.doubled:.0f} s" if asked.halved and asked.doubled else "",
    ]
    return ", ".join(filter(None, words))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only lines with one of these in their name")
    parser.add_argument("--seeds", type=int, default=20, help="runs of each line; 20 unless told")
    parser.add_argument("--both-cores", action="store_true", help="use two processes")
    asked = parser.parse_args()
    chosen = [line for line in lines() if not asked.words or any(word in line.name for word in asked.words)]
    print(HEAD)
    print("|" + 8 * "---|")
    tasks = [(line, seed) for line in chosen for seed in range(asked.seeds)]
    with ProcessPoolExecutor(2 if asked.both_cores else 1) as pool:
        results = pool.map(play, tasks)
        for line in chosen:
            print(table_line(line, [next(results) for _ in range(asked.seeds)]), flush=True)


if __name__ == "__main__":
    main()
