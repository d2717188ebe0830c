"""Limits that nobody told, found by the shipped finder, in virtual time; `benchmarks/adaptive.py` plays all of them."""

from dataclasses import replace
from typing import Any

import pytest

from batch_runner.admission.finder import Ceilings, Finder
from batch_runner.fake_server.limits.values import RateLimit
from benchmarks.adaptive import Line, figures_of, lines, play
from benchmarks.simulation import Service, Simulation

QUICK = (
    "600/min, bucket of 1 s",
    "600/min, fixed window",
    "600/min, sliding window",
    "600/min, bucket of 10 s, halved and doubled",
    "50 at once, halved and doubled",
    "slows down above 50 at once",
    "600/min, bucket of 1 s, 5 % end in a 5xx",
    "1 M tokens/min, gives back, 20% of the cap used, untold",
    "600/min, bucket of 10 s, 10% refused at random",
    "600/min, bucket of 10 s, every first attempt refused",
    "slows down above 50 at once, 10 % refused at random",
)


def the(name: str) -> Line:
    return next(line for line in lines() if line.name == name)


@pytest.mark.parametrize("name", QUICK)
def test_a_limit_that_nobody_told_is_found_filled_and_followed(name: str) -> None:
    line = the(name)

    figures = play((line, 1))

    assert figures.hold(line.asked), figures


def test_a_wrong_pause_is_obeyed_all_the_same() -> None:
    line = replace(the("600/min, bucket of 1 s, Retry-After always 60"), seconds=400.0)

    figures = play((line, 1))

    assert figures.refused <= 0.01
    assert figures.used < 0.7


@pytest.mark.parametrize("told", [60.0, 600.0, 10_000.0])
@pytest.mark.parametrize("name", ["600/min, bucket of 1 s", "600/min, sliding window"])
def test_headers_of_somebody_else_neither_slow_a_run_down_nor_have_it_refused(name: str, told: float) -> None:
    line = the(name)

    def make() -> Finder:
        finder = Finder(line.ceilings, 0.0)
        finder.hint(told / 60)
        return finder

    figures = figures_of(Simulation(line.service, make, seed=1, seconds=line.seconds).run(), line)

    assert figures.hold(line.asked), figures


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("how", "seconds"), [({"refuses_first": True}, 20), ({"moody": 0.3}, 90), ({"moody": 0.1}, 120)])
def test_a_hundred_rows_are_soon_done_where_refusals_come_at_any_pace(how: dict[str, Any], seconds: int, seed: int) -> None:
    service = Service(limits=(RateLimit("requests", 3000.0),), latency=0.1, **how)

    simulation = Simulation(service, lambda: Finder(Ceilings(), 0.0), seed=seed, seconds=float(seconds)).run()

    assert sum(simulation.books.admitted) >= 100
