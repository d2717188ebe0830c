import asyncio

import pytest

from batch_runner.admission.concurrency import Concurrency

pytestmark = pytest.mark.looptime


async def test_never_more_requests_are_in_flight_than_the_ceiling() -> None:
    concurrency = Concurrency(3)
    seen = list[int]()

    async def send() -> None:
        await concurrency.take()
        seen.append(concurrency.in_flight)
        await asyncio.sleep(1)
        concurrency.give_back()

    await asyncio.gather(*(send() for _ in range(10)))

    assert max(seen) == 3
    assert concurrency.in_flight == 0
    assert asyncio.get_running_loop().time() == pytest.approx(4)


async def test_who_comes_first_is_served_first() -> None:
    concurrency = Concurrency(1)
    served = list[int]()

    async def send(number: int) -> None:
        await concurrency.take()
        served.append(number)
        await asyncio.sleep(1)
        concurrency.give_back()

    await asyncio.gather(*(send(number) for number in range(5)))

    assert served == [0, 1, 2, 3, 4]


async def test_a_wait_that_is_given_up_takes_no_place() -> None:
    concurrency = Concurrency(1)
    await concurrency.take()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(concurrency.take(), 5)
    concurrency.give_back()

    await asyncio.wait_for(concurrency.take(), 1)
    assert concurrency.in_flight == 1
