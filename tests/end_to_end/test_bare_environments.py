"""Cron's empty environment, and containers: a read-only root and a user that nobody knows. It works, or says what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.conftest import COMMAND, KEY, REPOSITORY, Place
from tests.end_to_end.nights import Nightly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.end_to_end.conftest import ServedHere

NOBODY = "54321"
AS_NOBODY = (
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--bounding-set=-all,+dac_read_search",
    "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search",
)  # fmt: skip
"""A user id without a name, home or rights, but that it may read: this checkout lies where only its owner looks."""

READ_ONLY = (
    "unshare", "--mount", "/bin/sh", "-c",
    'for folder in $WRITABLE; do mount --bind "$folder" "$folder"; done; mount -o remount,ro,bind / && exec "$@"', "sh",
)  # fmt: skip


def works(*words: str) -> bool:
    return (
        shutil.which(words[0]) is not None
        and subprocess.run([*words, "true"], env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=False).returncode == 0
    )


needs_setpriv = pytest.mark.skipif(not works(*AS_NOBODY), reason="needs setpriv, and leave to change users")
needs_unshare = pytest.mark.skipif(not works(*READ_ONLY), reason="needs unshare, and leave to mount")


def bare(*words: str | Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in `/` with nothing in its environment but how to find this checkout."""
    return subprocess.run(
        [*words],
        env={"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"} | (environment or {}),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def open_place() -> Iterator[Place]:
    """A folder that everybody may look into."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Place(Path(folder))


def a_job(place: Place, gateway: ServedHere) -> Nightly:
    """One whose key stands in a file."""
    place.write_questions(3)
    (place.folder / "key").write_text(KEY)
    job = Nightly.of(place, gateway)
    job.file.write_text(job.file.read_text().replace("[request]", '[request]\napi_key_file = "key"'))
    return job


def job_run(job: Nightly, *under: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return bare(*under, *COMMAND, "job", "run", job.file, environment=environment)


def only_line(done: subprocess.CompletedProcess[str]) -> str:
    """What was said, in one line."""
    (line,) = done.stderr.splitlines()
    return line


def test_a_job_runs_in_an_empty_environment(place: Place, gateway: ServedHere) -> None:
    job = a_job(place, gateway)

    done = job_run(job)

    assert done.returncode == 0, done.stderr
    assert len(list((place.folder / "results").glob("*/x.jsonl"))) == 1


def test_a_job_whose_key_an_empty_environment_lacks_says_which(place: Place, gateway: ServedHere) -> None:
    place.write_questions(3)
    job = Nightly.of(place, gateway, more="[request.param]\nseed = 1\n")
    job.file.write_text(job.file.read_text().replace(f'"{gateway.url}"', '"apicore"'))

    done = job_run(job)

    assert done.returncode == 3
    assert only_line(done).startswith("Error: no key for api.apicore.ai: set APICORE_API_KEY (or name")


def test_a_job_that_needs_another_variable_says_which_and_where(place: Place, gateway: ServedHere) -> None:
    job = Nightly.of(place, gateway, 'name = "${STAGE}"')

    done = job_run(job)

    assert done.returncode == 2
    assert only_line(done).startswith(f"Error: {job.file}:5: there is no variable 'STAGE' in the environment")


def test_a_machine_without_time_zone_data_says_what_to_install(place: Place, gateway: ServedHere) -> None:
    place.write_questions(1)
    job = Nightly.of(place, gateway)
    without = "import sys, zoneinfo; zoneinfo.reset_tzpath(to=[]); sys.modules['tzdata'] = None; sys.argv[1:3] = []; "

    done = bare(
        sys.executable, "-c", f"{without}from batch_runner.__main__ import main; main()", "-m", "x", "job", "run", job.file
    )

    assert done.returncode == 2
    assert "zone: Europe/Berlin: this machine has no time zone data: install the package tzdata" in only_line(done)


@needs_setpriv
def test_a_user_that_nobody_knows_runs_a_job_where_it_may_write(open_place: Place, gateway: ServedHere) -> None:
    job = a_job(open_place, gateway)
    (open_place.folder / "results").mkdir()
    os.chown(open_place.folder / "results", int(NOBODY), int(NOBODY))

    done = job_run(job, *AS_NOBODY, PATH=os.environ["PATH"])

    assert done.returncode == 0, done.stderr
    assert {path.stat().st_uid for path in (open_place.folder / "results").rglob("*")} == {int(NOBODY)}


@needs_setpriv
def test_a_user_that_may_not_write_is_told_where(open_place: Place, gateway: ServedHere) -> None:
    job = a_job(open_place, gateway)

    done = job_run(job, *AS_NOBODY, PATH=os.environ["PATH"])

    assert done.returncode == 3
    assert only_line(done) == f"Error: {open_place.folder}/results: can't be made: Permission denied"
    assert gateway.books().requests == 0


@needs_unshare
def test_a_read_only_root_takes_a_job_whose_outputs_lie_on_a_volume(place: Place, gateway: ServedHere) -> None:
    job = a_job(place, gateway)
    (place.folder / "results").mkdir()

    done = job_run(job, *READ_ONLY, PATH=os.environ["PATH"], WRITABLE=str(place.folder / "results"))

    assert done.returncode == 0, done.stderr
    assert gateway.books().requests == 3


@needs_unshare
def test_a_read_only_root_without_a_volume_is_told_in_one_line(place: Place, gateway: ServedHere) -> None:
    job = a_job(place, gateway)

    done = job_run(job, *READ_ONLY, PATH=os.environ["PATH"], WRITABLE="")

    assert done.returncode == 3
    assert only_line(done) == f"Error: {place.folder}/results: can't be made: Read-only file system"
