import asyncio

import pytest

from batch_runner.admission.retries import MOST_SAVED, Retries

pytestmark = pytest.mark.looptime

FREE = int(MOST_SAVED)


def now() -> float:
    return asyncio.get_running_loop().time()


async def permits(retries: Retries, count: int) -> list[float]:
    """When each of `count` retries got its permit."""
    at = list[float]()

    async def retry() -> None:
        await retries.permit()
        at.append(now())

    await asyncio.gather(*(retry() for _ in range(count)))
    return at


async def test_a_hundred_retries_are_free_then_one_a_second_is() -> None:
    at = await permits(Retries(), FREE + 3)

    assert at[FREE - 1] == 0
    assert at[FREE:] == pytest.approx([1, 2, 3])


async def test_each_answer_lets_two_waiting_retries_go_at_once() -> None:
    retries = Retries()
    await permits(retries, FREE)
    waiting = asyncio.create_task(permits(retries, 7))
    await asyncio.sleep(0.5)

    for _ in range(3):
        retries.answered()

    assert await waiting == pytest.approx([0.5] * 6 + [1.0])


async def test_retries_are_not_saved_up_without_end() -> None:
    retries = Retries()
    for _ in range(10_000):
        retries.answered()
    await asyncio.sleep(10_000)
    began = now()

    at = await permits(retries, FREE + 1)

    assert at[-1] - began == pytest.approx(1)


async def test_who_came_first_goes_first() -> None:
    retries, order = Retries(), list[int]()
    await permits(retries, FREE)

    async def retry(number: int) -> None:
        await retries.permit()
        order.append(number)

    await asyncio.gather(*(retry(number) for number in range(5)))

    assert order == [0, 1, 2, 3, 4]


async def test_who_gives_up_waiting_takes_nothing() -> None:
    retries = Retries()
    await permits(retries, FREE)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(retries.permit(), 0.5)
    await retries.permit()

    assert now() == pytest.approx(1)
