from __future__ import annotations

import sys
import zoneinfo
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_runner import zones
from batch_runner.failures import CannotStart, UsageMistake
from batch_runner.zones import local_zone, moment_of, next_moment, zone_named

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
ODD_ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",  # changed its clocks at midnight
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Apia",  # left out a whole day
    "Asia/Kathmandu",
    "Africa/Casablanca",  # the other way round, for Ramadan
    "UTC",
]

any_zone = st.sampled_from(ODD_ZONES).map(zone_named)
any_time = st.times(timezones=st.none()).map(lambda at: at.replace(second=0, microsecond=0))
any_day = st.dates(date(2005, 1, 1), date(2036, 12, 31))
any_moment = st.floats(1_100_000_000, 2_100_000_000)


def shown(moment: float, zone_name: str) -> str:
    return datetime.fromtimestamp(moment, zone_named(zone_name)).isoformat(timespec="minutes")


@pytest.mark.parametrize(
    ("zone", "day", "at", "moment"),
    [
        pytest.param("Europe/Berlin", date(2026, 11, 24), time(6, 30), "2026-11-24T06:30+01:00", id="an ordinary day"),
        pytest.param("Europe/Berlin", date(2026, 3, 29), time(2, 30), "2026-03-29T03:00+02:00", id="skipped"),
        pytest.param("Europe/Berlin", date(2026, 3, 29), time(2, 0), "2026-03-29T03:00+02:00", id="the first skipped"),
        pytest.param("Europe/Berlin", date(2026, 3, 29), time(3, 0), "2026-03-29T03:00+02:00", id="the first after"),
        pytest.param("Europe/Berlin", date(2026, 10, 25), time(2, 30), "2026-10-25T02:30+02:00", id="doubled"),
        pytest.param("Europe/Berlin", date(2026, 10, 25), time(3, 0), "2026-10-25T03:00+01:00", id="after the doubled"),
        pytest.param("America/Sao_Paulo", date(2018, 11, 4), time(0, 0), "2018-11-04T01:00-02:00", id="midnight skipped"),
        pytest.param("Australia/Lord_Howe", date(2026, 10, 4), time(2, 15), "2026-10-04T02:30+11:00", id="half an hour"),
        pytest.param("Pacific/Apia", date(2011, 12, 30), time(6, 30), "2011-12-31T00:00+14:00", id="a whole day skipped"),
        pytest.param("UTC", date(2026, 3, 29), time(2, 30), "2026-03-29T02:30+00:00", id="UTC"),
    ],
)
def test_a_time_of_a_day_has_one_moment(zone: str, day: date, at: time, moment: str) -> None:
    assert shown(moment_of(day, at, zone_named(zone)), zone) == moment


@pytest.mark.parametrize(
    ("now", "moment"),
    [
        pytest.param("2026-11-24T22:00+01:00", "2026-11-25T06:30+01:00", id="tomorrow"),
        pytest.param("2026-11-25T06:29+01:00", "2026-11-25T06:30+01:00", id="in a minute"),
        pytest.param("2026-11-25T06:30+01:00", "2026-11-26T06:30+01:00", id="not now"),
        pytest.param("2026-03-28T22:00+01:00", "2026-03-29T06:30+02:00", id="over the short night"),
        pytest.param("2026-10-24T22:00+02:00", "2026-10-25T06:30+01:00", id="over the long night"),
    ],
)
def test_the_next_moment_is_the_next_one_on_the_clocks_there(now: str, moment: str) -> None:
    assert shown(next_moment(datetime.fromisoformat(now).timestamp(), time(6, 30), BERLIN), "Europe/Berlin") == moment


def test_a_doubled_time_is_not_met_twice() -> None:
    first = moment_of(date(2026, 10, 25), time(2, 30), BERLIN)

    assert shown(next_moment(first, time(2, 30), BERLIN), "Europe/Berlin") == "2026-10-26T02:30+01:00"


@given(day=any_day, at=any_time, zone=any_zone)
def test_no_clock_shows_the_time_before_its_moment_on_that_day(day: date, at: time, zone: zoneinfo.ZoneInfo) -> None:
    wanted = datetime.combine(day, at)
    moment = moment_of(day, at, zone)

    assert datetime.fromtimestamp(moment, zone).replace(tzinfo=None) >= wanted
    assert datetime.fromtimestamp(moment - 1, zone).replace(tzinfo=None) < wanted


@given(day=any_day, at=any_time, zone=any_zone)
def test_moments_of_following_days_do_not_go_back(day: date, at: time, zone: zoneinfo.ZoneInfo) -> None:
    assert moment_of(day, at, zone) <= moment_of(day + timedelta(days=1), at, zone)


@given(now=any_moment, at=any_time, zone=any_zone)
def test_the_next_moment_comes_within_two_days_and_is_the_first(now: float, at: time, zone: zoneinfo.ZoneInfo) -> None:
    moment = next_moment(now, at, zone)

    assert now < moment <= now + 49 * 3600
    day = datetime.fromtimestamp(now, zone).date()
    assert all(not now < moment_of(day + timedelta(days=days), at, zone) < moment for days in (-1, 0, 1, 2))


def test_the_machines_zone_is_what_tz_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", ":Europe/Berlin")

    assert local_zone() == BERLIN


def test_a_tz_that_names_no_zone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")

    with pytest.raises(CannotStart, match=r"TZ=CET-1CEST.*: there is no time zone .*; write it as Europe/Berlin"):
        local_zone()


def test_the_machines_zone_is_else_that_of_its_localtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TZ", raising=False)
    data = Path(zoneinfo.TZPATH[0], "Europe/Berlin")
    if not data.exists():
        pytest.skip("this machine keeps its time zone data elsewhere")
    (tmp_path / "localtime").symlink_to(data)
    monkeypatch.setattr(zones, "LOCALTIME", tmp_path / "localtime")

    zone = local_zone()

    assert str(zone) == "Europe/Berlin"
    assert shown(moment_of(date(2026, 3, 29), time(2, 30), zone), "Europe/Berlin") == "2026-03-29T03:00+02:00"


def test_a_machine_without_a_localtime_is_in_utc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TZ", raising=False)
    monkeypatch.setattr(zones, "LOCALTIME", tmp_path / "localtime")

    assert local_zone() == UTC


def test_a_machine_without_zone_data_says_what_is_missing_and_still_knows_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoneinfo, "available_timezones", set[str])
    zoneinfo.reset_tzpath(to=[])
    zoneinfo.ZoneInfo.clear_cache()
    monkeypatch.setitem(sys.modules, "tzdata", None)
    try:
        assert zone_named("UTC") is UTC
        with pytest.raises(CannotStart, match=r"Europe/Berlin: this machine has no time zone data: install the package tzdata"):
            zone_named("Europe/Berlin")
    finally:
        zoneinfo.reset_tzpath()


def test_what_is_no_zone_is_a_mistake() -> None:
    with pytest.raises(UsageMistake, match="there is no time zone 'Mars/Olympus'"):
        zone_named("Mars/Olympus")
