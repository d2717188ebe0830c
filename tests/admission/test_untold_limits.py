"""Limits that nobody told, found by the shipped finder, in virtual time; `benchmarks/adaptive.py` plays all of them."""

from dataclasses import replace

import pytest

from benchmarks.adaptive import Line, lines, play

QUICK = (
    "600/min, bucket of 1 s",
    "600/min, fixed window",
    "600/min, sliding window",
    "600/min, bucket of 10 s, halved and doubled",
    "50 at once, halved and doubled",
    "slows down above 50 at once",
    "600/min, bucket of 1 s, 5 % end in a 5xx",
    "1 M tokens/min, gives back, 20% of the cap used, untold",
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
