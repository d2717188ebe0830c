import asyncio

import pytest

from batch_runner.exits import ExitStatus
from batch_runner.leaving import AtStake, Leaving, WaitEndedError, Waits

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_sleep_lasts_as_long_as_asked() -> None:
    await Waits().sleep(30)

    assert now() == pytest.approx(30)


async def test_all_sleeps_of_a_group_end_together() -> None:
    waits = Waits()
    sleeps = [asyncio.create_task(waits.sleep(600)) for _ in range(5)]
    await asyncio.sleep(1)

    waits.end()

    ends = await asyncio.gather(*sleeps, return_exceptions=True)
    assert [type(end) for end in ends] == [WaitEndedError] * 5
    assert now() == pytest.approx(1)


async def test_a_group_that_was_ended_waits_for_nothing_more() -> None:
    waits = Waits()
    waits.end()

    with pytest.raises(WaitEndedError):
        await waits.sleep(600)

    assert now() == 0


async def test_a_wait_with_an_end_of_its_own_times_out() -> None:
    with pytest.raises(TimeoutError), Waits().until(5):
        await asyncio.sleep(600)

    assert now() == pytest.approx(5)


async def test_ending_a_group_leaves_other_groups_alone() -> None:
    one, other = Waits(), Waits()
    sleeping = asyncio.create_task(other.sleep(10))
    await asyncio.sleep(1)

    one.end()
    await sleeping

    assert now() == pytest.approx(10)


async def test_a_timeout_from_inside_is_handed_on() -> None:
    with pytest.raises(TimeoutError, match="connect"), Waits().until(5):
        raise TimeoutError("connect")


async def test_a_cancelled_wait_is_cancelled() -> None:
    waits = Waits()
    sleeping = asyncio.create_task(waits.sleep(600))
    await asyncio.sleep(1)

    sleeping.cancel()

    with pytest.raises(asyncio.CancelledError):
        await sleeping
    waits.end()


async def test_a_wait_that_is_ended_and_cancelled_in_one_moment_is_cancelled() -> None:
    waits = Waits()
    sleeping = asyncio.create_task(waits.sleep(600))
    await asyncio.sleep(1)

    waits.end()
    sleeping.cancel()

    with pytest.raises(asyncio.CancelledError):
        await sleeping


async def test_a_wait_that_was_over_in_time_is_not_ended_later() -> None:
    with Waits().until(5):
        await asyncio.sleep(1)
    await asyncio.sleep(60)

    assert now() == pytest.approx(61)


async def test_draining_ends_waits_for_retries_and_spares_requests_in_flight() -> None:
    leaving = Leaving(drain_timeout=300)
    retry, request = asyncio.create_task(leaving.patient.sleep(60)), asyncio.create_task(leaving.sends.sleep(60))
    await asyncio.sleep(1)

    leaving.drain(ExitStatus.INTERRUPTED)

    with pytest.raises(WaitEndedError):
        await retry
    assert now() == pytest.approx(1)
    await request
    assert now() == pytest.approx(60)
    assert leaving.draining


async def test_a_drain_has_an_end() -> None:
    leaving = Leaving(drain_timeout=300)
    request = asyncio.create_task(leaving.sends.sleep(900))
    await asyncio.sleep(1)

    leaving.drain(ExitStatus.TERMINATED)

    with pytest.raises(WaitEndedError):
        await request
    assert now() == pytest.approx(301)


async def test_draining_again_does_not_put_the_end_off() -> None:
    leaving = Leaving(drain_timeout=10)
    request = asyncio.create_task(leaving.sends.sleep(900))
    leaving.drain(ExitStatus.INTERRUPTED)
    await asyncio.sleep(9)

    leaving.drain(ExitStatus.INTERRUPTED)

    with pytest.raises(WaitEndedError):
        await request
    assert now() == pytest.approx(10)


async def test_hanging_up_ends_requests_in_flight_at_once() -> None:
    leaving = Leaving(drain_timeout=300)
    request = asyncio.create_task(leaving.sends.sleep(900))
    await asyncio.sleep(1)

    leaving.hang_up(ExitStatus.INTERRUPTED)

    with pytest.raises(WaitEndedError):
        await request
    assert now() == pytest.approx(1)


async def test_every_cause_is_kept_in_the_order_it_came() -> None:
    leaving = Leaving(drain_timeout=300)

    leaving.drain(ExitStatus.STOPPED_BY_SERVICE)
    leaving.hang_up(ExitStatus.INTERRUPTED)

    leaving.drain(ExitStatus.TERMINATED)

    assert leaving.causes == [ExitStatus.STOPPED_BY_SERVICE, ExitStatus.INTERRUPTED, ExitStatus.TERMINATED]


async def test_a_run_that_stays_has_no_cause() -> None:
    leaving = Leaving(drain_timeout=300)

    assert (leaving.causes, leaving.draining) == ([], False)


async def test_a_wait_in_another_thread_is_ended_with_its_group() -> None:
    waits, told = Waits(), list[str]()
    waits.also(lambda: told.append("ended"))

    before = list(told)
    waits.end()

    assert (before, told) == ([], ["ended"])


async def test_nothing_is_at_stake_before_a_run_tells_otherwise() -> None:
    assert Leaving(5).at_stake() == AtStake()
