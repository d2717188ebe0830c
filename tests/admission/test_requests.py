import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from batch_runner.admission.requests import Pace

Play = Callable[[Coroutine[Any, Any, Any]], Any]


async def permits(pace: Pace, count: int) -> list[float]:
    """When each of `count` requests got its permit."""
    at = list[float]()

    async def send() -> None:
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
