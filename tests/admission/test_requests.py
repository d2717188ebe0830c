import asyncio
import math
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest
from batch_runner.admission.requests import Pace

Play = Callable[[Coroutine[Any, Any, Any]], Any]


async def permits(pace: Pace, count: int) -> list[float]:
    """When each of `count` requests got its permit."""
    at, door = list[float](), asyncio.Lock()

    async def send() -> None:
        async with door:
            await pace.permit()
        at.append(asyncio.get_running_loop().time())

    await asyncio.gather(*(send() for _ in range(count)))
    return at


def test_without_a_rate_nobody_waits(play: Play) -> None:
    assert max(play(permits(Pace(None), 1000))) < 0.001


@pytest.mark.parametrize("rate", [6, 60, 600, 6_000, 60_000])
def test_requests_pass_at_the_rate(play: Play, rate: float) -> None:
    at = play(permits(Pace(rate), 60))

    ideal = 59 * 60 / rate
    assert ideal - 0.1 <= at[-1] <= ideal * 1.02 + 0.1


@pytest.mark.parametrize("rate", [60, 600, 6_000])
def test_no_second_sees_a_burst(play: Play, rate: float) -> None:
    at = play(permits(Pace(rate), 300))

    busiest = max(sum(1 for other in at if moment <= other < moment + 1.0) for moment in at)
    assert busiest <= rate / 60 * 1.1 + 2


def most_in_a_second(at: list[float]) -> int:
    """The most permits that any second holds, wherever it begins."""
    most = first = 0
    for last, moment in enumerate(at):
        while moment - at[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.parametrize("per_second", [50, 500, 1000])
def test_a_quick_rate_is_used_and_hardly_exceeded(play: Play, per_second: int) -> None:
    at = play(permits(Pace(60 * per_second), 11 * per_second))

    assert most_in_a_second(at) <= math.ceil(1.02 * per_second) + 2
    assert sum(moment <= 10.0 for moment in at) >= 0.99 * 10 * per_second


@pytest.mark.parametrize("per_second", [50, 500, 1000])
def test_a_second_without_requests_is_no_credit(play: Play, per_second: int) -> None:
    async def pause_and_go_on() -> list[float]:
        pace = Pace(60 * per_second)
        before = await permits(pace, per_second)
        await asyncio.sleep(1.0)
        return before + await permits(pace, 3 * per_second)

    assert most_in_a_second(play(pause_and_go_on())) <= math.ceil(1.02 * per_second) + 2


@pytest.mark.parametrize("rate", [1, 60, 600, 3_000, 30_000, 60_000])
def test_a_run_does_not_begin_with_a_burst(play: Play, rate: float) -> None:
    price = 60 / rate

    at = play(permits(Pace(rate), 100))

    assert at[0] < 0.001
    assert [number for number, moment in enumerate(at) if moment < number * price - 0.02 - 2 * price] == []


@pytest.mark.parametrize("per_second", [50, 500, 1000])
def test_a_late_timer_catches_up_a_little_and_no_more(play: Play, per_second: int) -> None:
    async def oversleep() -> tuple[float, list[float]]:
        pace, at = Pace(60 * per_second), list[float]()
        await permits(pace, 5)
        await asyncio.sleep(0.5)
        began = asyncio.get_running_loop().time()
        at = await permits(pace, per_second)
        return began, at

    began, at = play(oversleep())

    at_once = sum(moment - began < 0.001 for moment in at)
    assert at_once <= per_second * 0.021 + 2
    assert at[-1] - began >= 1.0 - 0.02 - 2 / per_second - 0.001


def test_requests_pass_evenly(play: Play) -> None:
    at = play(permits(Pace(60), 30))

    gaps = [later - sooner for sooner, later in pairwise(at[1:])]
    assert min(gaps) > 0.85
    assert max(gaps) < 1.15


def test_nothing_is_saved_up_while_nobody_asks(play: Play) -> None:
    async def pause_and_go_on() -> tuple[float, list[float]]:
        pace = Pace(600)
        await permits(pace, 5)
        await asyncio.sleep(100)
        return asyncio.get_running_loop().time(), await permits(pace, 50)

    began, at = play(pause_and_go_on())

    assert at[-1] - began >= 49 * 0.1 - 0.2


def test_the_first_request_of_a_slow_run_does_not_wait(play: Play) -> None:
    assert play(permits(Pace(1), 1))[0] < 0.001


def test_who_comes_first_is_served_first(play: Play) -> None:
    served = list[int]()

    async def send(pace: Pace, number: int) -> None:
        await pace.permit()
        served.append(number)

    async def send_all() -> None:
        pace = Pace(60)
        await asyncio.gather(*(send(pace, number) for number in range(20)))

    play(send_all())

    assert served == list(range(20))


def test_a_wait_that_is_given_up_holds_nobody_up(play: Play) -> None:
    async def give_up_and_go_on() -> float:
        pace = Pace(6)
        await pace.permit()
        waiting = asyncio.create_task(pace.permit())
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.wait([waiting])
        await pace.permit()
        return asyncio.get_running_loop().time()

    assert play(give_up_and_go_on()) < 12
