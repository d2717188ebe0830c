from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.admission.tokens import (
    DEPTH_SECONDS,
    FIRST_PAUSE,
    FIRST_USES,
    LEAST_SHARE,
    MOST_PAUSE,
    RETEST_SECONDS,
    SHARE,
    SILENCE_SECONDS,
    STAND_BACK_SECONDS,
    Book,
    Charge,
    TokenLedger,
)
from batch_runner.records import Tokens, Usage

Play = Callable[[Coroutine[Any, Any, Any]], Any]

RATE = 100.0
"""Tokens a second."""

ASKED = Tokens(100, 900)


def used(prompt: int, completion: int) -> Usage:
    return Usage(prompt, 0, completion, 0, prompt + completion)


class Bench:
    """A ledger and a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ledger = TokenLedger(60 * RATE, lambda: self.now)

    def send(self, expected: Tokens = ASKED) -> Charge:
        """Wait as long as the ledger says, and send."""
        while (wait := self.ledger.wait()) > 0:
            self.now += wait
        return self.ledger.charge(expected)

    def learn(self, usage: Usage, *, seconds: float = 10.0) -> None:
        """As many answers as make a mean worth trusting."""
        for _ in range(FIRST_USES):
            charge = self.send()
            self.now += seconds
            self.ledger.answered(charge, usage)

    def strike(self) -> None:
        """A refusal after something had been let in."""
        self.send()
        self.now += 2 * SILENCE_SECONDS
        self.ledger.refused(self.send())


@pytest.fixture
def bench() -> Bench:
    return Bench()


# what a request costs


def test_the_first_request_goes_at_once_and_the_next_when_it_is_paid(bench: Bench) -> None:
    bench.send()

    assert bench.ledger.wait() == pytest.approx(1000 / (SHARE * RATE))


def test_until_ten_answers_have_come_the_cap_is_charged(bench: Bench) -> None:
    amounts = []
    for _ in range(FIRST_USES + 1):
        charge = bench.send()
        amounts.append(charge.amount)
        bench.ledger.answered(charge, used(100, 50))

    assert amounts[:FIRST_USES] == [1000] * FIRST_USES
    assert amounts[FIRST_USES] == pytest.approx(150)


def test_then_the_mean_of_what_answers_used_is(bench: Bench) -> None:
    bench.learn(used(100, 300))

    assert bench.send().amount == pytest.approx(100 + 300)


def test_never_more_than_the_cap_of_a_request_is_charged(bench: Bench) -> None:
    bench.learn(used(100, 300))

    assert bench.send(Tokens(100, 20)).amount == pytest.approx(120)


def test_answers_still_on_their_way_count_with_what_they_must_have_made_by_now(bench: Bench) -> None:
    slow = [bench.send() for _ in range(10)]
    bench.learn(used(100, 100), seconds=10.0)
    bench.now += 1000

    assert bench.send().amount > 100 + 500
    assert len(slow) == 10


def test_a_service_that_counts_prompts_otherwise_is_believed(bench: Bench) -> None:
    bench.learn(used(200, 100))

    assert bench.send(Tokens(50, 900)).amount == pytest.approx(2 * 50 + 100)


# how a charge is settled


def test_what_was_not_used_is_given_back(bench: Bench) -> None:
    charge = bench.send()

    bench.ledger.answered(charge, used(100, 100))

    assert bench.ledger.wait() == pytest.approx(200 / (SHARE * RATE))


def test_what_was_used_beyond_the_charge_is_paid_too(bench: Bench) -> None:
    bench.learn(used(100, 100))
    charge = bench.send()

    bench.ledger.answered(charge, used(100, 5000))

    assert bench.ledger.wait() > 4000 / RATE


def test_a_request_that_failed_costs_nothing(bench: Bench) -> None:
    bench.ledger.failed(bench.send())

    assert bench.ledger.wait() == 0


def test_a_request_whose_end_nobody_knows_costs_what_was_charged(bench: Bench) -> None:
    bench.ledger.lost(bench.send())

    assert bench.ledger.wait() == pytest.approx(1000 / (SHARE * RATE))


@pytest.mark.parametrize("usage", [None, Usage(None, None, None, None, None)], ids=["none", "nothing in it"])
def test_an_answer_that_does_not_tell_what_it_used_costs_what_was_charged(bench: Bench, usage: Usage | None) -> None:
    bench.ledger.answered(bench.send(), usage)

    assert bench.ledger.wait() == pytest.approx(1000 / (SHARE * RATE))


def test_no_more_than_a_second_is_saved_up(bench: Bench) -> None:
    bench.ledger.failed(bench.send())
    bench.now += 3600

    sent = 0
    while bench.ledger.wait() == 0:
        bench.ledger.charge(Tokens(10, 0))
        sent += 1

    assert sent == DEPTH_SECONDS * RATE / 10 + 1


def test_a_request_larger_than_all_that_can_be_saved_up_goes_and_what_comes_after_it_waits(bench: Bench) -> None:
    bench.send(Tokens(50_000, 50_000))

    assert bench.now == 0
    assert bench.ledger.wait() == pytest.approx(100_000 / (SHARE * RATE))


# what a refusal does


def test_after_a_refusal_one_request_looks_alone_whether_tokens_are_let_in_again(bench: Bench) -> None:
    bench.ledger.refused(bench.send())

    pause = bench.ledger.wait()
    bench.now += pause
    probe = bench.ledger.charge(ASKED)

    assert pause == pytest.approx(FIRST_PAUSE)
    assert bench.ledger.wait() == pytest.approx(SILENCE_SECONDS)
    assert probe.number == 1


def test_a_probe_that_is_refused_doubles_the_pause_up_to_eight_seconds(bench: Bench) -> None:
    pauses = []
    for _ in range(7):
        bench.ledger.refused(bench.send())
        pauses.append(bench.ledger.wait())

    assert pauses == pytest.approx([0.5, 1, 2, 4, 8, 8, 8])
    assert max(pauses) <= MOST_PAUSE


def test_refusals_of_requests_sent_together_are_one(bench: Bench) -> None:
    bench.now = 10.0
    together = [bench.ledger.charge(ASKED) for _ in range(10)]
    bench.now += 0.1

    for charge in together:
        bench.ledger.refused(charge)

    assert bench.ledger.book is Book.USE
    assert bench.ledger.wait() == pytest.approx(FIRST_PAUSE)


def test_a_refusal_stands_back_three_seconds_worth(bench: Bench) -> None:
    bench.ledger.refused(bench.send(Tokens(0, 0)))
    bench.now += FIRST_PAUSE
    bench.ledger.charge(Tokens(0, 0))
    bench.now += SILENCE_SECONDS

    assert bench.ledger.wait() == pytest.approx(STAND_BACK_SECONDS / SHARE - FIRST_PAUSE - SILENCE_SECONDS)


# the ladder of books


def test_one_refusal_is_bad_luck_and_two_are_the_books_fault(bench: Bench) -> None:
    bench.strike()
    once = bench.ledger.book
    bench.strike()

    assert (once, bench.ledger.book) == (Book.USE, Book.SETTLE)


def test_refusals_far_apart_are_bad_luck(bench: Bench) -> None:
    for _ in range(5):
        bench.strike()
        bench.now += 100.0

    assert bench.ledger.book is Book.USE


def test_a_service_that_refuses_every_book_is_believed_to_have_a_smaller_limit_and_not_below_half(bench: Bench) -> None:
    for _ in range(200):
        bench.strike()
        if bench.ledger._share < 1.0:
            break
    assert bench.ledger.book is Book.RESERVE

    for _ in range(200):
        bench.strike()

    assert bench.ledger._share == LEAST_SHARE


def test_in_the_strictest_book_nothing_is_given_back(bench: Bench) -> None:
    while bench.ledger.book is not Book.RESERVE:
        bench.strike()
    charge = bench.send()
    before = bench.ledger.wait()

    bench.ledger.answered(charge, used(100, 10))

    assert bench.ledger.wait() == pytest.approx(before)


def test_a_more_trusting_book_is_tried_again_later_and_left_after_one_refusal(bench: Bench) -> None:
    bench.strike()
    bench.strike()
    assert bench.ledger.book is Book.SETTLE

    bench.now += RETEST_SECONDS
    bench.send()
    again = bench.ledger.book
    bench.strike()
    left = bench.ledger.book
    bench.now += 1.5 * RETEST_SECONDS
    bench.send()

    assert (again, left, bench.ledger.book) == (Book.USE, Book.SETTLE, Book.SETTLE)


# laws

events = st.lists(
    st.tuples(
        st.sampled_from(["send", "answered", "failed", "lost", "refused", "wait"]),
        st.integers(0, 20),
        st.integers(0, 200_000),
        st.floats(0, 700),
    ),
    max_size=60,
)


@given(events=events)
@settings(max_examples=150, deadline=None)
def test_whatever_happens_waits_end_and_charges_are_settled(events: list[tuple[str, int, int, float]]) -> None:
    bench = Bench()
    ledger, flying = bench.ledger, list[Charge]()
    most_debt, most_credit = STAND_BACK_SECONDS * RATE, DEPTH_SECONDS * RATE
    for what, which, size, seconds in events:
        bench.now += seconds
        if what == "send":
            charge = bench.send(Tokens(size // 3, size))
            most_debt += charge.amount
            flying.append(charge)
        elif what == "wait" or not flying:
            pass
        else:
            charge = flying.pop(which % len(flying))
            most_credit += charge.amount
            if what == "answered":
                most_debt += size
                ledger.answered(charge, used(size // 2, size // 2))
            else:
                getattr(ledger, what)(charge)
                most_debt += STAND_BACK_SECONDS * RATE
        balance = ledger._balance
        assert balance <= most_credit + 1e-6
        assert balance >= -most_debt - 1e-6
        assert 0 <= ledger.wait() <= MOST_PAUSE + most_debt / (SHARE * LEAST_SHARE * RATE)
    assert ledger._uses._in_flight == len(flying)


@given(
    sizes=st.lists(st.integers(1, 5000), min_size=2, max_size=60),
    shares=st.lists(st.floats(0.01, 1), min_size=60, max_size=60),
)
@settings(max_examples=60, deadline=None)
def test_what_is_used_never_runs_ahead_of_the_limit(sizes: list[int], shares: list[float]) -> None:
    bench, spent = Bench(), 0.0
    for size, share in zip(sizes, shares, strict=False):
        charge = bench.send(Tokens(0, size))
        assert spent <= RATE * (bench.now + DEPTH_SECONDS) + 1e-6
        spent += round(size * share)
        bench.ledger.answered(charge, used(0, round(size * share)))


def test_a_limit_that_a_refusal_names_is_counted_from_then_on() -> None:
    bench = Bench()
    charge = bench.send()

    bench.ledger.change(60 * RATE / 2)
    bench.ledger.refused(charge)

    assert bench.ledger.book is Book.USE
    assert bench.ledger.wait() == FIRST_PAUSE
    bench.now += FIRST_PAUSE
    bench.ledger.charge(ASKED)
    bench.now += SILENCE_SECONDS
    assert bench.ledger.wait() == pytest.approx(
        (1000 + STAND_BACK_SECONDS * RATE / 2) / (SHARE * RATE / 2) - FIRST_PAUSE - SILENCE_SECONDS, rel=0.02
    )


def test_what_answers_usually_use_is_charged_before_the_first_one() -> None:
    ledger = TokenLedger(60 * RATE, lambda: 0.0, usual=300.0)

    assert ledger.charge(ASKED).amount == pytest.approx(300)
