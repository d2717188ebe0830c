import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_runner.admission.money import Budget, Cap, Reservation
from batch_runner.failures import Failure, FailureKind, Scope
from batch_runner.records import ChatRequest, Completion, Status, Tokens, Usage

pytestmark = pytest.mark.looptime


def tokens_of(_model: str, usage: Usage) -> Decimal:
    return Decimal(usage.total_tokens or 0)


def a_request(prompt: int = 10, completion: int = 90) -> ChatRequest:
    worst = Tokens(prompt, completion)
    return ChatRequest("a", "o1", completion, b"", "", expected=worst, worst=worst)


def an_answer(tokens: int | None) -> Completion:
    usage = None if tokens is None else Usage(tokens, 0, 0, 0, tokens)
    return Completion(Status.OK, "", "stop", "o1", usage, "", 200)


LOST = Failure(FailureKind.TIMEOUT, Scope.ROW, "")
REFUSED = Failure(FailureKind.RATE_LIMITED, Scope.EVERYONE, "")


class Bench:
    """A budget of tokens, and what it says when it is used up."""

    def __init__(self, limit: int, used: int = 0) -> None:
        self.cap = Cap("--max-total-tokens", Decimal(limit), tokens_of, Decimal(used))
        self.reached = list[str]()
        self.budget = Budget([self.cap], lambda cap, _request: self.reached.append(cap.flag))

    async def send(self, request: ChatRequest, seconds: float, verdict: Completion | Failure) -> None:
        while self.budget.holds_back(request):
            await asyncio.sleep(0.1)
        reservation = self.budget.reserve(request)
        await asyncio.sleep(seconds)
        self.budget.settle(reservation, verdict)


async def test_a_request_is_sent_only_if_its_worst_fits() -> None:
    bench = Bench(limit=100)

    await bench.send(a_request(), 1, an_answer(100))

    assert [bench.cap.used, bench.cap.reserved] == [Decimal(100), Decimal(0)]


async def test_what_does_not_fit_waits_for_what_is_in_flight() -> None:
    bench = Bench(limit=150)
    first = asyncio.create_task(bench.send(a_request(), 5, an_answer(20)))
    await asyncio.sleep(1)

    second = asyncio.create_task(bench.send(a_request(), 1, an_answer(20)))
    await asyncio.sleep(1)
    held_by = bench.budget.held_by
    await asyncio.gather(first, second)

    assert held_by == "--max-total-tokens"
    assert asyncio.get_running_loop().time() == pytest.approx(6)
    assert (bench.budget.held_by, bench.reached) == ("", [])


async def test_the_cap_is_reached_when_nothing_in_flight_can_make_room() -> None:
    bench = Bench(limit=150, used=60)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(bench.send(a_request(), 1, an_answer(1)), 5)

    assert bench.reached == ["--max-total-tokens"]
    assert bench.cap.used == 60


@pytest.mark.parametrize(
    ("verdict", "used"),
    [
        pytest.param(an_answer(40), 40, id="what was used"),
        pytest.param(an_answer(None), 100, id="its worst, when nobody told"),
        pytest.param(LOST, 100, id="its worst, when the answer never came"),
        pytest.param(None, 100, id="its worst, when nobody knows how it ended"),
        pytest.param(REFUSED, 0, id="nothing, when it was refused"),
        pytest.param(replace(REFUSED, usage=Usage(7, 0, 3, 0, 10)), 10, id="what a failure says it cost"),
    ],
)
async def test_a_request_comes_to(verdict: Completion | Failure | None, used: int) -> None:
    bench = Bench(limit=1000)
    reservation = bench.budget.reserve(a_request())

    bench.budget.settle(reservation, verdict)

    assert [bench.cap.used, bench.cap.reserved] == [Decimal(used), Decimal(0)]


ENDS = st.one_of(st.integers(0, 100).map(an_answer), st.just(an_answer(None)), st.just(LOST), st.just(REFUSED), st.none())


@given(limit=st.integers(0, 2000), rows=st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50), ENDS)), luck=st.randoms())
def test_no_order_of_events_lets_the_sum_pass_the_cap(limit: int, rows: list[tuple[int, int, object]], luck: object) -> None:
    bench = Bench(limit)
    in_flight = list[tuple[Reservation, object]]()

    for prompt, completion, end in rows:
        request = a_request(prompt, completion)
        while in_flight and (luck.random() < 0.3 or not bench.cap.holds(request)):  # type: ignore[attr-defined]  # a Random
            reservation, verdict = in_flight.pop(luck.randrange(len(in_flight)))  # type: ignore[attr-defined]
            if isinstance(verdict, Completion) and verdict.usage is not None:
                most = min(verdict.usage.total_tokens or 0, int(reservation.amounts[0]))
                verdict = an_answer(most)
            bench.budget.settle(reservation, verdict)  # type: ignore[arg-type]
        if bench.cap.holds(request):
            in_flight.append((bench.budget.reserve(request), end))
        assert bench.cap.used + bench.cap.reserved <= limit

    assert bench.cap.reserved == sum(int(each.amounts[0]) for each, _ in in_flight)
