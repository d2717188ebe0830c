from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_runner.nightly.nights import Night
from batch_runner.zones import zone_named
from tests.test_zones import BERLIN, any_moment, any_time, any_zone

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

NOON = time(12)


@pytest.mark.parametrize(
    ("now", "day_starts", "day"),
    [
        pytest.param("2026-11-24T22:00+01:00", NOON, "2026-11-24", id="in the evening"),
        pytest.param("2026-11-25T00:30+01:00", NOON, "2026-11-24", id="after midnight"),
        pytest.param("2026-11-25T11:59+01:00", NOON, "2026-11-24", id="in the morning"),
        pytest.param("2026-11-25T12:00+01:00", NOON, "2026-11-25", id="at noon"),
        pytest.param("2026-11-25T00:30+01:00", time(0), "2026-11-25", id="by the calendar"),
        pytest.param("2026-11-24T23:30+00:00", time(0), "2026-11-25", id="the zone's date, not UTC's"),
        pytest.param("2026-03-29T03:30+02:00", NOON, "2026-03-28", id="the short night"),
        pytest.param("2026-10-25T02:30+01:00", NOON, "2026-10-24", id="the long night"),
        pytest.param("2026-03-29T03:00+02:00", time(2, 30), "2026-03-29", id="begun in the hour that is skipped"),
        pytest.param("2026-10-25T02:45+02:00", time(2, 30), "2026-10-25", id="begun in the hour that is doubled"),
        pytest.param("2026-10-25T02:15+01:00", time(2, 30), "2026-10-25", id="and still the same when it comes again"),
    ],
)
def test_a_night_keeps_its_date_until_the_next_one_starts(now: str, day_starts: time, day: str) -> None:
    assert Night.at(datetime.fromisoformat(now).timestamp(), BERLIN, day_starts).day.isoformat() == day


def test_a_night_of_a_date_begins_where_the_one_at_that_moment_does() -> None:
    night = Night.on(date(2026, 10, 24), BERLIN, NOON)

    assert night == Night.at(night.begins, BERLIN, NOON)
    assert night.begins == datetime.fromisoformat("2026-10-24T12:00+02:00").timestamp()


@given(now=any_moment, day_starts=any_time, zone=any_zone)
def test_every_moment_lies_in_its_night(now: float, day_starts: time, zone: ZoneInfo) -> None:
    night = Night.at(now, zone, day_starts)

    assert night.begins <= now < Night.on(night.day + timedelta(days=1), zone, day_starts).begins or _left_out(night, zone)


@given(now=any_moment, seconds=st.floats(0, 200_000), day_starts=any_time, zone=any_zone)
def test_dates_of_nights_never_go_back(now: float, seconds: float, day_starts: time, zone: ZoneInfo) -> None:
    assert Night.at(now, zone, day_starts).day <= Night.at(now + seconds, zone, day_starts).day


def _left_out(night: Night, zone: ZoneInfo) -> bool:
    """Samoa had no 30 December 2011: that night and the next begin together."""
    return zone == zone_named("Pacific/Apia") and night.day in {date(2011, 12, 29), date(2011, 12, 30), date(2011, 12, 31)}
