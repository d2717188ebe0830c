from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from batch_runner.deadline import Deadline
from batch_runner.nightly.job_file import read_job
from batch_runner.nightly.outlook import Outlook
from batch_runner.nightly.tonight import tonight
from batch_runner.settings import read_settings
from tests.nightly.test_tonight import a_job, left, moment

if TYPE_CHECKING:
    from pathlib import Path

EVENING = "2026-11-24T22:00+01:00"


def outlook(folder: Path, keys: str = "", *, now: str = EVENING, **settings: Any) -> Outlook:
    job, told = a_job(folder, keys), read_settings({"endpoint": "fake"} | settings)
    night = tonight(job, moment(now))
    return Outlook(night, told, Deadline.of(told.ending, moment(now), 0.0, night.zone))


def lines(seen: Outlook) -> dict[str, str]:
    return dict(seen.lines())


def test_the_night_and_its_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/2026-11-24.jsonl").write_text('{"prompt": "a"}\n')

    told = lines(outlook(tmp_path))

    assert told == {
        "night": "2026-11-24, from 2026-11-24 12:00 CET",
        "zone": "Europe/Berlin",
        "inputs": f"{tmp_path}/in/2026-11-24.jsonl: 1 file",
        "output": f"{tmp_path}/results/2026-11-24/x.jsonl: not there yet",
        "asks": "o1-mini at fake; its key: none is needed",
    }


def test_times_and_budgets_are_told(tmp_path: Path) -> None:
    seen = outlook(
        tmp_path,
        'start_at = "22:00"\nmax_cost_per_night = 5\nmax_cost_per_job = 40',
        stop_at="06:30",
        max_duration="8h",
        max_cost=9,
    )

    told = lines(seen)

    assert told["starts"] == "22:00, once `job schedule` has it started"
    assert told["stops"] == "2026-11-25 06:30 CET"
    assert told["lasts"] == "8 h 00 min at most"
    assert told["costs"] == "at most $5.00 for a night, $40.00 for all nights, $9.00 for an output"


@pytest.mark.parametrize(
    ("rows", "said"), [({}, "unfinished"), ({"ok": 1, "unattempted": 1}, "unfinished"), ({"ok": 1, "failed": 1}, "finished")]
)
def test_how_the_output_stands_is_told(tmp_path: Path, rows: dict[str, Any], said: str) -> None:
    left(tmp_path, "2026-11-24", at=EVENING, **rows)

    assert lines(outlook(tmp_path))["output"].endswith(f": {said}")


def test_a_night_that_is_gone_on_with_is_told(tmp_path: Path) -> None:
    left(tmp_path, "2026-11-24", at=EVENING)

    assert lines(outlook(tmp_path, now="2026-11-25T13:00+01:00"))["night"].startswith("2026-11-24, ")
    assert lines(outlook(tmp_path, now="2026-11-25T13:00+01:00"))["night"].endswith("left unfinished, so it is gone on with")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"endpoint": "apicore"}, "in the variable APICORE_API_KEY, which is not set here"),
        ({"endpoint": "openai"}, "in the variable OPENAI_API_KEY"),
        ({"endpoint": "http://127.0.0.1:9/v1"}, "none is set, none is sent"),
        ({"endpoint": "apicore", "api_key_file": "/nowhere/key"}, "in /nowhere/key, which is not there"),
        ({"endpoint": "apicore", "api_key_file": "${CREDENTIALS_DIRECTORY}/key"}, "in ${CREDENTIALS_DIRECTORY}/key"),
        ({"endpoint": "apicore", "api_key_command": "pass show x"}, "printed by a command"),
    ],
)
def test_where_the_key_is_is_told_and_the_key_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], said: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.delenv("APICORE_API_KEY", raising=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.delenv("BATCH_RUNNER_API_KEY", raising=False)

    assert lines(outlook(tmp_path, **settings))["asks"].endswith(f"; its key: {said}")


def test_a_program_gets_the_same_as_a_document(tmp_path: Path) -> None:
    document = outlook(tmp_path, 'retry_failed_from = "previous"\nmax_cost_per_night = 5', stop_at="06:30").document()

    assert document == {
        "schema": 1,
        "job": "nightly",
        "file": str(tmp_path / "nightly.toml"),
        "night": "2026-11-24",
        "night_begins": "2026-11-24T11:00:00.000Z",
        "resumed": False,
        "zone": "Europe/Berlin",
        "inputs": [{"name": f"{tmp_path}/in/2026-11-24.jsonl", "found": "there is no such file"}],
        "retry_failed_from": "rows of the night before: there is none yet",
        "left": None,
        "output": f"{tmp_path}/results/2026-11-24/x.jsonl",
        "output_is": "not there yet",
        "endpoint": "fake",
        "model": "o1-mini",
        "stops_at": "2026-11-25T05:30:00.000Z",
        "max_duration_s": None,
        "tells": [],
        "lacking": ["inputs"],
        "keep": None,
        "keep_packed": None,
        "budgets_usd": {"max_cost_per_night": 5.0},
    }


def test_who_is_told_and_what_is_kept_is_told_without_secrets(tmp_path: Path) -> None:
    (tmp_path / "hook.url").write_text("https://chat.example.com/s3cr3t", encoding="utf-8")
    whom: dict[str, Any] = {
        "ping": "https://hc-ping.com/s3cr3t",
        "webhook": f"@{tmp_path}/hook.url",
        "notify": [f"@{tmp_path}/gone.url", "mailto://me:s3cr3t@host"],
        "summary": "{date}.md",
        "after": ["true", "x"],
        "log": "-",
    }

    told = list(outlook(tmp_path, "keep = 14\nkeep_packed = 60", **whom).lines())

    assert [value for name, value in told if name == "tells"] == [
        "ping https://hc-ping.com/***",
        "webhook https://chat.example.com/***",
        f"notify {tmp_path}/gone.url can't be read: No such file or directory",
        "notify mailto://***",
        "summary 2026-11-24.md",
        "log -",
        "after true",
    ]
    assert ("keeps", "14 nights, 60 packed") in told


def test_a_job_that_names_no_zone_is_told_whose_it_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    path = tmp_path / "nightly.toml"
    path.write_text('inputs = "a"\noutput = "b"\n', encoding="utf-8")

    seen = Outlook(tonight(read_job(str(path)), moment(EVENING)), read_settings({}), None)

    assert lines(seen)["zone"] == "Asia/Tokyo (the machine is in it; one named in [job] holds everywhere)"


def test_what_a_job_names_and_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APICORE_API_KEY", raising=False)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "in").mkdir()
    (tmp_path / "in/2026-11-24.jsonl").write_text('{"prompt": "a"}\n')

    whole = outlook(tmp_path, on_failure=["sh", "-c", "true"])
    lacks = outlook(tmp_path / "elsewhere", endpoint="apicore", on_failure=[f"{tmp_path}/gone.sh"])

    assert whole.lacking() == []
    assert lacks.lacking() == ["inputs", "its key", "tells"]
    assert lines(lacks)["tells"] == f"on_failure {tmp_path}/gone.sh, which is not there, or not to be run"


@pytest.mark.parametrize(
    ("keys", "inputs", "lacking"),
    [
        ('retry_failed_from = "itself"', "", ["retries"]),
        ('retry_failed_from = "previous"', "", ["retries"]),
        ('retry_failed_from = "previous"', 'inputs = "nightly.toml"\n', []),
    ],
)
def test_a_job_whose_only_rows_are_those_of_an_output_lacks_them_before_there_is_one(
    tmp_path: Path, keys: str, inputs: str, lacking: list[str]
) -> None:
    path = tmp_path / "nightly.toml"
    path.write_text(f'{inputs}output = "{{date}}.jsonl"\n[job]\n{keys}\n', encoding="utf-8")

    def lacks() -> list[str]:
        return Outlook(tonight(read_job(str(path)), moment(EVENING)), read_settings({"endpoint": "fake"}), None).lacking()

    assert lacks() == lacking
    for day in ("2026-11-23", "2026-11-24"):
        (tmp_path / f"{day}.jsonl").write_text("")
    assert lacks() == []


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ({"ok": 3, "unattempted": 2}, "was left with 2 rows never sent"),
        ({}, "was killed, and may have rows never sent"),
        ({"ok": 3, "unfinished": 1}, ""),
        ({"ok": 3}, ""),
    ],
)
def test_what_the_night_before_never_sent_is_told_with_the_command_that_sends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: dict[str, Any], what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    left(tmp_path, "2026-11-23", at="2026-11-23T22:00+01:00", **rows)

    seen = outlook(tmp_path)

    how = "which tonight's inputs don't hold: batch-runner job run nightly.toml --night 2026-11-23"
    assert lines(seen).get("left") == (f"the night of 2026-11-23 {what}, {how}" if what else None)
    assert seen.document()["left"] == ({"night": "2026-11-23", "unsent": rows.get("unattempted")} if what else None)


def test_nights_with_the_same_inputs_leave_nothing_behind(tmp_path: Path) -> None:
    left(tmp_path, "2026-11-23", at="2026-11-23T22:00+01:00", ok=3, unattempted=2)
    a_job(tmp_path)
    path = tmp_path / "nightly.toml"
    path.write_text(path.read_text().replace("in/{date}.jsonl", "in/all.jsonl"), encoding="utf-8")

    assert tonight(read_job(str(path)), moment(EVENING)).left is None
