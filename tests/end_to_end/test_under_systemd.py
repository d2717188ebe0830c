"""A job under a real systemd, a manager of its own in namespaces of its own: what `job schedule` prints does what it says."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch_runner.fake_server import Fixed, Latency, Scenario
from batch_runner.nightly.job_file import read_job
from batch_runner.nightly.placing import placement
from batch_runner.nightly.schedule import systemd_text
from batch_runner.nightly.tonight import tonight
from batch_runner.settings import read_settings
from tests.end_to_end.conftest import KEY, REPOSITORY
from tests.end_to_end.nights import Nightly

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Place, ServedHere, Servers

SYSTEMD = "/lib/systemd/systemd"
NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--mount-proc")
MANAGED = """
mount -t tmpfs tmpfs /run && mkdir -p /run/user/0/systemd /run/systemd/system || exit 77
export XDG_RUNTIME_DIR=/run/user/0 XDG_CONFIG_HOME=$PWD/config HOME=$PWD
/lib/systemd/systemd --user --log-target=null &
until_() { n=0; while ! eval "$1"; do n=$((n+1)); [ $n -lt 400 ] || exit 78; sleep 0.05; done; }
told() { systemctl --user show "$1" -p "$2" --value; }
n=0; while ! systemctl --user is-system-running >/dev/null 2>&1; do n=$((n+1)); [ $n -lt 100 ] || exit 77; sleep 0.05; done
"""
"""Ends with 77 where no manager can be had here, and with 78 where something is waited for in vain."""


def managed(folder: Path, script: str) -> list[str]:
    """What a script says that has a systemd manager at hand, line by line."""
    done = subprocess.run(
        [*NAMESPACES, "/bin/sh", "-c", MANAGED + script],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode == 77:
        pytest.skip("no systemd manager can be started here")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def job(place: Place, servers: Servers) -> tuple[Nightly, ServedHere]:
    """A job installed as a user would, and the gateway that it asks, which takes its time."""
    if shutil.which("unshare") is None or not Path(SYSTEMD).exists():
        pytest.skip("needs systemd and unshare")
    gateway = servers.gateway(Scenario(latency=Latency(seconds=Fixed(0.4))))
    place.write_questions(200)
    (place.folder / "key").write_text(KEY)
    nightly = Nightly.of(place, gateway, 'start_at = "22:00"')
    nightly.file.write_text(nightly.file.read_text().replace("[request]", '[request]\napi_key_file = "key"'))
    described = read_job(str(nightly.file))
    night, settings = tonight(described, time.time()), read_settings(described.settings)
    placed = placement(described, settings, night.zone, night.outputs, at=None, environment={"PYTHONPATH": str(REPOSITORY)})
    placed = replace(
        placed, user=None, command=(sys.executable, "-m", "batch_runner"), environment={"PYTHONPATH": str(REPOSITORY)}
    )
    (place.folder / "install.sh").write_text(systemd_text(placed))
    return nightly, gateway


def test_a_job_under_systemd_starts_tells_how_it_goes_gives_way_drains_and_is_started_again_when_killed(
    job: tuple[Nightly, ServedHere],
) -> None:
    nightly, gateway = job
    unit = "batch-runner-nightly"
    said = managed(
        nightly.place.folder,
        f"""
sh install.sh >/dev/null 2>&1
echo "timer $(told {unit}.timer ActiveState)"
systemctl --user start {unit}; echo "started $?"
until_ 'told {unit} StatusText | grep -q "/200 rows"'
echo "status $(told {unit} StatusText)"
PYTHONPATH={REPOSITORY} {sys.executable} -m batch_runner job run nightly.toml 2>/dev/null; echo "second $?"
systemctl --user stop {unit} 2>/dev/null
echo "stopped $(told {unit} Result) $(told {unit} ExecMainStatus) $(told {unit} ActiveState)"
systemctl --user start {unit}
until_ 'told {unit} StatusText | grep -q "/[0-9]* rows"'
kill -9 $(told {unit} MainPID)
until_ '[ "$(told {unit} SubState)" = auto-restart ]'
echo "killed $(told {unit} Result) $(told {unit} SubState)"
systemctl --user stop {unit} 2>/dev/null
""",
    )

    assert said[:2] == ["timer active", "started 0"]
    assert said[2].startswith("status ")
    assert said[3:] == ["second 75", "stopped success 143 inactive", "killed signal auto-restart"]
    assert gateway.at_rest().outcomes
