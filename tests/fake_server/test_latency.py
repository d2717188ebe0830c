"""How long answers take: spreads by their luck, and a shared processor against sequences worked out by hand."""

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_runner.fake_server import Fixed, Latency, LogNormal, Uniform
from batch_runner.fake_server.dice import Dice, as_luck
from batch_runner.fake_server.latency import SharedProcessor, SharedTime


def test_a_uniform_spread_goes_from_its_low_to_its_high() -> None:
    assert [Uniform(2, 4).at(luck) for luck in (0, 0.5, 1)] == [2, 3, 4]


def test_half_of_a_lognormal_spread_lies_below_its_median() -> None:
    assert LogNormal(10, sigma=0.8).at(0.5) == pytest.approx(10)


def test_the_unluckiest_meet_the_tail() -> None:
    spread = LogNormal(10, sigma=0, tail_share=0.01, tail_factor=6)

    assert spread.at(0.98) == pytest.approx(10)
    assert spread.at(0.995) == pytest.approx(60)


def test_nothing_is_above_the_most() -> None:
    assert LogNormal(10, sigma=2, most=30).at(1 - 1e-12) == 30


@given(st.integers(0, 2**64 - 1))
def test_luck_is_never_quite_0_or_1(number: int) -> None:
    assert 0 < as_luck(number) < 1
    assert math.isfinite(LogNormal(1).at(as_luck(number)))


def test_luck_depends_on_seed_topic_and_row_alone() -> None:
    assert Dice(1).luck("a", "row") == Dice(1).luck("a", "row")
    assert len({Dice(seed).luck(topic, row) for seed in (1, 2) for topic in "ab" for row in "xy"}) == 8


def test_work_grows_with_the_tokens() -> None:
    assert Latency(seconds=Fixed(1), per_token=0.01).work(0.5, 200) == pytest.approx(3)


def test_with_a_place_for_each_everybody_works_at_full_speed() -> None:
    processor = SharedTime(places=2)
    first, second = processor.enter(0, 10), processor.enter(4, 10)

    assert processor.ended(9.9) == []
    assert processor.ended(10) == [first]
    assert processor.ended(14) == [second]


def test_twice_as_many_as_places_work_at_half_the_speed() -> None:
    processor = SharedTime(places=1)
    jobs = [processor.enter(0, 10), processor.enter(0, 10)]

    assert processor.next_end(0) == pytest.approx(20)
    assert processor.ended(19.9) == []
    assert processor.ended(20.1) == jobs


def test_whoever_comes_later_slows_down_the_rest_of_the_work_only() -> None:
    processor = SharedTime(places=1)
    first = processor.enter(0, 10)
    second = processor.enter(5, 10)

    # The first has 5 left, shared: done at 15. By then the second has done 5 too, and finishes alone at 20.
    assert processor.ended(14.9) == []
    assert processor.ended(15.1) == [first]
    assert processor.ended(19.9) == []
    assert processor.ended(20.1) == [second]


def test_several_ends_are_found_in_one_look() -> None:
    processor = SharedTime(places=1)
    jobs = [processor.enter(0, work) for work in (1, 2, 3)]

    assert processor.ended(100) == jobs
    assert processor.next_end(100) == math.inf


async def test_a_shared_processor_lets_each_job_go_when_it_is_done() -> None:
    processor = SharedProcessor(1)
    ended: list[str] = []

    async def work(name: str, seconds: float) -> None:
        await processor.work(seconds)
        ended.append(name)

    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.gather(work("long", 0.02), work("short", 0.01))

    assert ended == ["short", "long"]
    assert loop.time() - began >= 0.029
