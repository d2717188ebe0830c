"""The cap is never passed: hundreds of random runs with 64 slots, in virtual time, by the books of a service that bills as it
likes within what was asked. Kills, lost answers and refusals included.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

import pytest

from batch_runner.admission import Budget, Cap, Ceiling, Exposure, LocalAdmission
from batch_runner.failures import Failure, FailureKind, Scope
from batch_runner.leaving import WaitEndedError, Waits
from batch_runner.pricing import Price, Prices, Rates
from batch_runner.records import Bill, ChatRequest, Completion, Status, Tokens, Usage
from batch_runner.settings import read_settings
from batch_runner.spending import caps_of
from batch_runner.totals import Totals
from benchmarks.virtual_time import play

RUNS = 250
SLOTS = 64
ROWS = 70
PRICES = Prices({"o1": Price(Rates(Decimal(15), Decimal("7.5"), Decimal(60)), listed=False)})


@dataclass
class Service:
    """Answers, loses and refuses at random, and bills what it likes within what a request may use."""

    luck: Random
    trouble: float
    billed: dict[str, int] = field(default_factory=lambda: {"prompt": 0, "completion": 0})

    @property
    def usd(self) -> Decimal:
        return (self.billed["prompt"] * Decimal(15) + self.billed["completion"] * Decimal(60)) / 1_000_000

    @property
    def tokens(self) -> int:
        return sum(self.billed.values())

    async def answer(self, request: ChatRequest) -> Completion | Failure:
        await asyncio.sleep(self.luck.expovariate(1.0))
        usage = self._usage(request)
        fate = self.luck.random()
        if fate > self.trouble:
            self._bill(usage)
            return Completion(Status.OK, "", "stop", "o1", usage if fate < 0.97 else None, "", 200)
        if fate < self.trouble / 3:
            return Failure(FailureKind.SERVER_ERROR, Scope.ROW, "")
        self._bill(usage)
        if fate < self.trouble / 2:
            return Failure(FailureKind.SERVER_ERROR, Scope.ROW, "", usage=usage)
        return Failure(FailureKind.TIMEOUT, Scope.ROW, "")

    def _usage(self, request: ChatRequest) -> Usage:
        prompt = self.luck.randint(1, request.worst.prompt)
        completion = self.luck.choice([request.worst.completion, self.luck.randint(0, request.worst.completion)])
        return Usage(prompt, 0, completion, 0, prompt + completion)

    def _bill(self, usage: Usage) -> None:
        self.billed["prompt"] += usage.prompt_tokens or 0
        self.billed["completion"] += usage.completion_tokens or 0


def a_row(luck: Random, most: int) -> ChatRequest:
    worst = Tokens(luck.randint(1, most), luck.randint(1, most))
    return ChatRequest("a", "o1", worst.completion, b"{}", "v1:ab", expected=worst, worst=worst)


async def a_run(cap: Cap, service: Service, rows: list[ChatRequest], *, seconds: float) -> bool:
    """Send `rows`, up to three attempts each, and be killed after so many seconds; whether the cap was reached."""
    waits, reached = Waits(), list[Cap]()

    def stop(full: Cap, _request: ChatRequest) -> None:
        reached.append(full)
        waits.end()

    async def no_disk(_ceiling: Ceiling) -> None:
        """Write the ceiling nowhere."""

    admission = LocalAdmission(
        concurrency=SLOTS,
        rpm=6_000_000,
        tpm=None,
        budget=Budget([cap], stop),
        exposure=Exposure(Ceiling(), no_disk),
        waits=waits,
        max_attempts=3,
        random=service.luck.random,
    )

    async def send(row: ChatRequest) -> None:
        with suppress(WaitEndedError):
            for _ in range(3):
                async with admission.slot(row) as slot:
                    verdict = await service.answer(row)
                    slot.ended(verdict)
                if isinstance(verdict, Completion):
                    return

    tasks = [asyncio.create_task(send(row)) for row in rows]
    await asyncio.wait(tasks, timeout=seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return bool(reached)


def cap_of(kind: str, limit: int) -> Cap:
    money = {"max_cost": f"{limit / 25_000:.6f}"} if kind == "cost" else {"max_total_tokens": limit}
    (cap,) = caps_of(read_settings(money).money, PRICES, Totals(), {"o1": False})
    return cap


@pytest.mark.parametrize("kind", ["tokens", "cost"])
def test_no_run_passes_its_cap_whatever_happens(kind: str) -> None:
    reached = 0
    for seed in range(RUNS // 2):
        luck = Random(seed)  # noqa: S311 - luck, no secret
        service = Service(luck, trouble=luck.choice([0.0, 0.2, 0.6]))
        cap = cap_of(kind, luck.randint(10, 20_000))
        for _ in range(luck.randint(1, 3)):  # killed, and gone on with
            rows = [a_row(luck, luck.choice([10, 500])) for _ in range(ROWS)]
            reached += play(a_run(cap, service, rows, seconds=luck.choice([0.5, 3.0, 1000.0])))
            billed = service.usd if kind == "cost" else Decimal(service.tokens)
            assert billed <= cap.used <= cap.limit, seed
            assert cap.reserved == 0

    assert reached > RUNS / 10, "most of these runs should end at their cap"


@pytest.mark.parametrize("seed", range(20))
def test_nearly_all_of_a_cap_is_used_where_rows_are_small_beside_it(seed: int) -> None:
    luck = Random(seed)  # noqa: S311 - luck, no secret
    service = Service(luck, trouble=0.0)
    cap = cap_of("tokens", 20_000)

    assert play(a_run(cap, service, [a_row(luck, 200) for _ in range(400)], seconds=10_000.0))

    assert 0.95 * 20_000 <= cap.used <= 20_000


def test_what_earlier_runs_came_to_counts_at_its_worst() -> None:
    before = Totals()
    before.bill("o1", Bill(Usage(1_000, 0, 500, 0, 1_500), Usage(10, 0, 20, 0, 30)))
    before.unclosed = Usage(100, 0, 200, 0, 300)
    settings = read_settings({"max_cost": 1, "max_total_tokens": 9_999}).money

    by_tokens, by_cost = caps_of(settings, PRICES, before, {"o1": False})

    assert by_tokens.used == 1_500 + 30 + 300
    assert by_cost.used == (Decimal(1_110) * 15 + Decimal(720) * 60) / 1_000_000
