"""When faults happen: by row, attempt, luck, number, time, key, or in the order they are listed."""

import aiohttp
import pytest
from aiohttp import ClientSession

from batch_runner.fake_server import Canned, Cut, FakeGateway, Fault, Html, RateLimit, Scenario, Status
from batch_runner.fake_server.dice import Dice
from batch_runner.fake_server.faults.fault import Moment
from batch_runner.fake_server.faults.plan import FaultPlan
from tests.fake_server.asking import ask, attempts, totals

TEAPOT = Status(418, "teapot")


def plan(*faults: Fault, seed: int = 0) -> FaultPlan:
    return FaultPlan(faults, Dice(seed))


def moment(*, seconds: float = 0, request: int = 1, row: str = "row", prompt: str = "hello", attempt: int = 1) -> Moment:
    return Moment(seconds=seconds, request=request, authorization="Bearer sk-a", row=row, prompt=prompt, attempt=attempt)


def test_a_fault_without_conditions_always_happens() -> None:
    assert plan(Fault(TEAPOT)).within(moment()) is not None


@pytest.mark.parametrize(
    ("fault", "inside", "outside"),
    [
        pytest.param(Fault(TEAPOT, prompt="ell"), moment(), moment(prompt="other"), id="row"),
        pytest.param(Fault(TEAPOT, attempts=(1, 3)), moment(attempt=3), moment(attempt=2), id="attempt"),
        pytest.param(Fault(TEAPOT, first_request=5), moment(request=5), moment(request=4), id="from a request on"),
        pytest.param(Fault(TEAPOT, last_request=5), moment(request=5), moment(request=6), id="up to a request"),
        pytest.param(Fault(TEAPOT, after=10, until=20), moment(seconds=10), moment(seconds=20), id="time"),
        pytest.param(Fault(TEAPOT, authorization="sk-a"), moment(), Moment(seconds=0, request=1), id="key"),
    ],
)
def test_a_fault_happens_only_under_its_conditions(fault: Fault, inside: Moment, outside: Moment) -> None:
    assert plan(fault).within(inside) is fault
    assert plan(fault).within(outside) is None


def test_the_first_fault_that_fits_is_played() -> None:
    first, second = Fault(TEAPOT, prompt="hello"), Fault(Cut())

    assert plan(first, second).within(moment()) is first
    assert plan(first, second).within(moment(prompt="other")) is second


def test_faults_played_once_each_are_played_in_order() -> None:
    faults = [Fault(TEAPOT, times=1), Fault(Cut(), times=2), Fault(Html(), times=1)]
    playing = plan(*faults)

    assert [playing.within(moment()) for _ in range(5)] == [faults[0], faults[1], faults[1], faults[2], None]


def test_luck_strikes_the_same_rows_in_whatever_order_they_come() -> None:
    rows = [moment(row=str(row)) for row in range(1000)]
    forward, backward = plan(Fault(TEAPOT, probability=0.2)), plan(Fault(TEAPOT, probability=0.2))

    struck = [row.row for row in rows if forward.within(row)]

    assert sorted(row.row for row in reversed(rows) if backward.within(row)) == sorted(struck)
    assert len(struck) == pytest.approx(200, abs=45)


def test_luck_is_another_for_another_attempt_or_seed() -> None:
    fault = Fault(TEAPOT, probability=0.5)

    def struck(seed: int, attempt: int) -> list[bool]:
        return [plan(fault, seed=seed).within(moment(row=str(row), attempt=attempt)) is not None for row in range(50)]

    assert struck(0, 1) != struck(0, 2)
    assert struck(0, 1) != struck(1, 1)


async def test_a_limit_spends_no_attempt(session: ClientSession) -> None:
    scenario = Scenario(limits=(RateLimit("requests", 60_000, burst=1),), faults=(Fault(TEAPOT, attempts=(2,)),))
    async with FakeGateway(scenario) as gateway:
        told: list[int] = []
        while 418 not in told and len(told) < 100:
            async with session.post(
                f"{gateway.url}/chat/completions",
                json={"model": "o1-mini", "messages": [{"role": "user", "content": "hello"}]},
            ) as response:
                told.append(response.status)

    assert [status for status in told if status != 429] == [200, 418]


async def test_an_outage_is_met_before_anything_else(session: ClientSession) -> None:
    down = Fault(Canned("overloaded"), at_door=True, first_request=2, last_request=3)
    async with FakeGateway(Scenario(faults=(down,))) as gateway:
        statuses = [(await ask(session, gateway, max_tokens=1)).status for _ in range(4)]

    assert statuses == [400, 503, 503, 400]
    assert totals(gateway)["outcomes"] == {"invalid": 2, "overloaded": 2}


async def test_a_key_may_be_revoked_in_the_middle(session: ClientSession) -> None:
    revoked = Fault(Canned("invalid_api_key"), at_door=True, first_request=3, authorization="sk-test")
    async with FakeGateway(Scenario(faults=(revoked,))) as gateway:
        statuses = [(await ask(session, gateway)).status for _ in range(4)]

    assert statuses == [200, 200, 401, 401]


async def test_a_proxys_timeout_may_be_billed(session: ClientSession) -> None:
    async with (
        FakeGateway(Scenario(faults=(Fault(Html(524, "A timeout occurred"), billed=True),))) as gateway,
        session.post(
            f"{gateway.url}/chat/completions",
            json={"model": "o1-mini", "messages": [{"role": "user", "content": "hello"}]},
        ) as response,
    ):
        assert response.status == 524
        assert "x-request-id" not in response.headers

    (attempt,) = attempts(gateway)
    assert attempt["billed"]["total_tokens"] > 0
    assert not attempt["delivered"]


async def test_a_cut_may_be_free(session: ClientSession) -> None:
    async with FakeGateway(Scenario(faults=(Fault(Cut(), billed=False),))) as gateway:
        with pytest.raises(aiohttp.ClientError):
            await ask(session, gateway)

    assert totals(gateway)["billed"]["total_tokens"] == 0


async def test_an_outage_may_cut_every_connection_for_free(session: ClientSession) -> None:
    async with FakeGateway(Scenario(faults=(Fault(Cut(), at_door=True),))) as gateway:
        with pytest.raises(aiohttp.ClientError):
            await ask(session, gateway)

    assert totals(gateway)["outcomes"] == {"cut": 1}
    assert totals(gateway)["billed"]["total_tokens"] == 0
