"""The books of limits against arithmetic truth: known arrivals, known limits, and what must come out."""

import pytest

from batch_runner.fake_server.dice import Dice
from batch_runner.fake_server.limits.accounts import Demand
from batch_runner.fake_server.limits.gate import Demanded, Gate, Pass, Refusal
from batch_runner.fake_server.limits.values import Change, ConcurrencyLimit, Limit, RateLimit

ONE = Demanded(prompt_tokens=100, cap=900)


class Service:
    """A gate, and the demand at it, as the gateway ties them together."""

    def __init__(self, *limits: Limit) -> None:
        self.gate = Gate(limits, Dice())
        self.demand = Demand()
        self.open = 0

    def arrive(self, now: float, wanted: Demanded = ONE) -> Pass | Refusal:
        """A request comes."""
        goes_on = self.demand.arrive(now, others_open=self.open > 0)
        for account in self.gate.accounts:
            account.arrive(now, goes_on=goes_on)
        leave = self.gate.admit(wanted, now)
        self.open += isinstance(leave, Pass)
        return leave

    def finish(self, leave: Pass | Refusal, now: float, used: float = 0) -> None:
        """An answer is done."""
        assert isinstance(leave, Pass)
        self.gate.settle(leave, used, now)
        self.gate.leave(now)
        self.open -= 1
        self.demand.leave(now)

    def ask(self, now: float, used: float = 0) -> Pass | Refusal:
        """A request comes and, if it passes, is answered at once."""
        leave = self.arrive(now)
        if isinstance(leave, Pass):
            self.finish(leave, now, used)
        return leave

    def account(self, place: int = 0) -> dict[str, object]:
        """What the books say of a limit."""
        return self.gate.accounts[place].as_json()


def test_requests_at_exactly_the_limits_pace_use_all_of_it() -> None:
    service = Service(RateLimit("requests", 60, burst=1))

    for second in range(101):
        assert isinstance(service.ask(second), Pass)

    assert service.account()["granted"] == pytest.approx(100)
    assert service.account()["used_share"] == pytest.approx(1.0)


def test_requests_at_half_the_pace_use_half_of_it() -> None:
    service = Service(RateLimit("requests", 60))

    for second in range(0, 101, 2):
        service.ask(second)

    assert service.account()["used_share"] == pytest.approx(0.5)


def test_refused_requests_use_nothing() -> None:
    service = Service(RateLimit("requests", 60, burst=1))

    outcomes = [service.ask(quarter / 4) for quarter in range(41)]

    assert sum(isinstance(outcome, Refusal) for outcome in outcomes) == 30
    assert service.account()["refused"] == 30
    assert service.account()["used_share"] == pytest.approx(1.0)
    assert service.account()["worst_second"] == pytest.approx(4.0)


def test_a_full_bucket_spent_at_once_shows_as_more_than_all() -> None:
    service = Service(RateLimit("requests", 60))

    for second in [0] * 60 + list(range(1, 61)):
        service.ask(second)

    assert service.account()["granted"] == pytest.approx(60)
    assert service.account()["used"] == pytest.approx(119)


def test_a_changed_limit_is_granted_as_it_was_at_each_time() -> None:
    service = Service(RateLimit("requests", 60, changes=(Change(50, 120),)))

    for second in range(101):
        service.ask(second)

    assert service.account()["granted"] == pytest.approx(50 + 100)


def test_a_long_silence_is_no_demand() -> None:
    service = Service(RateLimit("requests", 60))

    for second in (0, 1, 2, 100, 101, 102):
        service.ask(second)

    assert service.account()["granted"] == pytest.approx(4)
    assert service.account()["used_share"] == pytest.approx(1.0)


def test_a_long_wait_for_an_open_request_is_demand() -> None:
    service = Service(RateLimit("requests", 60))

    leave = service.arrive(0)
    service.ask(100)
    service.finish(leave, 101)

    assert service.account()["granted"] == pytest.approx(100)


def test_a_reservation_stays_used() -> None:
    service = Service(RateLimit("tokens", 60_000))

    service.ask(0, used=300)
    service.ask(10)

    assert service.account()["used"] == 1000


def test_a_refunded_reservation_leaves_what_was_used() -> None:
    service = Service(RateLimit("tokens", 60_000, counting="refund"))

    service.ask(0, used=300)
    service.arrive(10)

    assert service.account()["used"] == 300
    assert service.gate.quotas(10)[0].remaining == pytest.approx(59_000)


def test_tokens_counted_by_use_are_used_when_the_answer_is_there() -> None:
    service = Service(RateLimit("tokens", 1_000, counting="use"))

    first, second = service.arrive(0), service.arrive(0)
    service.finish(first, 1, used=900)
    service.finish(second, 1, used=900)

    assert isinstance(service.arrive(1), Refusal)
    assert isinstance(service.arrive(50), Pass)
    assert service.account()["used"] == 1800


def test_a_request_without_a_cap_reserves_what_the_limit_says() -> None:
    service = Service(RateLimit("tokens", 10_000, uncapped=5_000))

    service.arrive(0, Demanded(prompt_tokens=100, cap=None))

    assert service.gate.quotas(0)[0].remaining == 4_900


def test_a_request_larger_than_the_limit_is_hopeless() -> None:
    service = Service(RateLimit("tokens", 500))

    refusal = service.arrive(0)

    assert isinstance(refusal, Refusal)
    assert refusal.is_hopeless


def test_places_are_used_as_long_as_they_are_taken() -> None:
    service = Service(ConcurrencyLimit(2))

    first = service.arrive(0)
    second = service.arrive(5)
    assert isinstance(service.arrive(6), Refusal)
    service.finish(first, 10)
    service.finish(second, 10)
    service.arrive(20)

    assert service.account()["granted"] == pytest.approx(40)
    assert service.account()["used"] == pytest.approx(10 + 5)
    assert service.account()["refused"] == 1
    assert service.account()["worst_second"] == pytest.approx(1.5)


def test_all_limits_are_taken_or_none() -> None:
    service = Service(RateLimit("requests", 1), RateLimit("tokens", 100_000))

    service.ask(0)
    service.ask(0.1)

    assert service.gate.quotas(0.1)[1].remaining == pytest.approx(99_000 + 10_000 / 60)


def test_the_limit_that_keeps_out_longest_is_the_one_complained_of() -> None:
    slow, quick = RateLimit("requests", 1), RateLimit("requests", 60, burst=1)
    service = Service(quick, slow)
    service.ask(0)

    refusal = service.ask(0)

    assert isinstance(refusal, Refusal)
    assert refusal.limit == slow
    assert refusal.wait == pytest.approx(60)
