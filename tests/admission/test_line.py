import asyncio
import math

import pytest

from batch_runner.admission.line import Line
from batch_runner.leaving import WaitEndedError, Waits

pytestmark = pytest.mark.looptime


class Room:
    """A room for so many; holds everybody back until a moment."""

    def __init__(self, places: int, opens_at: float = 0.0) -> None:
        self.places = places
        self.opens_at = opens_at
        self.inside = list[str]()
        self.asked = 0
        self.waits = Waits()
        self.line = Line(self.waits, self.held, self.inside.append)

    def held(self, _who: str) -> float:
        self.asked += 1
        left = self.opens_at - asyncio.get_running_loop().time()
        return math.inf if len(self.inside) >= self.places else max(0.0, left)

    async def enter(self, who: str) -> None:
        if not self.line.passed(who):
            await self.line.stand(who, self.inside.remove)

    def leave(self, who: str) -> None:
        self.inside.remove(who)
        self.line.move()


async def test_who_is_not_held_passes_at_once() -> None:
    room = Room(places=2)

    assert room.line.passed("a")

    assert (room.inside, len(room.line)) == (["a"], 0)


async def test_who_comes_first_is_let_in_first() -> None:
    room, seen = Room(places=1, opens_at=3.0), list[str]()

    async def visit(who: str) -> None:
        await room.enter(who)
        seen.append(who)
        await asyncio.sleep(1)
        room.leave(who)

    await asyncio.gather(*(visit(who) for who in "abcd"))

    assert seen == list("abcd")
    assert asyncio.get_running_loop().time() == pytest.approx(7)


async def test_who_stands_ahead_is_let_in_before_the_others() -> None:
    room, seen = Room(places=1, opens_at=3.0), list[str]()

    async def visit(who: str) -> None:
        await room.line.stand(who, room.inside.remove, ahead=who == "d")
        seen.append(who)
        room.leave(who)

    await asyncio.gather(*(visit(who) for who in "abcd"))

    assert seen == list("dabc")


async def test_nobody_passes_who_could_while_others_stand_in_line() -> None:
    room = Room(places=1, opens_at=1.0)
    waiting = asyncio.create_task(room.enter("a"))
    await asyncio.sleep(0)
    room.opens_at = 0.0

    assert not room.line.passed("b")
    await waiting


async def test_a_wait_that_is_given_up_holds_nobody_up() -> None:
    room = Room(places=1)
    await room.enter("a")
    gives_up, stays = (asyncio.create_task(room.enter(who)) for who in "bc")
    await asyncio.sleep(1)

    gives_up.cancel()
    await asyncio.wait([gives_up])
    room.leave("a")
    await stays

    assert room.inside == ["c"]


async def test_who_was_let_in_and_can_not_come_gives_its_place_back() -> None:
    room = Room(places=1)
    await room.enter("a")
    waiting = asyncio.create_task(room.enter("b"))
    await asyncio.sleep(1)

    room.leave("a")
    waiting.cancel()
    await asyncio.wait([waiting])

    assert room.inside == []


async def test_the_end_of_all_waits_ends_every_wait_in_line_now_and_later() -> None:
    room = Room(places=0)
    waiting = [asyncio.create_task(room.enter(who)) for who in "abc"]
    await asyncio.sleep(1)

    room.waits.end()

    for each in waiting:
        with pytest.raises(WaitEndedError):
            await each
    with pytest.raises(WaitEndedError):
        room.line.passed("d")


@pytest.mark.parametrize("seconds", [0.0, math.inf])
async def test_a_question_that_ends_the_run_lets_nobody_in_and_keeps_nobody_waiting(seconds: float) -> None:
    waits, inside = Waits(), list[str]()

    def held(_who: str) -> float:
        waits.end()
        return seconds

    line: Line[str] = Line(waits, held, inside.append)

    with pytest.raises(WaitEndedError):
        await asyncio.wait_for(line.stand("a", inside.remove), 5)
    with pytest.raises(WaitEndedError):
        line.passed("b")
    assert inside == []


async def test_a_run_that_ends_between_the_question_and_the_wait_keeps_nobody_waiting() -> None:
    room = Room(places=0)
    assert not room.line.passed("a")

    room.waits.end()

    with pytest.raises(WaitEndedError):
        await asyncio.wait_for(room.line.stand("a", room.inside.remove), 5)


async def test_the_first_in_line_hears_of_what_stands_in_its_way() -> None:
    room = Room(places=0)
    first, second = (asyncio.create_task(room.enter(who)) for who in "ab")
    await asyncio.sleep(1)

    room.line.fail(OSError("disk full"))
    room.places = 1
    room.line.move()
    await second

    with pytest.raises(OSError, match="disk full"):
        await first


async def test_one_timer_serves_everybody() -> None:
    room = Room(places=10_000, opens_at=5.0)

    await asyncio.gather(*(room.enter(str(number)) for number in range(1000)))

    assert room.asked < 2010
