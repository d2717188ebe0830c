"""Time zones, and the moments at which their clocks show a time. Right in both nights on which clocks are changed.

An hour that is skipped has one moment: the first after it. Of an hour that comes twice the first counts.
"""

from __future__ import annotations

import os
import zoneinfo
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path

from batch_runner.failures import CannotStart, UsageMistake
from batch_runner.nearest import did_you_mean

LOCALTIME = Path("/etc/localtime")
NO_DATA = "this machine has no time zone data: install the package tzdata (apt-get install tzdata, or pip install tzdata)"


def zone_named(name: str) -> tzinfo:
    """The zone of a name as `Europe/Berlin`. Raises `UsageMistake` for what is none, `CannotStart` where no data is at hand."""
    if name in {"UTC", "Etc/UTC"}:
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # a folder of zones, a path, a file that is no zone
        known = zoneinfo.available_timezones()
    if not known:
        raise CannotStart(f"{name}: {NO_DATA}")
    raise UsageMistake(f"there is no time zone {name!r}{_meant(name, known)}")


def local_zone() -> tzinfo:
    """The zone of this machine: what TZ names, else /etc/localtime, else UTC. Raises as `zone_named` does."""
    told = os.environ.get("TZ", "").removeprefix(":")
    if told:
        try:
            return zone_named(told)
        except UsageMistake as mistake:
            raise CannotStart(f"TZ={told}: {mistake}; write it as Europe/Berlin") from None
    try:
        with LOCALTIME.open("rb") as file:
            return zoneinfo.ZoneInfo.from_file(file, key=_key_of_localtime())
    except FileNotFoundError:
        return UTC
    except (OSError, ValueError) as error:
        raise CannotStart(f"{LOCALTIME} can't be read as a time zone: {error}") from None


def moment_of(day: date, at: time, zone: tzinfo) -> float:
    """Seconds since 1970 when the clocks of `zone` first show `at` on `day`; where they skip it, the first moment after."""
    wanted = datetime.combine(day, at)
    moment = wanted.replace(tzinfo=zone, fold=0).timestamp()
    if _shown(moment, zone) == wanted:
        return moment
    early, late = int(wanted.replace(tzinfo=zone, fold=1).timestamp()), int(moment)  # an hour before the gap, and one after it
    while late - early > 1:
        middle = (early + late) // 2
        early, late = (middle, late) if _shown(middle, zone) < wanted else (early, middle)
    return float(late)


def next_moment(now: float, at: time, zone: tzinfo) -> float:
    """The first moment after `now` at which the clocks of `zone` show `at`."""
    today = _shown(now, zone).date()
    moments = (moment_of(today + timedelta(days=days), at, zone) for days in (-1, 0, 1, 2))
    return min(moment for moment in moments if moment > now)


def _shown(moment: float, zone: tzinfo) -> datetime:
    """What the clocks of `zone` show."""
    return datetime.fromtimestamp(moment, zone).replace(tzinfo=None, fold=0)


def _key_of_localtime() -> str | None:
    """`Europe/Berlin` where /etc/localtime points into the zone data by that name."""
    _, found, name = str(LOCALTIME.resolve()).partition("/zoneinfo/")
    return name if found else None


def _meant(name: str, known: set[str]) -> str:
    """Where only the continent is missing, that is what was meant."""
    return did_you_mean(next((zone for zone in sorted(known) if zone.endswith(f"/{name}")), name), known)
