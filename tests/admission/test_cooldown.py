import asyncio

import pytest
from batch_runner.admission.cooldown import MOST_SECONDS, Cooldown

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_nobody_waits_before_a_refusal() -> None:
    cooldown = Cooldown(lambda: 1.0)

    await cooldown.over()

    assert now() == 0
    assert cooldown.left == 0


async def test_everyone_waits_as_long_as_the_service_asked() -> None:
    cooldown = Cooldown(lambda: 1.0)
    cooldown.refused(7.0)

    await asyncio.gather(*(cooldown.over() for _ in range(5)))

    assert now() == pytest.approx(7)


async def test_a_shorter_wait_takes_nothing_from_a_longer_one() -> None:
    cooldown = Cooldown(lambda: 1.0)

    cooldown.refused(30.0)
    cooldown.refused(1.0)

    assert cooldown.left == pytest.approx(30)


async def test_a_pause_that_grows_is_waited_for_to_its_end() -> None:
    cooldown = Cooldown(lambda: 1.0)
    cooldown.refused(2.0)
    asyncio.get_running_loop().call_later(1.0, cooldown.refused, 10.0)

    await cooldown.over()

    assert now() == pytest.approx(11)


async def test_a_guess_doubles_with_each_refusal_up_to_a_minute() -> None:
    cooldown = Cooldown(lambda: 1.0)
    pauses = list[float]()
    for _ in range(9):
        cooldown.refused(None)
        pauses.append(cooldown.left)
        await cooldown.over()
        await asyncio.sleep(2)

    assert pauses == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60])
    assert max(pauses) <= MOST_SECONDS


async def test_refusals_of_requests_that_were_sent_together_lengthen_the_guess_once() -> None:
    cooldown = Cooldown(lambda: 1.0)
    for _ in range(50):
        cooldown.refused(None)
    await cooldown.over()
    await asyncio.sleep(2)

    cooldown.refused(None)

    assert cooldown.left <= 4


async def test_an_answer_makes_the_next_guess_small_again() -> None:
    cooldown = Cooldown(lambda: 1.0)
    for _ in range(4):
        cooldown.refused(None)
        await cooldown.over()
        await asyncio.sleep(2)

    cooldown.answered()
    cooldown.refused(None)

    assert cooldown.left == pytest.approx(1)


async def test_an_answer_does_not_end_a_pause() -> None:
    cooldown = Cooldown(lambda: 1.0)
    cooldown.refused(30.0)

    cooldown.answered()

    assert cooldown.left == pytest.approx(30)


@pytest.mark.parametrize(("share", "seconds"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
async def test_a_guess_is_spread_so_that_runs_do_not_come_back_together(share: float, seconds: float) -> None:
    cooldown = Cooldown(lambda: share)

    cooldown.refused(None)

    assert cooldown.left == pytest.approx(seconds)
