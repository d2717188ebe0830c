import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from batch_runner.admission import Budget, Cap, Ceiling, Exposure, LocalAdmission
from batch_runner.failures import Failure, FailureKind, Scope
from batch_runner.leaving import WaitEndedError, Waits
from batch_runner.records import ChatRequest, Completion, Status, Tokens, Usage

pytestmark = pytest.mark.looptime

Play = Callable[[Coroutine[Any, Any, Any]], Any]

WORST = Tokens(10, 100)
ANSWER = Completion(Status.OK, "", "stop", "o1", Usage(10, 0, 5, 0, 15), "", 200)
REQUEST = ChatRequest("a", "o1", None, b"{}", "v1:ab", expected=WORST, worst=WORST)


def never(_cap: Cap, _request: ChatRequest) -> None:
    """No cap is reached."""


async def no_disk(_ceiling: Ceiling) -> None:
    """Write the ceiling nowhere."""


class Bench:
    """An admission and what it is built of."""

    def __init__(self, *, concurrency: int = 2, rpm: float | None = None, raise_to: Any = no_disk) -> None:
        self.waits = Waits()
        self.exposure = Exposure(Ceiling(), raise_to)
        self.admission = LocalAdmission(
            concurrency=concurrency,
            rpm=rpm,
            tpm=None,
            budget=Budget((), never),
            exposure=self.exposure,
            waits=self.waits,
            max_attempts=5,
            random=lambda: 1.0,
        )
        self.sent_at = list[float]()
        self.most_in_flight = 0

    async def send(self, seconds: float = 1.0) -> None:
        async with self.admission.slot(REQUEST) as slot:
            self.sent_at.append(asyncio.get_running_loop().time())
            self.most_in_flight = max(self.most_in_flight, self.admission.in_flight)
            await asyncio.sleep(seconds)
            slot.ended(ANSWER)

    async def send_many(self, count: int) -> None:
        await asyncio.gather(*(self.send() for _ in range(count)))

    def assert_nothing_is_held(self) -> None:
        assert self.admission.in_flight == 0
        assert self.exposure.now == Ceiling()


async def test_requests_wait_for_a_free_place() -> None:
    bench = Bench(concurrency=2)

    await bench.send_many(6)

    assert bench.sent_at == pytest.approx([0, 0, 1, 1, 2, 2])
    assert bench.most_in_flight == 2
    bench.assert_nothing_is_held()


def test_requests_wait_for_the_pace(play: Play) -> None:
    bench = Bench(concurrency=10, rpm=60)

    play(bench.send_many(4))

    assert bench.sent_at == pytest.approx([0, 1, 2, 3], abs=0.1)


async def test_what_is_in_flight_is_counted_and_counted_out() -> None:
    bench = Bench()

    async with bench.admission.slot(REQUEST):
        during = (bench.admission.in_flight, bench.exposure.now)

    assert during == (1, Ceiling(1, 10, 100))
    bench.assert_nothing_is_held()


async def test_one_refusal_holds_everyone_back() -> None:
    bench = Bench(concurrency=5)
    async with bench.admission.slot(REQUEST) as slot:
        slot.ended(Failure(FailureKind.RATE_LIMITED, Scope.EVERYONE, "", wait=30.0))

    left = bench.admission.pause_left
    await bench.send_many(5)

    assert left == pytest.approx(30)
    assert bench.sent_at == pytest.approx([30] * 5)


def test_a_refusal_holds_those_back_who_wait_for_the_pace(play: Play) -> None:
    bench = Bench(concurrency=5, rpm=6)

    async def refuse_meanwhile() -> None:
        await bench.send()
        waiting = asyncio.create_task(bench.send())
        await asyncio.sleep(1)
        bench.admission._cooldown.refused(50.0)
        await waiting

    play(refuse_meanwhile())

    assert bench.sent_at[1] >= 52


async def test_an_attempt_without_a_lesson_changes_nothing() -> None:
    bench = Bench()

    async with bench.admission.slot(REQUEST) as slot:
        slot.ended(Failure(FailureKind.TIMEOUT, Scope.ROW, ""))

    assert bench.admission.pause_left == 0


async def test_a_slot_is_given_back_when_the_attempt_breaks() -> None:
    bench = Bench(concurrency=1)

    with pytest.raises(ZeroDivisionError):
        async with bench.admission.slot(REQUEST):
            raise ZeroDivisionError

    bench.assert_nothing_is_held()
    await asyncio.wait_for(bench.send(), 5)


async def test_leaving_ends_the_wait_for_a_place() -> None:
    bench = Bench(concurrency=1)
    sending, waiting = asyncio.create_task(bench.send(10)), asyncio.create_task(bench.send())
    await asyncio.sleep(1)

    bench.waits.end()

    with pytest.raises(WaitEndedError):
        await waiting
    assert asyncio.get_running_loop().time() == pytest.approx(1)
    await sending
    bench.assert_nothing_is_held()


def test_leaving_ends_the_wait_for_the_pace(play: Play) -> None:
    bench = Bench(concurrency=5, rpm=1)

    async def leave_meanwhile() -> float:
        await bench.send()
        waiting = asyncio.create_task(bench.send())
        await asyncio.sleep(1)
        bench.waits.end()
        with pytest.raises(WaitEndedError):
            await waiting
        return asyncio.get_running_loop().time()

    assert play(leave_meanwhile()) < 3
    bench.assert_nothing_is_held()


async def test_leaving_ends_the_wait_for_a_pause_to_end() -> None:
    bench = Bench()
    bench.admission._cooldown.refused(600.0)
    waiting = asyncio.create_task(bench.send())
    await asyncio.sleep(1)

    bench.waits.end()

    with pytest.raises(WaitEndedError):
        await waiting
    assert asyncio.get_running_loop().time() == pytest.approx(1)
    bench.assert_nothing_is_held()


async def test_leaving_ends_the_wait_for_the_disk() -> None:
    async def slow(_ceiling: Ceiling) -> None:
        await asyncio.sleep(600)

    bench = Bench(raise_to=slow)
    waiting = asyncio.create_task(bench.send())
    await asyncio.sleep(1)

    bench.waits.end()

    with pytest.raises(WaitEndedError):
        await waiting
    bench.assert_nothing_is_held()


async def test_no_slot_is_given_while_leaving() -> None:
    bench = Bench()
    bench.waits.end()

    with pytest.raises(WaitEndedError):
        await bench.send()

    bench.assert_nothing_is_held()
