"""Whom a job tells, found from wherever it is started, and let through by the manager of its service."""

from __future__ import annotations

from datetime import UTC, time
from pathlib import Path
from typing import TYPE_CHECKING

from batch_runner.nightly.job_file import read_job
from batch_runner.nightly.outputs import Outputs
from batch_runner.nightly.placing import placement
from batch_runner.settings import Settings, read_settings

if TYPE_CHECKING:
    import pytest

JOB = """
inputs = "in.jsonl"
output = "out/{date}.jsonl"

[request]
endpoint = "fake"

[notify]
ping = "@ping.url"
notify = ["json://host/x", "@mail.url"]
metrics = "node/nightly.prom"
summary = "mornings/{date}/summary.md"
before = ["./export.sh", "./stays"]
after = "true"

[log]
log = "nightly.log"
"""


def settings_of(folder: Path, text: str = JOB) -> tuple[Path, Settings]:
    """Of a job file in `folder`."""
    path = folder / "nightly.toml"
    path.write_text(text, encoding="utf-8")
    return path, read_settings(read_job(str(path)).settings)


def test_files_and_commands_of_a_job_are_found_from_its_own_folder(tmp_path: Path) -> None:
    _, settings = settings_of(tmp_path)

    whom = settings.notify
    assert whom.ping == f"@{tmp_path}/ping.url"
    assert whom.notify == ("json://host/x", f"@{tmp_path}/mail.url")
    assert (whom.metrics, settings.log.log) == (f"{tmp_path}/node/nightly.prom", f"{tmp_path}/nightly.log")
    assert whom.before == (f"{tmp_path}/export.sh", "./stays")
    assert whom.after == ("true",)


def test_a_log_on_standard_error_is_no_file(tmp_path: Path) -> None:
    _, settings = settings_of(tmp_path, JOB.replace('"nightly.log"', '"-"'))

    assert settings.log.log == "-"


def test_a_service_may_write_what_it_tells_and_has_the_time_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, settings = settings_of(tmp_path)
    monkeypatch.setenv("BATCH_RUNNER_PING", "https://hc-ping.com/s3cr3t")
    monkeypatch.setenv("BATCH_RUNNER_NOTIFY_TIMEOUT", "9s")

    place = placement(read_job(str(path)), settings, UTC, Outputs(f"{tmp_path}/out/{{date}}.jsonl"), at=time(22))

    assert {tmp_path / "node", tmp_path / "mornings", tmp_path} <= set(place.writable)
    assert place.drain_seconds == 300 + 30 + 600
    assert "BATCH_RUNNER_NOTIFY_TIMEOUT" in place.environment
    assert "BATCH_RUNNER_PING" not in place.environment
