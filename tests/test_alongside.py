import asyncio

import pytest

from batch_runner.alongside import alongside

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


class Ticker:
    """Counts seconds until it is ended."""

    def __init__(self) -> None:
        self.seconds = 0
        self.ended = False

    async def run(self) -> None:
        try:
            while True:
                await asyncio.sleep(1)
                self.seconds += 1
        finally:
            self.ended = True


async def break_after(seconds: float) -> None:
    await asyncio.sleep(seconds)
    raise KeyError("watch")


async def test_work_beside_a_block_goes_on_while_the_block_does_and_ends_with_it() -> None:
    ticker = Ticker()

    async with alongside(ticker.run()):
        await asyncio.sleep(5.5)
        during = (ticker.seconds, ticker.ended)

    assert (during, ticker.seconds, ticker.ended) == ((5, False), 5, True)
    assert now() == pytest.approx(5.5)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_work_that_is_done_before_the_block_holds_nobody_up() -> None:
    async with alongside(asyncio.sleep(1)):
        await asyncio.sleep(5)

    assert now() == pytest.approx(5)


async def test_a_block_that_ends_at_once_ends_its_work_too() -> None:
    ticker = Ticker()

    async with alongside(ticker.run()):
        pass

    assert ticker.seconds == 0
    assert now() == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_error_of_the_work_is_raised_only_after_the_block_came_to_its_end() -> None:
    ends = list[float]()

    async def main() -> None:
        async with alongside(break_after(1)):
            await asyncio.sleep(5)
            ends.append(now())

    with pytest.raises(KeyError, match="watch"):
        await main()

    assert ends == [pytest.approx(5)]


async def test_an_error_of_the_block_ends_the_work_and_is_handed_on() -> None:
    ticker = Ticker()

    async def main() -> None:
        async with alongside(ticker.run()):
            await asyncio.sleep(2.5)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await main()

    assert (ticker.seconds, ticker.ended) == (2, True)


async def test_a_block_that_is_cancelled_ends_its_work() -> None:
    ticker = Ticker()

    async def main() -> None:
        async with alongside(ticker.run()):
            await asyncio.sleep(600)

    running = asyncio.create_task(main())
    await asyncio.sleep(1.5)
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert ticker.ended


async def test_work_that_takes_its_time_to_end_is_waited_for() -> None:
    async def slow_to_leave() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(3)

    async with alongside(slow_to_leave()):
        await asyncio.sleep(1)

    assert now() == pytest.approx(4)
