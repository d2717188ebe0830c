"""The jobs in `jobs/`, run as they are."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch_runner.nightly.job_file import read_job
from tests.end_to_end.conftest import REPOSITORY
from tests.end_to_end.nights import Nightly

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Place

JOBS = sorted(path.name for path in (REPOSITORY / "jobs").glob("*.toml") if path.name != "base.toml")


@pytest.fixture
def shipped(place: Place) -> Place:
    """A folder with the jobs and the samples in it."""
    for name in ("jobs", "sample_inputs"):
        (place.folder / name).symlink_to(REPOSITORY / name)
    return place


def job(place: Place, name: str) -> Nightly:
    return Nightly(place, Path("jobs") / f"{name}.toml")


@pytest.mark.parametrize("name", [name for name in JOBS if name != "demo.toml"])
def test_every_job_opens_with_what_it_does_and_when_and_why_and_can_be_scheduled(name: str) -> None:
    text = (REPOSITORY / "jobs" / name).read_text(encoding="utf-8")

    assert [line.split()[1] for line in text.splitlines()[:3]] == ["What:", "When:", "Why:"]
    assert read_job(str(REPOSITORY / "jobs" / name)).keys.start_at is not None


@pytest.mark.parametrize("name", JOBS)
def test_every_job_is_right_and_the_one_that_retries_waits_for_a_night(shipped: Place, name: str) -> None:
    checked = shipped.run("job", "check", f"jobs/{name}")

    assert (checked.status, checked.err) == (3 if name == "retry.toml" else 0, "")
    assert ("but not all that it names is there: retries" in checked.out) == (name == "retry.toml")
    assert "its key: none is needed" in checked.out


def test_a_nightly_evaluation_and_its_retry_in_the_morning(shipped: Place) -> None:
    early = job(shipped, "retry").run("2026-11-24T20:00+01:00")
    night = job(shipped, "nightly").run("2026-11-24T22:00+01:00")
    morning = job(shipped, "retry").run("2026-11-25T07:00+01:00")

    assert (early.status, night.status, morning.status) == (3, 0, 0)
    assert "21 rows: 21 ok" in night.err
    assert "nothing to send" in morning.err
    assert (shipped.folder / "demo-output/nightly/2026-11-24/answers.jsonl").is_file()
    assert (shipped.folder / "demo-output/nightly/2026-11-24/summary.md").read_text().startswith("# nightly: 21 rows ok")


def test_a_backfill_takes_as_many_nights_as_its_budget_asks_for(shipped: Place) -> None:
    evenings = [datetime.fromisoformat(f"2026-11-{day}T23:00+01:00").isoformat() for day in range(10, 30)]
    ends = []
    for evening in evenings:
        ends.append(job(shipped, "backfill").run(evening).status)
        if ends[-1] != 5:
            break

    assert ends[0] == 5
    assert ends[-1] == 0
    assert len(shipped.by_id(shipped.folder / "demo-output/backfill.jsonl")) == 34
