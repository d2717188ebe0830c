import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from batch_runner.admission import Budget, Cap, Ceiling, Exposure, LocalAdmission
from batch_runner.admission.finder import Finder
from batch_runner.failures import Failure, FailureKind, Scope
from batch_runner.leaving import WaitEndedError, Waits
from batch_runner.records import ChatRequest, Completion, Status, Tokens, Usage

pytestmark = pytest.mark.looptime

Play = Callable[[Coroutine[Any, Any, Any]], Any]

WORST = Tokens(10, 100)
TOO_FAST = Failure(FailureKind.RATE_LIMITED, Scope.EVERYONE, "")
ANSWER = Completion(Status.OK, "", "stop", "o1", Usage(10, 0, 5, 0, 15), "", 200)
REQUEST = ChatRequest("a", "o1", None, b"{}", "v1:ab", expected=WORST, worst=WORST)


def never(_cap: Cap, _request: ChatRequest) -> None:
    """No cap is reached."""


async def no_disk(_ceiling: Ceiling) -> None:
    """Write the ceiling nowhere."""


class Bench:
    """An admission and what it is built of."""

    def __init__(
        self,
        *,
        concurrency: int | None = 2,
        rpm: float | None = 6_000_000,
        tpm: float | None = None,
        raise_to: Any = no_disk,
        max_attempts: int = 5,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.waits = Waits()
        self.exposure = Exposure(Ceiling(), raise_to)
        self.admission = LocalAdmission(
            concurrency=concurrency,
            rpm=rpm,
            tpm=tpm,
            budget=Budget((), never),
            exposure=self.exposure,
            waits=self.waits,
            max_attempts=max_attempts,
            random=lambda: 1.0,
            tell=tell,
        )
        self.sent_at = list[float]()
        self.most_in_flight = 0

    async def send(self, seconds: float = 1.0) -> None:
        async with self.admission.slot(REQUEST) as slot:
            self.sent_at.append(asyncio.get_running_loop().time())
            self.most_in_flight = max(self.most_in_flight, self.admission.in_flight)
            await asyncio.sleep(seconds)
            slot.ended(ANSWER)

    async def end(self, verdict: Completion | Failure, row_id: str = "a") -> None:
        """Send a request of a row that ends so at once."""
        async with self.admission.slot(replace(REQUEST, row_id=row_id)) as slot:
            slot.ended(verdict)

    async def send_many(self, count: int) -> None:
        await asyncio.gather(*(self.send() for _ in range(count)))

    def assert_nothing_is_held(self) -> None:
        assert self.admission.in_flight == 0
        assert self.exposure.now == Ceiling()


async def test_requests_wait_for_a_free_place() -> None:
    bench = Bench(concurrency=2)

    await bench.send_many(6)

    assert bench.sent_at == pytest.approx([0, 0, 1, 1, 2, 2], abs=0.01)
    assert bench.most_in_flight == 2
    bench.assert_nothing_is_held()


def test_requests_wait_for_the_pace(play: Play) -> None:
    async def send_four() -> Bench:
        bench = Bench(concurrency=10, rpm=60)
        await bench.send_many(4)
        return bench

    bench = play(send_four())

    assert bench.sent_at == pytest.approx([0, 1, 2, 3], abs=0.1)


def test_a_told_limit_is_kept_even_where_the_finder_would_let_everyone_go(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Finder, "wait", lambda _finder, _now: 0.0)

    async def send_as_fast_as_may_be() -> Bench:
        bench = Bench(concurrency=1000, rpm=600)
        await bench.send_many(130)
        return bench

    bench = play(send_as_fast_as_may_be())

    slack = 2 + 10
    assert all(bench.sent_at[number] >= (number - slack) / 10 - 0.1 for number in range(130))
    bench.assert_nothing_is_held()


async def test_who_leaves_while_the_told_limit_holds_it_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Finder, "wait", lambda _finder, _now: 0.0)
    bench = Bench(concurrency=1000, rpm=60)

    everyone = asyncio.gather(*(bench.send(0.01) for _ in range(9)), return_exceptions=True)
    await asyncio.sleep(0.1)
    bench.waits.end()
    ends = await everyone

    assert sum(isinstance(end, WaitEndedError) for end in ends) == 9 - len(bench.sent_at) > 0
    bench.assert_nothing_is_held()


LOST = Failure(FailureKind.SERVER_ERROR, Scope.ROW, "")


@pytest.mark.parametrize(
    ("answered", "failure", "order"),
    [(False, LOST, ["again", "new"]), (True, LOST, ["new", "again"]), (True, TOO_FAST, ["again", "new"])],
)
async def test_a_first_retry_goes_before_rows_never_sent_if_it_was_told_to_slow_down_or_nobody_has_an_answer(
    *, answered: bool, failure: Failure, order: list[str]
) -> None:
    bench, sent = Bench(concurrency=1), list[str]()

    async def send(name: str) -> None:
        async with bench.admission.slot(REQUEST, after=failure if name == "again" else None) as slot:
            sent.append(name)
            slot.ended(ANSWER)

    if answered:
        await bench.end(ANSWER)
    async with bench.admission.slot(REQUEST):
        waiting = [asyncio.create_task(send(name)) for name in ("new", "again")]
        await asyncio.sleep(0.1)
    await asyncio.gather(*waiting)

    assert sent == order


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
    assert bench.sent_at[0] == pytest.approx(30, abs=1)
    assert min(bench.sent_at) >= 30


async def test_a_refusal_holds_those_back_who_wait_for_the_pace() -> None:
    bench = Bench(concurrency=5, rpm=6)
    refused = bench.admission.slot(REQUEST)
    await refused.__aenter__()
    waiting = asyncio.create_task(bench.send())
    await asyncio.sleep(1)

    refused.ended(Failure(FailureKind.RATE_LIMITED, Scope.EVERYONE, "", wait=50.0))
    refused.give_back()
    await waiting

    assert bench.sent_at[0] >= 51


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


async def test_leaving_ends_the_wait_for_the_pace() -> None:
    bench = Bench(concurrency=5, rpm=1)
    await bench.send()
    waiting = asyncio.create_task(bench.send())
    await asyncio.sleep(1)

    bench.waits.end()

    with pytest.raises(WaitEndedError):
        await waiting
    assert asyncio.get_running_loop().time() < 3
    bench.assert_nothing_is_held()


async def test_leaving_ends_the_wait_for_a_pause_to_end() -> None:
    bench = Bench()
    await bench.end(replace(TOO_FAST, wait=600.0))
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


async def test_a_pause_that_begins_while_the_ceiling_is_written_is_kept() -> None:
    async def slow(_ceiling: Ceiling) -> None:
        await asyncio.sleep(5)

    bench = Bench(raise_to=slow)
    asyncio.get_running_loop().call_later(2, bench.admission._finder.pause, 2.0, 30.0)

    await bench.send()

    assert bench.sent_at == pytest.approx([32])
    bench.assert_nothing_is_held()


@pytest.mark.parametrize(
    ("failure", "about_tokens"),
    [
        pytest.param(Failure(FailureKind.CONCURRENCY_LIMITED, Scope.EVERYONE, ""), False, id="places"),
        pytest.param(Failure(FailureKind.RATE_LIMITED, Scope.EVERYONE, "", limit="requests"), False, id="requests"),
        pytest.param(Failure(FailureKind.RATE_LIMITED, Scope.EVERYONE, "", limit="tokens"), True, id="tokens"),
        pytest.param(Failure(FailureKind.RATE_LIMITED, Scope.EVERYONE, ""), True, id="nobody says"),
    ],
)
async def test_where_tokens_are_counted_the_ledger_sees_to_refusals_that_may_be_about_them(
    failure: Failure, *, about_tokens: bool
) -> None:
    told: list[str] = []
    bench = Bench(rpm=None, tpm=6_000_000, tell=told.append)

    await bench.end(failure)

    assert (bench.admission._tokens.left > 0) is about_tokens
    assert bool(told) is not about_tokens


async def test_where_tokens_are_counted_a_pause_is_kept_all_the_same() -> None:
    bench = Bench(tpm=6_000_000)

    await bench.end(replace(TOO_FAST, wait=7.0))

    assert bench.admission.pause_left == pytest.approx(7)


async def test_refusals_that_no_way_of_counting_tokens_explains_are_about_requests() -> None:
    told: list[str] = []
    bench = Bench(rpm=None, tpm=6_000_000, tell=told.append)

    for _ in range(8):
        await bench.end(ANSWER)
        await asyncio.sleep(1)
        await bench.end(TOO_FAST)

    assert told


async def test_a_slot_that_is_never_told_how_it_ended_keeps_its_tokens() -> None:
    bench = Bench(tpm=600)

    with pytest.raises(ZeroDivisionError):
        async with bench.admission.slot(REQUEST):
            raise ZeroDivisionError

    ledger = bench.admission._tokens.ledger
    assert ledger is not None
    assert ledger._uses._in_flight == 0
    assert ledger.wait() == pytest.approx(110 / 10, rel=0.01)


async def test_a_named_limit_is_kept_and_one_above_what_the_user_told_changes_nothing() -> None:
    bench = Bench(rpm=600)

    await bench.end(replace(TOO_FAST, rpm=60.0))
    named = bench.admission._finder.rate
    await bench.end(replace(TOO_FAST, rpm=6000.0))

    assert named == pytest.approx(1.0, rel=0.01)
    assert bench.admission._finder.rate <= 10.0


async def test_a_limit_on_tokens_that_a_refusal_names_is_counted_from_then_on() -> None:
    told: list[str] = []
    bench = Bench(rpm=None, concurrency=None, tell=told.append)
    await bench.end(ANSWER)

    await bench.end(replace(TOO_FAST, limit="tokens", tpm=900.0))
    bench.sent_at.clear()
    began = asyncio.get_running_loop().time()
    for _ in range(20):
        await bench.send(0.0)

    assert "the service says that it takes 900 tokens/min: they are counted now" in told
    assert bench.sent_at[-1] - began == pytest.approx(20 * 15 / 15 + 3, abs=2)
    learned = bench.admission.learned
    assert learned is not None
    assert (learned.kind, learned.rate) == ("tokens", 15.0)
    bench.assert_nothing_is_held()


async def test_a_named_limit_on_tokens_that_was_exceeded_all_the_time_is_somebody_elses() -> None:
    told: list[str] = []
    bench = Bench(rpm=None, concurrency=None, tell=told.append)
    for _ in range(100):
        await bench.send(0.05)

    await bench.end(replace(TOO_FAST, limit="tokens", tpm=60.0))

    assert not any("tokens/min" in line for line in told)
    assert bench.admission._tokens.left == 0


async def test_a_named_limit_on_tokens_is_looked_beyond_after_a_while() -> None:
    told: list[str] = []
    bench = Bench(rpm=None, concurrency=None, tell=told.append)
    await bench.end(ANSWER)
    await bench.end(replace(TOO_FAST, limit="tokens", tpm=900.0))
    loop = asyncio.get_running_loop()
    while loop.time() < 200:
        await bench.send(0.05)
    counted = len(bench.sent_at)
    while loop.time() < 400:
        await bench.send(0.05)

    assert any("seeing whether it takes more" in line for line in told)
    assert counted == pytest.approx(200, abs=10)
    assert len(bench.sent_at) > 4 * counted


@pytest.mark.parametrize(
    ("kind", "max_attempts", "times"),
    [
        pytest.param(FailureKind.OVERLOADED, 5, 3, id="half of five attempts"),
        pytest.param(FailureKind.OVERLOADED, 2, 1, id="half of two"),
        pytest.param(FailureKind.OVERLOADED, 1, 1, id="the only one"),
        pytest.param(FailureKind.CONNECTION_LOST, 5, 1, id="half of those that may be billed"),
    ],
)
async def test_an_outage_begins_before_rows_run_out_of_attempts(kind: FailureKind, max_attempts: int, times: int) -> None:
    bench, seen = Bench(max_attempts=max_attempts), list[bool]()

    for _ in range(times):
        seen.append(bench.admission._outage.on)
        for row in range(5):
            await bench.end(Failure(kind, Scope.ROW, ""), f"row {row}")

    assert seen == [False] * times
    assert bench.admission._outage.on


async def test_reaching_nobody_costs_no_attempt_and_is_an_outage_after_five_seconds() -> None:
    bench = Bench(max_attempts=1)

    for second in range(6):
        on_before = bench.admission._outage.on
        for row in range(5):
            await bench.end(Failure(FailureKind.UNREACHABLE, Scope.ROW, ""), f"row {row}")
        assert on_before is False, f"after {second} s"
        await asyncio.sleep(1)

    assert bench.admission.outage_seconds > 5


async def test_an_answer_after_an_outage_opens_a_small_window() -> None:
    bench = Bench(concurrency=8, max_attempts=1)
    for row in range(5):
        await bench.end(Failure(FailureKind.OVERLOADED, Scope.ROW, ""), f"row {row}")
    began = asyncio.get_running_loop().time()

    await bench.send_many(1 + 1 + 2 + 4)

    waits = [at - began for at in bench.sent_at]
    assert waits[0] == pytest.approx(1.25)
    assert waits[1:] == pytest.approx([2.25] + [3.25] * 2 + [4.25] * 4)


@pytest.mark.parametrize(
    "verdict",
    [
        pytest.param(Failure(FailureKind.POLICY, Scope.ROW, ""), id="a refusal to answer"),
        pytest.param(Failure(FailureKind.RATE_LIMITED, Scope.EVERYONE, "", wait=0.0), id="too fast"),
        pytest.param(Failure(FailureKind.INVALID_KEY, Scope.RUN, ""), id="a dead key"),
        pytest.param(ANSWER, id="an answer"),
    ],
)
async def test_whatever_the_service_says_itself_shows_that_it_is_back(verdict: Completion | Failure) -> None:
    bench = Bench(max_attempts=1)
    for row in range(5):
        await bench.end(Failure(FailureKind.OVERLOADED, Scope.ROW, ""), f"row {row}")

    await bench.end(verdict)

    assert bench.admission.outage_seconds == 0
