"""A job -> the text that has cron or systemd run it each night, ready to be pasted. Pure."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from batch_runner.exits import ExitStatus
from batch_runner.failures import UsageMistake
from batch_runner.zones import moment_of

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_FAILURES = (
    ExitStatus.SPEND_CAP,
    ExitStatus.DEADLINE,
    ExitStatus.BUSY,
    ExitStatus.INTERRUPTED,
    ExitStatus.TERMINATED,
)
"""Ends that nobody has to be woken for: the next night goes on."""

CRON_CHARACTERS = 998
"""The longest command that Debian's cron takes (MAX_COMMAND in its cron.h is 1000, with what ends it)."""
PLAIN = re.compile(r"[\w@+=:,./-]+", re.ASCII)
"""What no reader of a unit takes for anything but itself."""
SECONDS_TO_WRITE = 60
"""What a run may need after its drain, for its last lines and for compaction to begin."""
WATCHDOG_SECONDS = 300
RESTART_SECONDS = 60
RESTARTS, RESTARTS_WITHIN_SECONDS = 5, 3600
"""How often a run that is killed is started again: what kills it may kill it each time."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Everything that a scheduler has to be told, for it knows nothing of the shell in which a job was tried out."""

    name: str
    job: Path
    command: tuple[str, ...]
    """How batch-runner is started, by full paths."""
    home: Path
    """The folder that the outputs lie in."""
    at: time
    zone: tzinfo
    zone_name: str
    machine_zone: tzinfo
    drain_seconds: float
    environment: Mapping[str, str]
    """Variables that the job needs and that are no secrets."""
    key_variable: str | None
    """The variable that holds the key, where it isn't in a file."""
    key_file: Path
    """Where that variable can be set for a scheduler."""
    credential: str | None = None
    """The name of the key among systemd's credentials, where the job looks for it there."""
    writable: tuple[Path, ...] = ()
    """Other folders that a run may write to."""
    asks_command: bool = False
    """True when the key comes from a command, which may need the whole home of its user."""
    user: str | None = None
    """Who runs a service of the whole system; `None` for one of the user's own."""

    @property
    def unit(self) -> str:
        """The name of its service and timer, which no other program's have."""
        return "batch-runner-" + re.sub(r"[^A-Za-z0-9_.-]", "-", self.name)

    @property
    def log(self) -> Path:
        """Where cron's lines go."""
        return self.home / f"{self.unit.removeprefix('batch-runner-')}.log"

    @property
    def words(self) -> tuple[str, ...]:
        """The command line."""
        return (*self.command, "job", "run", str(self.job))


def cron_text(place: Placement) -> str:
    """A comment and the lines of a crontab. Raises `UsageMistake` where cron can't take them."""
    minutes, guard = _times(place)
    command = f"{guard}{_shell(place)}".replace("%", "\\%")
    if len(command) > CRON_CHARACTERS:
        raise UsageMistake(
            f"the line for cron would have {len(command)} characters, and it takes {CRON_CHARACTERS}: shorter paths help"
        )
    lines = [
        f"# batch-runner, the job {place.name}: each day at {place.at:%H:%M} {place.zone_name}. Paste into: crontab -e",
        f"# Its words go to {place.log}; cron sends a mail when a night fails.",
    ]
    if place.key_variable is not None:
        lines.append(f"# cron knows no {place.key_variable}: write {place.key_variable}=… into {place.key_file} (chmod 600).")
    if guard:
        lines.append(f"# This machine's clocks show another zone: cron looks whenever it may be {place.at:%H:%M} there.")
    return "\n".join([*lines, *(f"{at} {command}" for at in minutes), ""])


def _shell(place: Placement) -> str:
    """What /bin/sh is given: each path once, for the line is short, and quiet about ends that are no failures."""
    variables = "".join(f"{name}={shlex.quote(value)} " for name, value in place.environment.items())
    key = f"set -a; . {shlex.quote(str(place.key_file))}; set +a; " if place.key_variable is not None else ""
    fine = "|".join(str(int(status)) for status in (ExitStatus.OK, *NO_FAILURES))
    failed = shlex.quote(f"batch-runner: the job {place.name} failed, see")
    return (
        f"J={shlex.quote(str(place.job))}; L={shlex.quote(str(place.log))}; "
        'mkdir -p "$(dirname "$L")"; cd "$(dirname "$J")" && '
        f'{{ {key}{variables}{shlex.join(place.command)} job run "$J"; }} >>"$L" 2>&1; '
        f's=$?; case $s in {fine}) ;; *) echo {failed} "$L; exit status $s";; esac'
    )


def _times(place: Placement) -> tuple[list[str], str]:
    """When cron looks, and what it asks first where its clocks show another zone than the job's."""
    if _same_clocks(place.zone, place.machine_zone):
        return [f"{place.at.minute} {place.at.hour} * * *"], ""
    shown = sorted({_on_this_machine(place, day) for day in range(0, 366, 7)})
    hours_by_minute: dict[int, list[int]] = {}
    for at in shown:
        hours_by_minute.setdefault(at.minute, []).append(at.hour)
    minutes = [f"{minute} {','.join(map(str, hours))} * * *" for minute, hours in hours_by_minute.items()]
    return minutes, f'[ "$(TZ={shlex.quote(place.zone_name)} date +%H:%M)" = {place.at:%H:%M} ] || exit 0; '


def _on_this_machine(place: Placement, days: int) -> time:
    """What the machine's clocks show when the job starts, so many days into some year."""
    day = datetime(2026, 1, 1, tzinfo=UTC).date() + timedelta(days=days)
    return datetime.fromtimestamp(moment_of(day, place.at, place.zone), place.machine_zone).time()


def _same_clocks(one: tzinfo, other: tzinfo) -> bool:
    hours = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(0, 366 * 24, 12))
    return all(one.utcoffset(at.astimezone(one)) == other.utcoffset(at.astimezone(other)) for at in hours)


def systemd_text(place: Placement) -> str:
    """Commands for a shell that write a service and a timer, and start the timer."""
    own = place.user is None
    folder = '"${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user"' if own else "/etc/systemd/system"
    control = "systemctl --user" if own else "systemctl"
    lines = [
        f"# batch-runner, the job {place.name}: each day at {place.at:%H:%M} {place.zone_name}. Paste into a shell:",
        *_about_the_key(place),
        f"mkdir -p {folder} {shlex.quote(str(place.home))}",
        f"cat > {folder}/{place.unit}.service <<'END'",
        service_unit(place) + "END",
        f"cat > {folder}/{place.unit}.timer <<'END'",
        timer_unit(place) + "END",
        f"{control} daemon-reload",
        f"{control} enable --now {place.unit}.timer",
        *(["loginctl enable-linger  # so that it runs while you aren't logged in"] if own else []),
        f"{control} list-timers {place.unit}.timer",
        f"# now: {control} start {place.unit}; its words: journalctl {'--user ' if own else ''}-u {place.unit}",
    ]
    return "\n".join([*lines, ""])


def _about_the_key(place: Placement) -> list[str]:
    if place.credential is not None:
        return [f"# Its key: put it into {place.key_file} first, readable by {'you' if place.user is None else 'root'} alone."]
    if place.key_variable is not None:
        return [f"# systemd knows no {place.key_variable}: write {place.key_variable}=… into {place.key_file} (chmod 600) first."]
    return []


def service_unit(place: Placement) -> str:
    """The service: one run of the job."""
    own = place.user is None
    entries = [
        "[Unit]",
        f"Description=batch-runner: the job {_literal(place.name)}",
        *([] if own else ["Wants=network-online.target", "After=network-online.target"]),
        f"StartLimitIntervalSec={RESTARTS_WITHIN_SECONDS}",
        f"StartLimitBurst={RESTARTS}",
        "",
        "[Service]",
        "Type=notify",
        f"WorkingDirectory={_literal(str(place.job.parent))}",
        f"ExecStart={' '.join(map(_word, _started(place)))}",
        *([] if own else [f"User={place.user}"]),
        *(f"Environment={_word(f'{name}={value}', dollars=False)}" for name, value in place.environment.items()),
        *_key_entries(place),
        "# Ends that are no failures: a budget or the time is up, another run is at work, told to stop.",
        f"SuccessExitStatus={' '.join(str(int(status)) for status in NO_FAILURES)}",
        "# The time between SIGTERM and SIGKILL: answers on their way are paid for, so they are waited for.",
        f"TimeoutStopSec={round(place.drain_seconds) + SECONDS_TO_WRITE}",
        "TimeoutStartSec=infinity",
        f"WatchdogSec={WATCHDOG_SECONDS}",
        "KillMode=mixed",
        "# Killed in the middle (memory, watchdog): it goes on where it was. An end of its own is none to repeat.",
        "Restart=on-abnormal",
        f"RestartSec={RESTART_SECONDS}",
        *_hardening(place),
    ]
    return "\n".join([*entries, ""])


def _started(place: Placement) -> tuple[str, ...]:
    """The command line. A program's name may hold no quotes nor dollars there, so `env` starts one that does."""
    return place.words if PLAIN.fullmatch(place.command[0]) else ("/usr/bin/env", *place.words)


def _key_entries(place: Placement) -> list[str]:
    if place.credential is not None:
        return [f"LoadCredential={_literal(f'{place.credential}:{place.key_file}')}"]
    return [f"EnvironmentFile={_literal(str(place.key_file))}"] if place.key_variable is not None else []


def _hardening(place: Placement) -> list[str]:
    """What a run never needs. Only a service of the system has folders closed: a user's needs what not every kernel has."""
    entries = [
        "NoNewPrivileges=true",
        "LockPersonality=true",
        "RestrictRealtime=true",
        "RestrictSUIDSGID=true",
        "RestrictNamespaces=true",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
        "SystemCallArchitectures=native",
    ]
    if place.user is None:
        return entries
    folders = dict.fromkeys((place.home, *place.writable))
    return [
        *entries,
        "PrivateDevices=true",
        "ProtectKernelTunables=true",
        "ProtectKernelModules=true",
        "ProtectControlGroups=true",
        "ProtectSystem=strict",
        *([] if place.asks_command else ["ProtectHome=read-only"]),
        f"ReadWritePaths={' '.join(_word(str(folder), dollars=False) for folder in folders)}",
    ]


def timer_unit(place: Placement) -> str:
    """The timer: when the service is started. A start that was missed is made up for."""
    return "\n".join(
        [
            "[Unit]",
            f"Description=batch-runner: the job {_literal(place.name)}, each day",
            "",
            "[Timer]",
            f"OnCalendar=*-*-* {place.at:%H:%M}:00 {place.zone_name}",
            "Persistent=true",
            "AccuracySec=1s",
            "",
            "[Install]",
            "WantedBy=timers.target",
            "",
        ]
    )


def _literal(text: str) -> str:
    """Text in which systemd sees no specifiers."""
    return text.replace("%", "%%")


def _word(text: str, *, dollars: bool = True) -> str:
    """One word of a unit's line. Dollars stand for variables in command lines only."""
    text = _literal(text).replace("\\", "\\\\")
    text = text.replace("$", "$$") if dollars else text
    return text if PLAIN.fullmatch(text.replace("$", "").replace("%", "")) else '"' + text.replace('"', '\\"') + '"'
