"""What a dry run tells, without a process around it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from batch_runner.check.rehearsal import MOST_BODY, Rehearsal, rehearsal_document, rehearsal_lines, rehearse
from batch_runner.exits import ExitStatus
from batch_runner.intent import Order
from batch_runner.settings import read_settings

KEY = "sk-rehearsal-4711"
URL = "https://api.example.com/v1"
WITH_KEY = {"BATCH_RUNNER_API_KEY": KEY}


def rehearsed(folder: Path, *rows: Any, environment: dict[str, str] | None = None, **values: Any) -> Rehearsal:
    source = folder / "in.jsonl"
    source.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")
    order = Order(read_settings({"endpoint": URL} | values), (str(source),))
    return rehearse(order, environment=WITH_KEY if environment is None else environment)


def told(rehearsal: Rehearsal) -> str:
    return "\n".join(rehearsal_lines(rehearsal, 100))


def test_rows_cost_and_time_are_told_and_that_nothing_was_done(tmp_path: Path) -> None:
    rehearsal = rehearsed(tmp_path, {"prompt": "a"}, {"prompt": "b"}, {"prompt": ""}, rpm=60)

    lines = told(rehearsal).splitlines()

    assert lines[0] == f"3 rows: 2 new, 1 can't be sent → api.example.com, {tmp_path / 'in.results.jsonl'}"
    assert lines[1].endswith("in.jsonl:3: prompt is empty")
    assert {"Cost", "Time", "First request"} <= set(lines)
    assert lines[-1] == "dry run: nothing was sent, nothing was written"
    assert rehearsal.exit_status is ExitStatus.ROWS_NOT_OK


def test_a_shell_sends_the_first_request_as_a_run_would(tmp_path: Path) -> None:
    hard = 'it\'s "quoted" \\ $HOME `id` 你好\n\x1b[31m \u009b😀'
    rehearsal = rehearsed(tmp_path, {"prompt": hard, "params": {"seed": 4}}, {"prompt": "b"}, max_completion_tokens=9)

    words = subprocess.run(
        ["sh", "-c", "curl() { printf '%s\\0' \"$@\"; }\n" + rehearsal.first_request],
        env=WITH_KEY,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout.split(b"\0")

    assert words[:5] == [f"{URL}/chat/completions".encode(), b"-H", f"Authorization: Bearer {KEY}".encode(), b"-H", b"Content-Type: application/json"]  # fmt: skip # noqa: E501
    assert json.loads(words[6]) == {
        "model": "o1-mini",
        "messages": [{"role": "user", "content": hard}],
        "max_completion_tokens": 9,
        "seed": 4,
        "stream": False,
    }
    assert rehearsal.first_request.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("values", "environment", "shown"),
    [
        pytest.param({}, WITH_KEY, '"Authorization: Bearer $BATCH_RUNNER_API_KEY"', id="the usual variable"),
        pytest.param({"api_key_env": "MINE"}, {"MINE": KEY}, '"Authorization: Bearer $MINE"', id="another one"),
        pytest.param({"endpoint": "openai"}, {"OPENAI_API_KEY": KEY}, '"Authorization: Bearer $OPENAI_API_KEY"', id="openai"),
        pytest.param({"endpoint": "http://127.0.0.1:9/v1"}, {}, "curl 'http://127.0.0.1:9/v1/chat", id="none needed"),
        pytest.param({"endpoint": "fake"}, {}, "Bearer fake-key", id="the embedded endpoint"),
    ],
)
def test_the_key_is_named_and_never_shown(tmp_path: Path, values: Any, environment: dict[str, str], shown: str) -> None:
    rehearsal = rehearsed(tmp_path, {"prompt": "a"}, environment=environment, **values)

    assert shown in rehearsal.first_request
    assert KEY not in told(rehearsal) + json.dumps(rehearsal_document(rehearsal))
    assert ("Authorization" in rehearsal.first_request) is bool(environment or values["endpoint"] == "fake")


def test_a_key_that_a_command_prints_is_asked_for_by_the_shell(tmp_path: Path) -> None:
    rehearsal = rehearsed(tmp_path, {"prompt": "a"}, api_key_command="echo the-key")

    assert '"Authorization: Bearer $(echo the-key)"' in rehearsal.first_request


def test_a_key_in_a_file_is_read_by_the_shell(tmp_path: Path) -> None:
    (tmp_path / "the key").write_text(KEY)

    rehearsal = rehearsed(tmp_path, {"prompt": "a"}, environment={}, api_key_file=str(tmp_path / "the key"))

    assert f"Bearer $(cat '{tmp_path}/the key')" in rehearsal.first_request
    assert KEY not in told(rehearsal)


def test_a_run_that_would_not_begin_is_told_with_its_reasons(tmp_path: Path) -> None:
    rehearsal = rehearsed(tmp_path, {"id": "a", "prompt": "a"}, {"id": "a", "prompt": "b"}, {}, environment={}, strict=True)

    assert rehearsal.exit_status is ExitStatus.CANNOT_START
    assert [obstacle.split(" ")[0] for obstacle in rehearsal.obstacles] == ["the", "1", "no"]
    assert "a run wouldn't begin: no key for api.example.com: set BATCH_RUNNER_API_KEY" in told(rehearsal)
    assert rehearsal_document(rehearsal)["exit_status"] == 3


def test_a_huge_request_is_shown_shortened(tmp_path: Path) -> None:
    rehearsal = rehearsed(tmp_path, {"prompt": "a" * (MOST_BODY + 500)})

    assert len(rehearsal.first_request) < MOST_BODY + 500
    assert "characters more)" in rehearsal.first_request


def test_where_nothing_is_to_be_sent_there_is_no_request(tmp_path: Path) -> None:
    rehearsal = rehearsed(tmp_path, {"prompt": ""}, environment={})

    assert (rehearsal.first_request, rehearsal.obstacles) == ("", ())
    assert "Cost" not in told(rehearsal)
