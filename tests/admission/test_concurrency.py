import asyncio

import pytest
from batch_runner.admission.concurrency import Concurrency

pytestmark = pytest.mark.looptime


async def send(concurrency: Concurrency, door: asyncio.Lock, seen: list[int]) -> None:
    """Wait for a place, hold it for a second."""
    async with door:
        await concurrency.room()
        place = concurrency.take()
    seen.append(concurrency.in_flight)
    await asyncio.sleep(1)
    concurrency.give_back(place)
    concurrency.grow()


async def test_never_more_requests_are_in_flight_than_the_ceiling() -> None:
    concurrency, door, seen = Concurrency(3), asyncio.Lock(), list[int]()

    await asyncio.gather(*(send(concurrency, door, seen) for _ in range(10)))

    assert max(seen) == 3
    assert concurrency.in_flight == 0
    assert asyncio.get_running_loop().time() == pytest.approx(4)


async def test_a_wait_that_is_given_up_takes_no_place() -> None:
    concurrency = Concurrency(1)
    place = concurrency.take()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(concurrency.room(), 5)
    concurrency.give_back(place)

    await asyncio.wait_for(concurrency.room(), 1)
    assert concurrency.in_flight == 0


async def test_after_an_outage_requests_double_with_each_round_of_answers() -> None:
    concurrency, door, seen = Concurrency(16), asyncio.Lock(), list[int]()
    concurrency.start_small()

    await asyncio.gather(*(send(concurrency, door, seen) for _ in range(1 + 2 + 4 + 8 + 16)))

    assert asyncio.get_running_loop().time() == pytest.approx(5)
    assert max(seen) == 16


async def test_requests_that_hang_since_an_outage_keep_nobody_waiting_and_are_never_too_many() -> None:
    concurrency, door, seen = Concurrency(4), asyncio.Lock(), list[int]()
    hanging = [concurrency.take() for _ in range(3)]
    concurrency.start_small()

    await asyncio.gather(*(send(concurrency, door, seen) for _ in range(3)))
    for place in hanging:
        concurrency.give_back(place)
    await asyncio.gather(*(send(concurrency, door, seen) for _ in range(4)))

    assert asyncio.get_running_loop().time() == pytest.approx(4)
    assert max(seen) == 4
    assert concurrency.in_flight == 0
