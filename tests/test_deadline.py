from __future__ import annotations

import asyncio
from datetime import datetime, time
from typing import TYPE_CHECKING

import pytest

from batch_runner.deadline import Deadline, leave_in_time
from batch_runner.exits import ExitStatus
from batch_runner.leaving import Leaving
from batch_runner.settings.groups import EndingSettings
from tests.test_zones import BERLIN

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = 3600.0


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def seconds_from(now: str, at: time = time(6, 30), **more: float) -> float:
    deadline = Deadline.of(EndingSettings(stop_at=at, **more), moment(now), 0.0, BERLIN)  # type: ignore[arg-type]
    assert deadline is not None
    return deadline.seconds_left(moment(now), 0.0)


def test_without_a_word_about_it_a_run_has_no_deadline() -> None:
    assert Deadline.of(EndingSettings(), 0.0, 0.0) is None


@pytest.mark.parametrize(
    ("now", "at", "hours"),
    [
        pytest.param("2026-11-24T22:00+01:00", time(6, 30), 8.5, id="an ordinary night"),
        pytest.param("2026-03-28T22:00+01:00", time(6, 30), 7.5, id="the short night"),
        pytest.param("2026-10-24T22:00+02:00", time(6, 30), 9.5, id="the long night"),
        pytest.param("2026-03-28T22:00+01:00", time(2, 30), 4, id="in the hour that is skipped: the first moment after"),
        pytest.param("2026-10-24T22:00+02:00", time(2, 30), 4.5, id="in the hour that is doubled: the first"),
        pytest.param("2026-11-25T06:40+01:00", time(6, 30), 23 + 5 / 6, id="just past"),
    ],
)
def test_a_run_stops_when_the_clocks_of_its_zone_say_so(now: str, at: time, hours: float) -> None:
    assert seconds_from(now, at) == pytest.approx(hours * HOUR)


def test_a_duration_is_taken_by_the_clock_that_nobody_sets() -> None:
    deadline = Deadline.of(EndingSettings(max_duration=HOUR), 1000.0, 50.0)

    assert deadline is not None
    assert deadline.seconds_left(1000.0 + 99 * HOUR, 50.0 + 60.0) == HOUR - 60


def test_of_two_deadlines_the_sooner_counts() -> None:
    assert seconds_from("2026-11-24T22:00+01:00", max_duration=HOUR) == HOUR
    assert seconds_from("2026-11-25T06:00+01:00", max_duration=HOUR) == HOUR / 2


@pytest.mark.parametrize(("duration", "reserve"), [(8 * HOUR, 300.0), (300.0, 150.0)])
def test_time_is_kept_for_the_drain_but_no_more_than_half_of_all(duration: float, reserve: float) -> None:
    deadline = Deadline.of(EndingSettings(max_duration=duration, drain_timeout=300.0), 0.0, 0.0)

    assert deadline is not None
    assert deadline.reserve == reserve


@pytest.mark.looptime
class TestLeaving:
    """With the loop's virtual clock as both clocks."""

    @staticmethod
    def watched(leaving: Leaving, deadline: Deadline) -> tuple[asyncio.Task[None], list[str], Callable[[], float]]:
        told: list[str] = []
        clock = asyncio.get_running_loop().time
        return asyncio.create_task(leave_in_time(leaving, deadline, clock, clock, told.append)), told, clock

    async def test_a_run_drains_before_its_deadline_and_hangs_up_at_it(self) -> None:
        leaving = Leaving(300.0)
        task, told, clock = self.watched(leaving, Deadline(1000.0, None, 300.0, "--stop-at 06:30"))

        await asyncio.sleep(699)
        before = leaving.draining
        await asyncio.sleep(2)
        draining, hung_up = leaving.draining, leaving.sends.ended
        await task

        assert (before, draining, hung_up) == (False, True, False)
        assert leaving.sends.ended
        assert clock() == pytest.approx(1000)
        assert leaving.causes[0] is ExitStatus.DEADLINE
        assert told == ["the time is up (--stop-at 06:30); the same command goes on with the rest"]

    async def test_a_run_on_its_way_out_keeps_its_reason(self) -> None:
        leaving = Leaving(300.0)
        leaving.reason = "a cap is reached"
        leaving.drain(ExitStatus.SPEND_CAP)

        task, told, _ = self.watched(leaving, Deadline(10.0, None, 0.0, "--stop-at 06:30"))
        await task

        assert leaving.reason == "a cap is reached"
        assert told == []

    async def test_a_clock_that_is_put_forward_ends_the_run_at_its_next_look(self) -> None:
        leaving = Leaving(0.1)
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(
            leave_in_time(
                leaving,
                Deadline(50_000.0, None, 0.0, ""),
                lambda: loop.time() + (0 if loop.time() < 100 else 60_000),
                loop.time,
                lambda _reason: None,
            )
        )

        await task

        assert 100 <= loop.time() <= 121
