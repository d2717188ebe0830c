"""The command: one line when it is ready, a dump when it is told to stop, and one clear complaint when it can't start."""

import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from urllib.parse import urlsplit

import orjson
import pytest
from click.testing import CliRunner

from batch_runner.fake_server.cli import fake_server

COMMAND = [sys.executable, "-m", "batch_runner.fake_server"]


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server in a process of its own, and where it is."""
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("fake gateway at http://127.0.0.1:")
        try:
            yield line.split()[-1], process
        finally:
            process.kill()


def post(url: str, key: str, prompt: str) -> bytes:
    body = orjson.dumps({"model": "o1-mini", "messages": [{"role": "user", "content": prompt}]})
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/chat/completions", body, headers)) as response:  # noqa: S310
        answer: bytes = response.read()
    return answer


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop_and_dumps_its_books(tmp_path: Path, number: signal.Signals) -> None:
    dump = tmp_path / "books.json"
    answers = tmp_path / "answers.jsonl"
    answers.write_text('{"prompt": "hello", "content": "scripted"}\n')

    with serving("--dump", str(dump), "--answers", str(answers), "--key", "sk-a") as (url, process):
        answered = orjson.loads(post(url, "sk-a", "hello"))
        process.send_signal(number)
        assert process.wait(timeout=5) == 0

    assert answered["choices"][0]["message"]["content"] == "scripted"
    assert orjson.loads(dump.read_bytes())["totals"]["answered"] == 1


@pytest.mark.skipif(which("curl") is None, reason="curl is not installed")
def test_curl_runs_against_it() -> None:
    body = '{"model":"o1-mini","messages":[{"role":"user","content":"晚上好"}],"max_completion_tokens":1688}'
    with serving("--echo") as (url, _process):
        request = [f"{url}/chat/completions", "-H", "Authorization: Bearer x", "-H", "Content-Type: application/json"]
        done = subprocess.run(["curl", "-sS", *request, "-d", body], capture_output=True, check=True)

    assert orjson.loads(done.stdout)["choices"][0]["message"]["content"] == "晚上好"


def test_the_shipped_scenarios_are_listed() -> None:
    listed = CliRunner().invoke(fake_server, ["--list"])

    assert listed.exit_code == 0
    assert "gateway_at_night" in listed.output


def test_a_scenario_that_does_not_exist_is_one_complaint() -> None:
    refused = CliRunner().invoke(fake_server, ["--scenario", "clam"])

    assert refused.exit_code == 1
    assert refused.output.startswith("Error: clam:\n  neither a file nor a shipped scenario; those are ")


def test_answers_that_cannot_be_read_are_one_complaint(tmp_path: Path) -> None:
    refused = CliRunner().invoke(fake_server, ["--answers", str(tmp_path / "absent.jsonl")])

    assert refused.exit_code == 1
    assert "can't be read" in refused.output


def test_a_port_that_is_taken_is_one_complaint() -> None:
    with serving() as (url, _process):
        port = str(urlsplit(url).port)
        refused = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, check=False)

    assert refused.returncode == 1
    assert refused.stderr.startswith(f"Error: can't listen at 127.0.0.1:{port}: ")
    assert len(refused.stderr.splitlines()) == 1


def test_a_dump_that_could_not_be_written_is_said_at_once(tmp_path: Path) -> None:
    refused = CliRunner().invoke(fake_server, ["--dump", str(tmp_path / "absent" / "books.json")])

    assert refused.exit_code == 2
    assert "there is no folder" in refused.output


def test_help_opens_with_a_sentence_and_an_example() -> None:
    shown = CliRunner().invoke(fake_server, ["-h"]).output

    assert "Serve a fake o1 endpoint" in shown
    assert "Example:\n    batch-runner fake-server --port 8080 --scenario gateway_at_night\n" in shown
