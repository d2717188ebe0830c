"""What a pilot foretells of the other rows, in money, tokens and time: held against how they really come out."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from batch_runner.pilot import FEW, Pilot, Prospect
from batch_runner.pricing import Price, Prices, Rates
from batch_runner.records import Attempt, Bill, PromptRow, Result, Status, Usage
from batch_runner.reporters.prospect import prospect_document, prospect_lines
from batch_runner.settings.groups import LimitSettings
from batch_runner.totals import Totals

AT = "2026-01-01T00:00:00.000Z"
PRICES = Prices({"o1-mini": Price(Rates(Decimal("1.10"), Decimal("0.55"), Decimal("4.40")), listed=False)}, source="mine.toml")
ROW = PromptRow("a", "in.jsonl:1", b"", {})
CAP = 2000
RUNS = 100
NO_LIMITS = LimitSettings(concurrency=16)


@dataclass(frozen=True)
class Answered:
    """How one row comes out."""

    visible: int
    reasoning: int
    seconds: float

    @property
    def usage(self) -> Usage:
        completion = min(CAP, self.visible + self.reasoning)
        return Usage(50, 0, completion, min(self.reasoning, completion), 50 + completion)

    @property
    def result(self) -> Result:
        status = Status.TRUNCATED if self.visible + self.reasoning > CAP else Status.OK
        attempts = (Attempt(AT, self.seconds, status),)
        return Result("a", status, "", "", AT, "r", model="o1-mini", usage=self.usage, bill=Bill(self.usage), attempts=attempts)


def some_answers(seed: int, count: int) -> list[Answered]:
    """As reasoning models answer: mostly short, a few long, some cut off at their cap."""
    luck = random.Random(seed)  # noqa: S311 - luck, no secret
    answers = []
    for _ in range(count):
        reasoning = round(luck.lognormvariate(6, 0.9))
        answers.append(Answered(luck.randrange(10, 200), reasoning, 0.5 + reasoning / 150 * luck.uniform(0.7, 1.4)))
    return answers


def prospect_of(answers: list[Answered], others: int, prices: Prices = PRICES, limits: LimitSettings = NO_LIMITS) -> Prospect:
    pilot, run = Pilot(prices), Totals(attempts=len(answers), wall_ms=60_000)
    for answer in answers:
        pilot.recorded(ROW, answer.result)
        run.bill("o1-mini", Bill(answer.usage))
    told = pilot.prospect(others, run, limits)
    assert told is not None
    return told


def seconds_with(slots: int, answers: list[Answered]) -> float:
    """How long answers take when each free slot takes the next row."""
    free = [0.0] * slots
    for answer in answers:
        heapq.heapreplace(free, free[0] + answer.seconds)
    return max(free)


def test_every_range_holds_the_truth_in_nine_of_ten_runs() -> None:
    held = dict.fromkeys(("usd", "tokens", "reasoning", "truncated", "seconds"), 0)
    for seed in range(RUNS):
        answers = some_answers(seed, 440)
        rest = answers[40:]
        told = prospect_of(answers[:40], len(rest))
        used = sum((answer.usage for answer in rest), Usage())
        truth = {
            "usd": float(PRICES.cost({"o1-mini": used}).usd),
            "tokens": used.total_tokens or 0,
            "reasoning": (used.reasoning_tokens or 0) / (used.completion_tokens or 1),
            "truncated": sum(answer.result.status is Status.TRUNCATED for answer in rest) / len(rest),
            "seconds": seconds_with(16, rest),
        }
        for name, value in truth.items():
            told_range = getattr(told, name)
            held[name] += told_range.low <= value <= told_range.high

    assert min(held.values()) >= 0.9 * RUNS, held


def test_limits_on_rates_make_it_longer() -> None:
    answers = some_answers(1, 40)

    paced = prospect_of(answers, 400, limits=LimitSettings(concurrency=16, rpm=20.0)).seconds
    counted = prospect_of(answers, 400, limits=LimitSettings(concurrency=16, tpm=1000.0)).seconds

    assert paced.about == pytest.approx(400 / 20 * 60)
    assert counted.about == pytest.approx(prospect_of(answers, 400).tokens.about / 1000 * 60)


def test_a_concurrency_that_is_found_out_may_grow() -> None:
    answers = some_answers(2, 40)
    work = sum(answer.seconds for answer in answers)

    told = prospect_of(answers, 400, limits=LimitSettings()).seconds

    assert told.about == pytest.approx(10 * work / (work / 60), rel=1e-6)
    assert told.low < told.about / 8


def test_a_service_that_asks_to_slow_down_sets_the_pace() -> None:
    slowed = Answered(10, 10, 0.1)
    pilot = Pilot(PRICES)
    for _ in range(30):
        result = slowed.result
        pilot.recorded(ROW, replace(result, attempts=(Attempt(AT, 0.1, "rate_limited", 3), *result.attempts)))

    told = pilot.prospect(60, Totals(attempts=120, wall_ms=90_000), NO_LIMITS)

    assert told is not None
    assert told.seconds.about == pytest.approx(180)
    assert told.seconds.high >= 1.4 * told.seconds.about


def test_what_earlier_runs_spent_on_the_rows_is_not_foretold() -> None:
    usage = Usage(50, 0, 450, 400, 500)
    pilot, run = Pilot(PRICES), Totals(attempts=2)
    for _ in range(2):
        result = Result("a", Status.OK, "", "", AT, "r", model="o1-mini", usage=usage, bill=Bill(usage + usage))
        pilot.recorded(ROW, result)
        run.bill("o1-mini", Bill(usage))

    told = pilot.prospect(10, run, LimitSettings())

    assert told is not None
    assert told.tokens.about == 10 * 500


def test_without_a_price_money_is_unknown_and_not_nothing() -> None:
    answers = [Answered(10, 10, 1.0)] * 3
    pilot, run = Pilot(Prices()), Totals(attempts=3)
    for answer in answers:
        pilot.recorded(ROW, replace(answer.result, model="mystery"))
        run.bill("mystery", Bill(answer.usage))
    told = pilot.prospect(9, run, LimitSettings())

    assert told is not None
    assert told.usd is None
    assert prospect_document(told, Prices())["usd"] is None
    assert "cost     unknown: no price of mystery, --prices FILE gives one" in list(prospect_lines(told, Prices()))


def test_what_lost_answers_may_cost_is_told_apart() -> None:
    answers = some_answers(3, 30)
    pilot, run = Pilot(PRICES), Totals(attempts=33)
    for answer in answers:
        pilot.recorded(ROW, answer.result)
        run.bill("o1-mini", Bill(answer.usage))
    run.bill("o1-mini", Bill(maybe_billed=Usage(0, 0, 1_000_000, 0, 1_000_000)))

    told = pilot.prospect(300, run, LimitSettings())

    assert told is not None
    assert any("up to $44.00 more for answers that never come" in line for line in prospect_lines(told, PRICES))


def test_a_person_reads_every_number_with_its_range() -> None:
    told = prospect_of(some_answers(4, 40), 400)
    lines = list(prospect_lines(told, PRICES))

    assert [line.split()[0] for line in lines] == ["pilot", "cost", "tokens", "cut", "time"]
    assert all(line.count(" to ") >= 1 for line in lines[1:])
    assert "(prices of mine.toml)" in lines[1]
    assert "reasoning is about" in lines[2]


def test_a_small_pilot_says_that_it_tells_little() -> None:
    lines = list(prospect_lines(prospect_of(some_answers(5, FEW - 1), 400), PRICES))

    assert "tells little" in lines[-1]


def test_a_program_reads_the_same() -> None:
    told = prospect_of(some_answers(6, 40), 400)
    document = prospect_document(told, PRICES)

    assert (document["rows"], document["others"], document["prices"]) == (40, 400, "prices of mine.toml")
    assert document["tokens"] == {"about": told.tokens.about, "low": told.tokens.low, "high": told.tokens.high}
    assert set(document) >= {"usd", "reasoning_share", "truncated_share", "seconds"}
