import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from batch_runner.admission.finder import Learned
from batch_runner.admission.token_pace import RAISE_SECONDS, RAISED, TokenPace
from batch_runner.admission.tokens import FIRST_PAUSE, SHARE
from batch_runner.admission.trust import FIRST_SECONDS
from batch_runner.failures import Failure, FailureKind, Scope
from batch_runner.records import Completion, Status, Tokens, Usage

Play = Callable[[Coroutine[Any, Any, Any]], Any]

RATE = 100.0
"""Tokens a second."""

ASKED = Tokens(100, 900)


def used(prompt: int, completion: int) -> Usage:
    return Usage(prompt, 0, completion, 0, prompt + completion)


ANSWER = Completion(Status.OK, "", "stop", "o1", used(100, 100), "", 200)
TOO_FAST = Failure(FailureKind.RATE_LIMITED, Scope.EVERYONE, "no")


def test_without_a_limit_everything_goes_and_nothing_is_charged(play: Play) -> None:
    async def go() -> None:
        pace = TokenPace(None)
        charge = pace.charge(ASKED)
        assert (pace.left, charge) == (0, None)
        pace.ended(charge, ANSWER)

    play(go())


def test_what_is_given_back_lets_the_next_request_go_so_much_sooner(play: Play) -> None:
    async def go() -> float:
        pace = TokenPace(60 * RATE)
        charge = pace.charge(ASKED)
        await asyncio.sleep(1.0)
        before = pace.left
        pace.ended(charge, ANSWER)
        return before - pace.left

    assert play(go()) == pytest.approx(800 / (SHARE * RATE), rel=0.02)


@pytest.mark.parametrize(
    ("verdict", "waits"),
    [
        pytest.param(ANSWER, 200 / RATE, id="an answer"),
        pytest.param(Failure(FailureKind.BAD_REQUEST, Scope.ROW, ""), 0.0, id="a bad row"),
        pytest.param(Failure(FailureKind.SERVER_ERROR, Scope.ROW, ""), 0.0, id="a server error"),
        pytest.param(Failure(FailureKind.TIMEOUT, Scope.ROW, ""), 1000 / RATE, id="no answer"),
        pytest.param(None, 1000 / RATE, id="nobody knows"),
        pytest.param(TOO_FAST, FIRST_PAUSE, id="too fast"),
        pytest.param(Failure(FailureKind.RATE_LIMITED, Scope.EVERYONE, "", limit="tokens"), FIRST_PAUSE, id="too many tokens"),
        pytest.param(Failure(FailureKind.RATE_LIMITED, Scope.EVERYONE, "", limit="requests"), 0.0, id="too many requests"),
        pytest.param(Failure(FailureKind.RATE_LIMITED, Scope.EVERYONE, "", limit="day"), 0.0, id="too many a day"),
        pytest.param(Failure(FailureKind.CONCURRENCY_LIMITED, Scope.EVERYONE, ""), 0.0, id="too many at once"),
    ],
)
def test_each_end_of_an_attempt_is_booked_as_what_it_is(play: Play, verdict: Any, waits: float) -> None:
    async def go() -> float:
        pace = TokenPace(60 * RATE)
        assert pace.ledger is not None
        pace.ended(pace.charge(ASKED), verdict)
        return pace.ledger.wait()

    assert play(go()) == pytest.approx(waits, rel=0.02, abs=0.001)


TPM = 60 * RATE


async def sent_in(pace: TokenPace, seconds: float) -> int:
    """How many are sent in so long that use 200 tokens each, answered at once."""
    loop, count = asyncio.get_running_loop(), 0
    until = loop.time() + seconds
    while loop.time() < until:
        await asyncio.sleep(max(0.01, pace.left))
        pace.ended(pace.charge(ASKED), ANSWER)
        count += 1
    return count


def test_a_limit_that_a_refusal_names_is_counted_where_none_was_told(play: Play) -> None:
    async def go() -> int:
        pace = TokenPace(None)
        assert pace.named(TPM, 200)
        assert pace.explains(Failure(FailureKind.RATE_LIMITED, Scope.EVERYONE, "", tpm=TPM))
        return await sent_in(pace, 60.0)

    assert play(go()) == pytest.approx(60 * RATE / 200, rel=0.1)


@pytest.mark.parametrize(("named", "news"), [(TPM / 2, True), (TPM, False), (2 * TPM, False)])
def test_only_a_tighter_limit_than_the_user_told_is_news(play: Play, named: float, *, news: bool) -> None:
    async def go() -> bool:
        return TokenPace(TPM).named(named, 200)

    assert play(go()) is news


def test_the_same_limit_named_again_is_no_news(play: Play) -> None:
    async def go() -> list[bool]:
        pace = TokenPace(None)
        return [pace.named(TPM, 200), pace.named(TPM, 200), pace.named(2 * TPM, 200)]

    assert play(go()) == [True, False, True]


def test_a_limit_below_what_was_used_all_the_time_is_somebody_elses(play: Play) -> None:
    async def go() -> bool:
        pace = TokenPace(None)
        for _ in range(60):
            for _ in range(4):
                pace.ended(None, ANSWER)
            await asyncio.sleep(1)
        return pace.named(TPM / 4, 200)

    assert play(go()) is False


async def believed(pace: TokenPace) -> None:
    """Let a named limit be believed for as long as it is."""
    await asyncio.sleep(FIRST_SECONDS)
    assert pace.looks_beyond()
    assert not pace.looks_beyond()


def test_a_named_limit_is_raised_step_by_step_after_a_while(play: Play) -> None:
    async def go() -> list[int]:
        pace = TokenPace(None)
        pace.named(TPM, 0)
        await believed(pace)
        counts = []
        for _ in range(4):
            counts.append(await sent_in(pace, RAISE_SECONDS))
            pace.looks_beyond()
        return counts

    counts = play(go())

    assert counts[1:] == [pytest.approx(RAISE_SECONDS * RATE / 200 * RAISED**step, rel=0.1) for step in (2, 3, 4)]


@pytest.mark.parametrize("told", [None, 2 * TPM])
def test_where_nothing_is_refused_what_the_user_told_holds_again_or_nothing(play: Play, told: float | None) -> None:
    async def go() -> int:
        pace = TokenPace(told)
        pace.named(TPM, 0)
        await believed(pace)
        for _ in range(20):
            await asyncio.sleep(RAISE_SECONDS)
            pace.looks_beyond()
        return await sent_in(pace, 60.0)

    assert play(go()) == pytest.approx(60 * 2 * RATE / 200 if told else 6000, rel=0.1)


def test_a_limit_that_is_named_again_is_back_at_once(play: Play) -> None:
    async def go() -> int:
        pace = TokenPace(None)
        pace.named(TPM, 0)
        await believed(pace)
        await sent_in(pace, 2 * RAISE_SECONDS)
        assert pace.named(TPM, 200)
        return await sent_in(pace, 60.0)

    assert play(go()) == pytest.approx(60 * RATE / 200, rel=0.1)


def test_a_request_charged_before_a_named_limit_was_forgotten_is_settled_all_the_same(play: Play) -> None:
    async def go() -> int:
        pace = TokenPace(None)
        pace.named(TPM, 0)
        charge = pace.charge(ASKED)
        await believed(pace)
        for _ in range(20):
            await asyncio.sleep(RAISE_SECONDS)
            pace.looks_beyond()
        assert pace.charge(ASKED) is None
        pace.ended(charge, ANSWER)
        assert pace.ledger is not None
        return pace.ledger._uses._in_flight

    assert play(go()) == 0


@pytest.mark.parametrize(("told", "per_second"), [(None, RATE), (2 * TPM, RATE), (TPM / 2, RATE / 2)])
def test_what_an_earlier_run_was_told_is_counted_from_the_start_if_it_is_tighter(
    play: Play, told: float | None, per_second: float
) -> None:
    async def go() -> int:
        pace = TokenPace(told)
        pace.begin_at(TPM, age=3600.0)
        return await sent_in(pace, 60.0)

    assert play(go()) == pytest.approx(60 * per_second / 200, rel=0.1)


def test_a_named_limit_is_known_as_long_as_it_is_believed(play: Play) -> None:
    async def go() -> list[Learned | None]:
        pace = TokenPace(None)
        known = [pace.learned(9)]
        pace.begin_at(TPM, age=3600.0)
        known.append(pace.learned(9))
        await believed(pace)
        return [*known, pace.learned(9)]

    assert play(go()) == [None, Learned("tokens", RATE, 9, age=3600.0), None]
