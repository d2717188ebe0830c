import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.admission import Ceiling, Exposure
from batch_runner.failures import OutputLost
from batch_runner.records import Tokens

pytestmark = pytest.mark.looptime

WORST = Tokens(100, 1000)


class Disk:
    """Where ceilings are written; slow, and honest about what it holds."""

    def __init__(self, ceiling: Ceiling = Ceiling(), seconds: float = 1.0) -> None:  # noqa: B008 - frozen
        self.ceiling = ceiling
        self.writes = 0
        self._seconds = seconds

    async def write(self, ceiling: Ceiling) -> None:
        await asyncio.sleep(self._seconds)
        self.ceiling = ceiling
        self.writes += 1


async def enter(exposure: Exposure, worst: Tokens = WORST) -> None:
    """Count a request in, when it is covered."""
    await exposure.make_room(worst)
    exposure.take(worst)


async def test_what_the_ceiling_covers_waits_for_no_disk() -> None:
    disk = Disk(Ceiling().plus(WORST, 2))
    exposure = Exposure(disk.ceiling, disk.write)

    await enter(exposure, WORST)
    await enter(exposure, WORST)

    assert (disk.writes, asyncio.get_running_loop().time()) == (0, 0)


async def test_nothing_is_in_flight_that_the_disk_does_not_cover() -> None:
    disk, turn = Disk(), asyncio.Lock()
    exposure = Exposure(disk.ceiling, disk.write)

    async def send(worst: Tokens) -> None:
        async with turn:
            await enter(exposure, worst)
        assert disk.ceiling.covers(exposure.now)
        await asyncio.sleep(3)
        exposure.give_back(worst)

    await asyncio.gather(*(send(Tokens(number, 7 * number)) for number in range(1, 60)))

    assert exposure.now == Ceiling()


async def test_raising_stays_rare() -> None:
    disk = Disk(seconds=0.01)
    exposure = Exposure(disk.ceiling, disk.write)

    for _ in range(1000):
        await enter(exposure)

    assert disk.writes <= 11


async def test_a_disk_that_fails_lets_nothing_through() -> None:
    async def fail(_ceiling: Ceiling) -> None:
        raise OutputLost("disk full")

    exposure = Exposure(Ceiling(), fail)

    for _ in range(2):
        with pytest.raises(OutputLost, match="disk full"):
            await enter(exposure)

    assert (exposure.now, exposure.ceiling) == (Ceiling(), Ceiling())


async def test_a_take_that_is_given_up_counts_nothing_and_holds_nobody_up() -> None:
    disk = Disk(seconds=10)
    exposure = Exposure(disk.ceiling, disk.write)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(enter(exposure), 1)
    before = exposure.now
    await enter(exposure)

    assert before == Ceiling()
    assert disk.ceiling.covers(exposure.now)


sizes = st.builds(Ceiling, st.integers(0, 99), st.integers(0, 10**6), st.integers(0, 10**6))


@given(old=sizes, needed=sizes)
@settings(max_examples=50, deadline=None)
def test_a_raised_ceiling_covers_both_what_is_needed_and_what_was_covered(old: Ceiling, needed: Ceiling) -> None:
    raised = old.raised_for(needed)

    assert raised.covers(needed)
    assert raised.covers(old)


def test_a_ceiling_covers_only_what_fits_in_every_way() -> None:
    ceiling = Ceiling(2, 20, 200)

    assert ceiling.covers(Ceiling(2, 20, 200))
    assert not any(ceiling.covers(other) for other in (Ceiling(3, 0, 0), Ceiling(0, 21, 0), Ceiling(0, 0, 201)))
