"""What the documentation says is what the program does."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from batch_runner.account import read_token_usage
from batch_runner.advice import ADVICE
from batch_runner.commands.main import COMMANDS, cli
from batch_runner.commands.topics import INPUT, OUTPUT, environment, exit_codes
from batch_runner.condition import FUNCTIONS
from batch_runner.exits import MEANINGS, ExitStatus
from batch_runner.failures import FailureKind
from batch_runner.forms import OVERRIDES, PROMPT_NAMES, Unusable, read_line
from batch_runner.nightly.job_keys import job_table
from batch_runner.nightly.schedule import NO_FAILURES
from batch_runner.notices.metrics import METRICS
from batch_runner.output.lines import Run, run_line
from batch_runner.reporters.statement import failure_document, models_document, quota_document
from batch_runner.settings import table
from batch_runner.totals import Totals
from docs.generate import PAGES, regenerated

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_the_generated_parts_of_a_page_are_up_to_date(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")

    assert regenerated(text) == text, "run `make docs`"


def test_the_readme_example_prints_what_the_readme_shows(tmp_path: Path) -> None:
    console = README.split("## An example")[1].split("```console\n")[1].split("```")[0]
    shown = [part.split("\n", 1) for part in ("\n" + console).split("\n$ ")[1:]]

    for command, output in shown:
        if command.startswith("cat "):
            (tmp_path / shlex.split(command)[1]).write_text(output.strip() + "\n", encoding="utf-8")
            continue
        if command.startswith("batch-runner "):
            told = _run(command.split("#")[0], tmp_path)
            assert _without_times(told).strip() == _without_times(output).strip(), command


def test_the_example_of_the_account_page_prints_what_the_page_shows(tmp_path: Path) -> None:
    page = (ROOT / "docs/account.md").read_text(encoding="utf-8")
    command, shown = page.split("```console\n$ ")[1].split("```")[0].split("\n", 1)

    assert _run(command, tmp_path) == shown


def test_every_key_of_the_accounts_documents_is_in_their_page() -> None:
    page = (ROOT / "docs/account.md").read_text(encoding="utf-8")
    quota = read_token_usage({"data": {"total_available": 1}}, "/api/usage/token/")
    assert quota is not None

    for key in (*models_document((), "o1", "host", ""), *quota_document(quota, "host"), *failure_document("", "", "host")):
        assert f"`{key}`" in page, key


@pytest.mark.parametrize("name", [entry.name for entry in table()])
def test_every_setting_is_in_the_help_of_run(name: str) -> None:
    text = CliRunner().invoke(cli, ["run", "--help"]).output

    assert "--" + name.replace("_", "-") in text


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_opens_with_a_sentence_and_an_example(name: str) -> None:
    text = CliRunner().invoke(cli, [name, "--help"]).output

    opening = text.split("\n\n")[1].strip()
    assert opening[0].isupper()
    assert "." in opening
    assert name == "help" or "\n  Example:\n" in text


def test_every_exit_status_has_a_meaning() -> None:
    assert set(MEANINGS) == set(ExitStatus)
    assert all(str(int(status)) in exit_codes() for status in MEANINGS)


def test_every_failure_kind_comes_with_advice() -> None:
    assert set(ADVICE) == set(FailureKind)


def test_the_topic_environment_names_every_variable_and_none_of_those_meant_once() -> None:
    text = environment()

    assert all(entry.variable in text for entry in table() if entry.variable)
    for once in ("FRESH", "RERUN_CHANGED", "LIMIT", "YES", "ONLY"):
        assert f"BATCH_RUNNER_{once} " not in text


def test_the_topic_input_names_every_field_that_counts() -> None:
    assert all(name in INPUT for name in (*OVERRIDES, *PROMPT_NAMES, "params", "messages", "custom_id"))


def test_every_example_of_an_input_line_can_be_sent() -> None:
    page = (ROOT / "docs/inputs.md").read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]

    assert len(lines) > 5
    assert [line for line in lines if isinstance(read_line(line.encode()), Unusable)] == []


@pytest.mark.parametrize("place", ["topic", "page"])
def test_every_flag_about_rows_is_told_where_inputs_are_explained(place: str) -> None:
    text = INPUT if place == "topic" else (ROOT / "docs/inputs.md").read_text(encoding="utf-8")

    for name in (
        "template",
        "prompt_field",
        "id_field",
        "drop_answer",
        "images_from",
        "where",
        "sample",
        "seed",
        "repeat",
        "strict",
    ):
        assert "--" + name.replace("_", "-") in text
    assert all(f"`{name}`" in text or name in text for name in FUNCTIONS if place == "page")


def test_every_key_of_a_line_is_in_the_output_page() -> None:
    page = (ROOT / "docs/output.md").read_text(encoding="utf-8")
    line = orjson.loads(run_line(Run("r", "2026-01-01T00:00:00.000Z", "fake"), Totals()))

    for key in (*line, *line["run"], *line["totals"]["job"]):
        assert f"`{key}`" in page, key
    assert all(key in OUTPUT for key in line if key not in {"run", "totals", "fingerprint", "spent_other"} and key in OUTPUT)


def test_the_demo_job_sends_every_form_and_records_every_bad_line(tmp_path: Path) -> None:
    for folder in ("sample_inputs", "jobs"):
        (tmp_path / folder).symlink_to(ROOT / folder)

    done = subprocess.run(
        [sys.executable, "-m", "batch_runner", "job", "run", "jobs/demo.toml", "--json"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=False,
        timeout=60,
    )

    summary = orjson.loads(done.stdout)
    assert done.returncode == ExitStatus.ROWS_NOT_OK
    assert summary["rows"]["ok"] == 35
    assert summary["rows"]["invalid"] == 7


def _run(command: str, folder: Path) -> str:
    words = shlex.split(command)[1:]
    done = subprocess.run(
        [sys.executable, "-m", "batch_runner", *words],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout + done.stderr


def _without_times(text: str) -> str:
    text = re.sub(r"^time .*$", "time", text, flags=re.MULTILINE)
    text = re.sub(r"genai-prices [\d.]+( of [\d-]+)?", "genai-prices", text)
    return re.sub(r"\d{8}T\d{6}Z-[0-9a-f]{6}", "RUN", text)


def test_the_page_on_monitoring_names_flags_keys_and_metrics_that_there_are() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    flags = {entry.flag for entry in table()}
    of_commands = {"--job", "--max-age", "--watch", "--verify", "--json", "--dry-run", "--fail-on-drift"}
    keys = {entry.name for entry in (*table(), *job_table())}
    metrics = {metric.name for metric in METRICS}

    assert set(re.findall(r"`(--[a-z-]+)", page)) <= flags | of_commands
    assert {flag for entry in table() if entry.group in {"notify", "log"} for flag in [entry.flag]} <= set(
        re.findall(r"--[a-z-]+", page)
    ) | {"--notify-timeout", "--command-timeout"}
    assert {line.split(" = ")[0] for line in page.split("```toml\n")[1].split("```")[0].splitlines() if " = " in line} <= keys
    assert set(re.findall(r"batch_runner_\w+", page)) == metrics


def test_the_page_on_durability_names_tests_and_flags_that_exist() -> None:
    page = (ROOT / "docs" / "durability.md").read_text(encoding="utf-8")
    tests = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    flags = {flag for entry in table() for flag in (entry.flag, f"--no-{entry.flag[2:]}")}

    assert set(re.findall(r"`(test_\w+)`", page)) <= tests
    assert set(re.findall(r"`(--[\w-]+)`", page)) <= flags


def test_the_first_night_of_the_page_on_jobs_goes_as_the_page_says(tmp_path: Path) -> None:
    page = (ROOT / "docs/nightly.md").read_text(encoding="utf-8")
    prepare = page.split("```sh\n")[1].split("```")[0].splitlines()[-1]
    subprocess.run(prepare, shell=True, cwd=tmp_path, check=True)  # noqa: S602 - as the reader would
    (tmp_path / "nightly.toml").write_text(page.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    commands = [line[2:] for line in page.split("```console\n")[1].split("```")[0].splitlines()]
    schedules = [line.partition("#")[0] for line in page.split("```sh\n")[2].split("```")[0].splitlines()]

    told = [_run(command, tmp_path) for command in (*commands, *schedules)]

    assert len(told) == 5
    assert told[0].startswith("nightly.toml: the job nightly is fine")
    assert "2 rows: 2 new → fake" in told[1]
    assert "2 rows: 2 ok" in told[2]
    assert "OnCalendar=*-*-* 22:00:00 Europe/Berlin" in told[3]
    assert "job run" in told[4]


def test_the_page_on_jobs_tells_every_exit_status_and_only_keys_that_there_are() -> None:
    page = (ROOT / "docs/nightly.md").read_text(encoding="utf-8")
    table_of_ends = page.split("## How it ends")[1].split("##")[0]
    known = {entry.name for entry in (*table(), *job_table())}

    assert all(re.search(rf"\b{int(status)}\b", table_of_ends) for status in ExitStatus)
    assert {int(status) for status in NO_FAILURES} == {5, 7, 75, 130, 143}
    assert set(re.findall(r"`(?:\[\w+\] )?([a-z]+(?:_[a-z]+)+)(?: = [^`]*)?`", page)) <= known
