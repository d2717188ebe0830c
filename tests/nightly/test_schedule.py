"""What cron and systemd are given, read as they read it: by systemd's own tools, a cron library and /bin/sh."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from batch_runner.failures import UsageMistake
from batch_runner.nightly.schedule import Placement, cron_text, service_unit, systemd_text, timer_unit
from batch_runner.zones import moment_of

if TYPE_CHECKING:
    from collections.abc import Iterator

BERLIN = ZoneInfo("Europe/Berlin")
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze isn't installed")


@pytest.fixture(params=["plain", "odd 100% $HOME 'x' \"y\""])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Placement:
    """A job in a folder of a plain name, or of one that every reader would like to read as something else."""
    folder = tmp_path / request.param
    folder.mkdir()
    program = folder / "batch-runner"
    program.write_text('#!/bin/sh\necho "$@" "RPM=$BATCH_RUNNER_RPM KEY=$MY_KEY in $PWD"\nexit ${STATUS:-0}\n')
    program.chmod(0o755)
    (folder / "key.env").write_text("MY_KEY=secret\n")
    return Placement(
        name="nightly",
        job=folder / "nightly.toml",
        command=(str(program),),
        home=folder / "results",
        at=time(22, 30),
        zone=BERLIN,
        zone_name="Europe/Berlin",
        machine_zone=BERLIN,
        drain_seconds=300.0,
        environment={"BATCH_RUNNER_RPM": "3k/min 100%"},
        key_variable="MY_KEY",
        key_file=folder / "key.env",
        user="root",
    )


def units(place: Placement, folder: Path) -> list[str]:
    paths = [folder / f"{place.unit}.service", folder / f"{place.unit}.timer"]
    for path, text in zip(paths, (service_unit(place), timer_unit(place)), strict=True):
        path.write_text(text, encoding="utf-8")
    return list(map(str, paths))


def verified(paths: list[str], folder: Path, *more: str) -> str:
    """What systemd finds to say of units; it ends with 0 over misspelt words too."""
    done = subprocess.run(
        ["systemd-analyze", *more, "verify", "--man=no", *paths],
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(folder), "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr + ("" if done.returncode == 0 else f"ended with {done.returncode}")


@needs_systemd
@pytest.mark.parametrize("own", [False, True], ids=["of the system", "of a user"])
def test_systemd_has_nothing_to_say_of_the_units(place: Placement, tmp_path: Path, *, own: bool) -> None:
    place = replace(place, user=None) if own else place

    assert verified(units(place, tmp_path), tmp_path, *(["--user"] if own else [])) == ""


@needs_systemd
def test_systemd_has_nothing_to_say_of_a_key_among_its_credentials(place: Placement, tmp_path: Path) -> None:
    place = replace(place, credential="apicore", key_variable=None, asks_command=True, writable=(Path("/tmp/x y"),))  # noqa: S108 - a name

    assert verified(units(place, tmp_path), tmp_path) == ""


@needs_systemd
def test_what_is_wrong_in_a_unit_would_be_told(place: Placement, tmp_path: Path) -> None:
    (service, timer) = units(replace(place, command=("/nowhere/batch-runner",)), tmp_path)

    assert "is not executable" in verified([service], tmp_path)
    Path(timer).write_text(timer_unit(place).replace("Persistent", "Persistant"))
    assert "Persistant" in verified([timer], tmp_path)


@needs_systemd
@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC", "America/New_York"])
def test_the_timer_elapses_each_day_at_its_time_there_through_both_clock_changes(place: Placement, zone: str) -> None:
    (calendar,) = re.findall("^OnCalendar=(.+)$", timer_unit(replace(place, zone_name=zone)), re.MULTILINE)

    done = subprocess.run(
        ["systemd-analyze", "calendar", "--base-time=2026-03-01 12:00:00 UTC", "--iterations=300", calendar],
        env={"PATH": "/usr/bin:/bin", "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=True,
    )

    elapses = re.findall(r"(?:Next elapse|Iter. #\d+|\(in UTC\)): \w+ (\S+ \S+) UTC", done.stdout)
    days = (date(2026, 3, 1) + timedelta(days=days) for days in range(300))
    assert done.stderr == ""
    assert [datetime.fromisoformat(f"{each}+00:00").timestamp() for each in dict.fromkeys(elapses)] == [
        moment_of(day, place.at, ZoneInfo(zone)) for day in days
    ]


def entry(unit: str, name: str) -> str:
    (found,) = [line.partition("=")[2] for line in unit.splitlines() if line.startswith(f"{name}=")]
    return found


def test_ends_that_the_next_night_goes_on_from_are_no_failures(place: Placement) -> None:
    assert entry(service_unit(place), "SuccessExitStatus").split() == ["5", "7", "75", "130", "143"]


@pytest.mark.parametrize("drain", [1.0, 300.0, 7200.5])
def test_systemd_waits_longer_than_the_drain(place: Placement, drain: float) -> None:
    assert int(entry(service_unit(replace(place, drain_seconds=drain)), "TimeoutStopSec")) > drain + 30


def test_a_service_may_write_where_its_answers_go_and_nowhere_else(place: Placement) -> None:
    unit = service_unit(replace(place, home=Path("/data/results"), writable=(Path("/var/rescue"),)))

    assert entry(unit, "ProtectSystem") == "strict"
    assert entry(unit, "ReadWritePaths") == "/data/results /var/rescue"


@pytest.mark.parametrize("user", [None, "root"])
def test_the_text_for_systemd_is_a_script_that_writes_both_units(place: Placement, tmp_path: Path, user: str | None) -> None:
    place = replace(place, user=user)
    script = systemd_text(place).replace("/etc/systemd/system", str(tmp_path / "etc"))
    for name in ("systemctl", "loginctl"):
        (tmp_path / name).write_text('#!/bin/sh\necho "$0 $@" >> "$HOME/called"\n')
        (tmp_path / name).chmod(0o755)

    done = subprocess.run(
        ["/bin/sh", "-e"],
        input=script,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    folder = tmp_path / ("etc" if user else ".config/systemd/user")
    assert (folder / "batch-runner-nightly.service").read_text() == service_unit(place)
    assert (folder / "batch-runner-nightly.timer").read_text() == timer_unit(place)
    assert "enable --now batch-runner-nightly.timer" in (tmp_path / "called").read_text()
    assert place.home.is_dir()
    assert done.stderr == ""


def cron_lines(place: Placement) -> list[tuple[str, str]]:
    """When, and what /bin/sh gets: cron ends the command at the first `%` that no backslash stands before."""
    lines = [line for line in cron_text(place).splitlines() if not line.startswith("#")]
    parts = [line.split(" ", 5) for line in lines]
    return [(" ".join(words[:5]), words[5].replace("\\%", "%")) for words in parts]


def starts(place: Placement, begin: datetime, days: int) -> Iterator[datetime]:
    """When cron, on a machine of that zone, starts the job: it asks the guard, too."""
    end = begin + timedelta(days=days)
    for when, command in cron_lines(place):
        for at in CronSim(when, begin.astimezone(place.machine_zone)):
            if at >= end:
                break
            if not command.startswith("[") or at.astimezone(place.zone).strftime("%H:%M") == f"{place.at:%H:%M}":
                yield at


@pytest.mark.parametrize("machine", ["Europe/Berlin", "UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"])
def test_cron_starts_the_job_once_a_day_at_its_time_whatever_zone_the_machine_is_in(place: Placement, machine: str) -> None:
    place = replace(place, machine_zone=ZoneInfo(machine))
    begin = datetime(2026, 3, 1, tzinfo=UTC)

    started = sorted(start.timestamp() for start in starts(place, begin, 300))

    assert started == [moment_of((begin + timedelta(days=day)).date(), place.at, BERLIN) for day in range(300)]


def test_a_time_that_is_skipped_or_doubled_starts_the_job_once(place: Placement) -> None:
    place = replace(place, at=time(2, 30))

    for day in (datetime(2026, 3, 29, tzinfo=BERLIN), datetime(2026, 10, 25, tzinfo=BERLIN)):
        assert len(list(starts(place, day, 1))) == 1


def run_by_cron(place: Placement, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the line as cron does: by /bin/sh, with next to no environment."""
    ((_, command),) = cron_lines(place)
    bare = {"HOME": str(place.job.parent), "LOGNAME": "somebody", "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}
    return subprocess.run(
        ["/bin/sh", "-c", command], env=bare | environment, capture_output=True, text=True, check=False, cwd="/"
    )


def test_the_line_for_cron_runs_the_job_with_all_it_needs_and_says_nothing(place: Placement) -> None:
    done = run_by_cron(place)

    assert (done.stdout, done.stderr) == ("", "")
    assert place.log.read_text() == (f"job run {place.job} RPM=3k/min 100% KEY=secret in {place.job.parent}\n")


@pytest.mark.parametrize("status", [5, 7, 75, 130, 143])
def test_cron_sends_no_mail_about_ends_that_are_no_failures(place: Placement, status: int) -> None:
    done = run_by_cron(place, STATUS=str(status))

    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("status", [2, 3, 4, 6, 10, 70])
def test_cron_sends_a_mail_about_a_failure(place: Placement, status: int) -> None:
    done = run_by_cron(place, STATUS=str(status))

    assert done.stdout == f"batch-runner: the job nightly failed, see {place.log}; exit status {status}\n"


def test_cron_of_another_zone_asks_what_time_it_is_there(place: Placement, tmp_path: Path) -> None:
    place = replace(place, machine_zone=UTC)
    (tmp_path / "date").write_text('#!/bin/sh\necho "$NOW"\n')
    (tmp_path / "date").chmod(0o755)
    here: dict[str, Any] = {"PATH": f"{tmp_path}:/usr/bin:/bin"}

    run_by_cron(place, NOW="21:30", **here)
    before = place.log.exists()
    run_by_cron(place, NOW="22:30", **here)

    assert not before
    assert place.log.exists()


def test_a_line_that_cron_would_cut_is_refused(place: Placement) -> None:
    with pytest.raises(UsageMistake, match=r"the line for cron would have \d+ characters, and it takes 998: shorter paths help"):
        cron_text(replace(place, job=Path("/x" * 300 + "/nightly.toml")))
