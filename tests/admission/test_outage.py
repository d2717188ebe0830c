import asyncio
from itertools import pairwise

import pytest

from batch_runner.admission.outage import DOUBT, ENOUGH_EVIDENCE, LONG_ENOUGH_SECONDS, MOST_GAP, MOST_SUSPECTS, SILENCE, Outage

pytestmark = pytest.mark.looptime

FIVE_ROWS = [f"row {number}" for number in range(ENOUGH_EVIDENCE // SILENCE)]


def now() -> float:
    return asyncio.get_running_loop().time()


def an_outage(random: float = 0.5) -> Outage:
    return Outage(lambda: random)


async def look(outage: Outage) -> None:
    """Wait until a request may go, and send it."""
    while (left := outage.left) > 0:
        await asyncio.sleep(left)
    outage.sent()


async def begun() -> Outage:
    outage = an_outage()
    for row in FIVE_ROWS:
        outage.lost(row, SILENCE, 1.0)
    assert outage.on
    return outage


async def test_while_the_service_answers_nobody_waits() -> None:
    outage = an_outage()

    await look(outage)

    assert (now(), outage.seconds, outage.left) == (0, 0, 0)


async def test_five_rows_that_hear_nothing_for_five_seconds_make_an_outage() -> None:
    outage, seen = an_outage(), list[bool]()

    for row in FIVE_ROWS:
        outage.lost(row, SILENCE, 0.2)
        seen.append(outage.on)
    await asyncio.sleep(LONG_ENOUGH_SECONDS)
    outage.lost(FIVE_ROWS[0], SILENCE, 0.2)

    assert seen == [False] * 5
    assert outage.on
    assert outage.seconds == pytest.approx(LONG_ENOUGH_SECONDS)


async def test_a_row_that_has_used_up_half_of_its_attempts_hastens_it() -> None:
    outage = an_outage()
    for row in FIVE_ROWS:
        outage.lost(row, SILENCE, 0.2)

    outage.lost("row 3", SILENCE, 0.2)
    before = outage.on
    outage.lost("row 3", SILENCE, 0.2)

    assert (before, outage.on) == (False, True)


@pytest.mark.parametrize("rows", [1, 4])
async def test_a_few_rows_that_fail_again_and_again_make_none(rows: int) -> None:
    outage = an_outage()

    for _ in range(50):
        for row in range(rows):
            outage.lost(f"row {row}", SILENCE, 0.2)
        await asyncio.sleep(60)

    assert not outage.on


async def test_ten_rows_that_end_in_a_500_make_none_and_twenty_do() -> None:
    outage = an_outage()

    for row in range(ENOUGH_EVIDENCE - 1):
        outage.lost(f"row {row}", DOUBT, 0.6)
    before = outage.on
    outage.lost("one more", DOUBT, 0.6)

    assert (before, outage.on) == (False, True)


async def test_an_answer_takes_all_evidence_back() -> None:
    outage = an_outage()
    for row in FIVE_ROWS[:-1]:
        outage.lost(row, SILENCE, 1.0)

    ended = outage.alive()
    outage.lost(FIVE_ROWS[-1], SILENCE, 1.0)

    assert (ended, outage.on) == (False, False)


@pytest.mark.parametrize(("weight", "rows"), [(DOUBT, 500), (SILENCE, ENOUGH_EVIDENCE - 1)])
async def test_rows_that_failed_between_answers_make_none_when_only_they_are_left(weight: int, rows: int) -> None:
    outage = an_outage()
    for row in range(rows):
        outage.lost(f"row {row}", weight, 0.5)
        outage.alive()

    for _ in range(4):
        for row in range(rows):
            outage.lost(f"row {row}", weight, 0.5)
        await asyncio.sleep(10)

    assert not outage.on


async def test_an_outage_is_seen_though_many_rows_have_failed_before() -> None:
    outage = an_outage()
    for row in range(ENOUGH_EVIDENCE):
        outage.lost(f"row {row}", SILENCE, 0.5)
        outage.alive()

    for row in range(ENOUGH_EVIDENCE):
        outage.lost(f"row {row}", SILENCE, 0.5)

    assert outage.on


async def test_suspects_are_forgotten_in_the_end() -> None:
    outage = an_outage()
    for number in range(2 * MOST_SUSPECTS):
        outage.lost(f"row {number}", SILENCE, 0.2)
        outage.alive()

    assert len(outage._suspects) == MOST_SUSPECTS


async def test_an_answer_ends_an_outage() -> None:
    outage = await begun()
    await asyncio.sleep(0.25)

    assert outage.alive()

    assert (outage.on, outage.seconds, outage.left) == (False, 0, 0)


async def test_probes_go_at_a_growing_distance_up_to_a_minute() -> None:
    outage, at = await begun(), [0.0]

    for _ in range(9):
        await look(outage)
        at.append(now())

    assert [later - sooner for sooner, later in pairwise(at)] == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60])


@pytest.mark.parametrize(("share", "gap"), [(0.0, 0.75 * MOST_GAP), (1.0, 1.25 * MOST_GAP)])
async def test_probes_of_many_runs_do_not_come_together(share: float, gap: float) -> None:
    outage = an_outage(share)
    for row in FIVE_ROWS:
        outage.lost(row, SILENCE, 1.0)
    for _ in range(8):
        await look(outage)
    before = now()

    await look(outage)

    assert now() - before == pytest.approx(gap)


async def test_probes_that_fail_do_not_begin_it_anew() -> None:
    outage = await begun()
    for _ in range(6):
        await look(outage)
        outage.lost("a probe", SILENCE, 1.0)

    left = outage.left

    assert left > 40
    assert outage.seconds == pytest.approx(now())


async def test_a_second_outage_begins_with_short_gaps_again() -> None:
    outage = await begun()
    for _ in range(6):
        await look(outage)
    outage.alive()

    for row in FIVE_ROWS:
        outage.lost(row, SILENCE, 1.0)

    assert outage.left == pytest.approx(1)


async def test_thousands_of_requests_that_are_lost_at_once_are_counted_quickly() -> None:
    outage = an_outage()

    for number in range(200_000):
        outage.lost(f"row {number}", SILENCE, 0.0)

    assert not outage.on
