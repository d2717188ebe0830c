"""How the command speaks: where, how much, and what it says to a mistake."""

from __future__ import annotations

import gzip
import json
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from batch_runner import run_file
from batch_runner.__main__ import _status
from batch_runner.fake_server import Canned, Fault, Fixed, Latency, Scenario, Status
from tests.end_to_end.conftest import KEY, REPOSITORY, Ended, until

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.end_to_end.conftest import Place, ServedHere, Servers

ANSWER = {
    "id": "chatcmpl-1",
    "model": "o1-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
}
BAD = Scenario(faults=(Fault(Canned("context_length_exceeded"), prompt="bad"),))


def run(place: Place, gateway: ServedHere, *more: str, **how: Any) -> Ended:
    return place.run("run", place.prompts, "--endpoint", gateway.url, *more, **how)


def one_line(end: Ended) -> bool:
    return end.err.startswith("Error: ") and end.err.count("\n") == 1 and end.out == ""


# Help


def test_a_bare_command_shows_help_and_is_no_mistake(place: Place) -> None:
    end = place.run()

    assert end.status == 0
    assert "Example:" in end.out
    assert end.err == ""


@pytest.mark.parametrize("arguments", [("-h",), ("run", "-h"), ("retry", "--help"), ("status", "-h"), ("job", "run", "-h")])
def test_help_opens_with_how_to_use_it_and_an_example(place: Place, arguments: tuple[str, ...]) -> None:
    end = place.run(*arguments)

    assert end.status == 0
    assert end.out.startswith("Usage: batch-runner")
    assert "Example:" in end.out


def test_the_version_names_python_and_the_platform(place: Place) -> None:
    end = place.run("--version")

    assert end.status == 0
    assert end.out.startswith("batch-runner ")
    assert f"Python {platform.python_version()}" in end.out
    assert platform.system() in end.out


def loaded_by(place: Place, *arguments: str | Path) -> set[str]:
    """The modules that a command imports before it ends well."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "batch_runner", *arguments],
        cwd=place.folder,
        env=place.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "click" in loaded
    return loaded


@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(place: Place, flag: str) -> None:
    ours = {"fake_server", "runner", "records", "settings", "commands.run", "commands.running"}

    assert not {"aiohttp", "asyncio", "numpy", "orjson", "rich", *(f"batch_runner.{name}" for name in ours)} & loaded_by(
        place, flag
    )


def test_a_run_of_some_thousand_rows_loads_nothing_that_only_others_need(place: Place, gateway: ServedHere) -> None:
    ours = {"check", "fake_server", "pilot", "nightly", "notices.log", "output.columns", "sorted_keys"}
    theirs = {"aiolimiter", "apprise", "difflib", "genai_prices", "numpy", "pydantic", "rich", "structlog", "zipfile"}
    heavy = theirs | {f"batch_runner.{name}" for name in ours}
    place.write_questions(3)
    command = ("run", place.prompts, "--endpoint", gateway.url)

    first = loaded_by(place, *command)
    place.write_questions(5)
    resumed = loaded_by(place, *command)

    assert gateway.books().requests == 5
    assert "aiohttp" in first
    assert not heavy & (first | resumed)


# Mistakes


@pytest.fixture
def at_once(place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs a command in the test's own process: for what ends before it has begun, and has no signals to hear."""

    def ended(*arguments: str | Path) -> Ended:
        monkeypatch.chdir(place.folder)
        monkeypatch.setattr(sys, "argv", ["batch-runner", *map(str, arguments)])
        status = _status()
        return Ended(status, *capfd.readouterr())

    return ended


def test_an_unknown_flag_ends_with_2_and_a_guess(place: Place) -> None:
    place.write_questions(1)

    end = place.run("run", place.prompts, "--max-completion-token", "5")

    assert end.status == 2
    assert "--max-completion-tokens" in end.err
    assert "Did you mean" in end.err or "did you mean" in end.err
    assert end.out == ""


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        pytest.param(("run", "none.jsonl"), 3, ["none.jsonl", "no such file"], id="no such input"),
        pytest.param(("run", "*.nothing", "-o", "out.jsonl"), 3, ["*.nothing"], id="a glob that matches nothing"),
        pytest.param(("run", ".", "-o", "out.jsonl"), 3, ["folder"], id="a folder as the input"),
        pytest.param(("run", "prompts.jsonl", "-o", "."), 3, ["folder"], id="a folder as the output"),
        pytest.param(("run", "prompts.jsonl", "-o", "prompts.jsonl/x.jsonl"), 3, ["prompts.jsonl"], id="an output below a file"),
        pytest.param(("run", "prompts.jsonl", "-o", "prompts.jsonl"), 3, ["-o"], id="the input as the output"),
        pytest.param(("run", "prompts.jsonl", "-o", "other.txt"), 3, ["other.txt", "-o"], id="an output that isn't ours"),
        pytest.param(("run", "prompts.jsonl", "more.jsonl"), 2, ["-o"], id="several inputs and no output"),
        pytest.param(("run", "*.jsonl"), 2, ["-o"], id="a glob and no output"),
        pytest.param(("run", "-"), 2, ["-o"], id="standard input and no output"),
        pytest.param(("run", "prompts.jsonl", "--endpoint", "opnai"), 2, ["opnai", "openai"], id="an unknown endpoint"),
        pytest.param(("run", "prompts.jsonl", "--endpoint", "ftp://x/v1"), 2, ["https://"], id="an endpoint of another kind"),
        pytest.param(("run", "prompts.jsonl", "--only", "trunkated"), 2, ["trunkated", "truncated"], id="an unknown state"),
        pytest.param(("run", "prompts.jsonl", "--system", "@gone.txt"), 2, ["gone.txt"], id="a missing file of instructions"),
        pytest.param(("run", "prompts.jsonl", "--param", "model=o1"), 2, ["--model"], id="a parameter with a flag of its own"),
        pytest.param(("run", "prompts.jsonl", "--param", "stream=true"), 2, ["stream"], id="a stream"),
        pytest.param(("run", "prompts.jsonl"), 3, ["APICORE_API_KEY", "--endpoint fake"], id="no key"),
        pytest.param(("run", "prompts.jsonl", "--api-key-file", "gone.key"), 3, ["gone.key"], id="a missing key file"),
        pytest.param(("run", "half.jsonl.gz", "-o", "out.jsonl"), 3, ["half.jsonl.gz"], id="an archive that is none"),
        pytest.param(("retry", "none.results.jsonl"), 3, ["none.results.jsonl"], id="nothing to retry"),
        pytest.param(("retry", "other.txt"), 3, ["other.txt"], id="retry of a file that isn't ours"),
        pytest.param(("status", "none.results.jsonl"), 3, ["none.results.jsonl"], id="status of nothing"),
        pytest.param(("status", "."), 3, ["directory"], id="status of a folder"),
        pytest.param(("job", "run", "none.toml"), 3, ["none.toml"], id="no such job file"),
        pytest.param(("job", "run", "other.txt"), 2, ["other.txt"], id="a job file that isn't TOML"),
        pytest.param(("job", "run", "typo.toml"), 2, ["typo.toml:3", "modle", "model"], id="a typing error in a job file"),
    ],
)
def test_a_mistake_gets_one_line_with_the_value_and_no_traceback(
    place: Place, at_once: Callable[..., Ended], arguments: tuple[str, ...], status: int, words: list[str]
) -> None:
    place.write_questions(1)
    place.write_questions(1, "more.jsonl")
    (place.folder / "other.txt").write_text("precious\n")
    (place.folder / "half.jsonl.gz").write_bytes(b"no gzip at all")
    (place.folder / "typo.toml").write_text('inputs = "prompts.jsonl"\n[request]\nmodle = "o1"\n')

    end = at_once(*arguments)

    assert end.status == status, end.err
    assert one_line(end), end.err
    assert all(word in end.err for word in words), end.err
    assert (place.folder / "other.txt").read_text() == "precious\n"


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--rpm", "fast"),
        ("--timeout", "soon"),
        ("-c", "0"),
        ("-n", "-1"),
        ("--max-failed", "120%"),
        ("--reasoning-effort", "hard"),
    ],
)
def test_a_value_that_cannot_be_meant_so_names_flag_and_value(
    place: Place, at_once: Callable[..., Ended], flag: str, value: str
) -> None:
    place.write_questions(1)

    end = at_once("run", place.prompts, flag, value)

    assert end.status == 2
    assert flag in end.err
    assert value in end.err
    assert "Traceback" not in end.err


def test_a_key_given_in_place_of_a_variable_is_refused_and_not_repeated(place: Place) -> None:
    place.write_questions(1)

    end = place.run("run", place.prompts, "--api-key-env", "sk-a-secret-typed-in-haste")

    assert end.status == 2
    assert "haste" not in end.err


def test_repeated_ids_stop_the_run_before_anything_is_sent(place: Place, gateway: ServedHere) -> None:
    place.write([{"id": "a", "prompt": "one"}, {"id": "b", "prompt": "two"}, {"custom_id": "a", "prompt": "three"}])

    end = run(place, gateway)

    assert end.status == 3
    assert one_line(end)
    assert f"'a' at {place.prompts}:1 and {place.prompts}:3" in end.err
    assert gateway.books().requests == 0
    assert not place.out.exists()


# Where it speaks


def test_without_json_nothing_stands_on_stdout(place: Place, gateway: ServedHere) -> None:
    place.write_questions(2)

    end = run(place, gateway)

    assert end.out == ""
    assert "2 rows: 2 ok" in end.err
    assert "\x1b" not in end.err


def test_json_is_one_document_on_stdout(place: Place, servers: Servers) -> None:
    place.write([{"prompt": "good"}, {"prompt": "bad"}])

    end = run(place, servers.gateway(BAD), "--json")

    told = end.document
    assert end.status == told["exit_status"] == 10
    assert told["schema"] == 1
    assert told["output"] == str(place.out)
    assert (told["rows"]["ok"], told["rows"]["failed"]) == (1, 1)
    assert [(failure["kind"], failure["rows"]) for failure in told["failures"]] == [("context_too_long", 1)]
    assert told["run"]["attempts"] == 2
    assert told["next"] == f"batch-runner retry {place.out}"


def test_json_with_nothing_to_send_is_a_document_too(place: Place, gateway: ServedHere) -> None:
    place.write_questions(2)
    run(place, gateway)

    end = run(place, gateway, "--json")

    assert end.document["rows"]["ok"] == 2
    assert end.document["run"]["attempts"] == 0


def test_quiet_says_nothing_when_all_is_well_and_why_when_it_is_not(place: Place, servers: Servers) -> None:
    place.write_questions(3)
    gateway = servers.gateway()

    fine = run(place, gateway, "-q")
    place.write_questions(6)
    gateway.plays(Scenario(faults=(Fault(Canned("insufficient_quota")),)))
    stopped = run(place, gateway, "-q")

    assert (fine.status, fine.out, fine.err) == (0, "", "")
    assert stopped.status == 4
    assert stopped.err.startswith("quota_exhausted")
    assert stopped.err.count("\n") == 1


def test_verbose_tells_of_every_failed_attempt(place: Place, servers: Servers) -> None:
    place.write([{"id": "a", "prompt": "one"}])
    gateway = servers.gateway(Scenario(faults=(Fault(Canned("server_error"), attempts=(1,)),)))

    end = run(place, gateway, "-v")

    assert end.status == 0
    assert "row a: server_error (HTTP 500)" in end.err
    assert "again in" in end.err


def test_a_reader_that_closes_the_pipe_is_no_error(place: Place, gateway: ServedHere) -> None:
    place.write_questions(2)
    run(place, gateway)
    reading, writing = os.pipe()
    os.close(reading)

    end = place.start("status", place.out, "--json", stdout=writing).ended()
    os.close(writing)

    assert end.err == ""


def test_the_next_command_can_be_pasted(place: Place, servers: Servers) -> None:
    folder = place.folder / "a folder"
    folder.mkdir()
    place.write([{"prompt": "bad"}], "a folder/my prompts.jsonl")
    gateway = servers.gateway(BAD)

    end = place.run("run", "a folder/my prompts.jsonl", "--endpoint", gateway.url)
    (told,) = [line.removeprefix("next     ") for line in end.err.splitlines() if line.startswith("next")]
    gateway.plays(Scenario())
    again = place.run(*shlex.split(told)[1:])

    assert end.status == 10
    assert again.status == 0, again.err
    assert gateway.books().requests == 2


@pytest.mark.parametrize(("allowed", "status"), [("0", 10), ("1", 10), ("2", 0), ("49%", 10), ("50%", 0)])
async def test_max_failed_moves_the_line_between_10_and_0(place: Place, servers: Servers, allowed: str, status: int) -> None:
    place.write([{"prompt": "bad"}, {"prompt": "good"}, {"prompt": "bad too"}, {"prompt": "fine"}])

    report = await run_file(place.prompts, endpoint=servers.gateway(BAD).url, max_failed=allowed)

    assert report.exit_status == status


def test_answers_without_a_cap_are_warned_about(place: Place, gateway: ServedHere) -> None:
    place.write([{"prompt": "one"}, {"prompt": "two", "max_completion_tokens": 100}])

    without = run(place, gateway, "-n", "1")
    with_cap = run(place, gateway, "--max-completion-tokens", "900")

    assert "1 row without --max-completion-tokens: an answer may use up to 65,536 tokens" in without.err
    assert "without --max-completion-tokens" not in with_cap.err


# Environment and keys


def test_what_is_meant_once_cannot_be_set_by_an_inherited_environment(place: Place, gateway: ServedHere) -> None:
    place.write_questions(3)
    run(place, gateway)
    once = {f"BATCH_RUNNER_{name}": "1" for name in ("FRESH", "RERUN_CHANGED", "YES", "LIMIT", "ACCEPT_OTHER_ENDPOINT", "ONLY")}
    place.write_questions(4)

    grown = run(place, gateway, env=once)
    changed = run(place, gateway, "-m", "o1", env=once)

    assert grown.status == 0, grown.err
    assert changed.status == 3
    assert gateway.books().requests == 4
    assert list(place.folder.glob("*.bak")) == []


def test_a_setting_in_the_environment_counts_and_a_flag_beats_it(place: Place, gateway: ServedHere) -> None:
    place.write_questions(1)
    env = {"BATCH_RUNNER_MODEL": "o1", "BATCH_RUNNER_MAX_COMPLETION_TOKENS": "800"}

    run(place, gateway, env=env)
    by_environment = place.rows()[0]
    run(place, gateway, "-m", "o3-mini", "--fresh", env=env)
    by_flag = place.rows()[0]

    assert (by_environment["model"], by_environment["max_completion_tokens"]) == ("o1", 800)
    assert (by_flag["model"], by_flag["max_completion_tokens"]) == ("o3-mini", 800)


def test_openai_base_url_moves_the_endpoint_openai_and_its_key_with_it(place: Place, gateway: ServedHere) -> None:
    place.write_questions(1)
    env = {"OPENAI_BASE_URL": gateway.url, "OPENAI_API_KEY": "sk-openai-1", "APICORE_API_KEY": "sk-apicore-1"}

    end = place.run("run", place.prompts, "--endpoint", "openai", env=env)

    assert end.status == 0, end.err
    assert gateway.books().authorizations == {"Bearer sk-openai-1"}


def test_a_key_of_a_named_endpoint_never_goes_to_another_address(place: Place, servers: Servers) -> None:
    place.write_questions(1)
    seen: list[str | None] = []

    async def look(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("authorization"))
        return web.json_response(ANSWER)

    url = servers.by_hand(look)
    env = {"OPENAI_API_KEY": "sk-openai-1", "APICORE_API_KEY": "sk-apicore-1", "BATCH_RUNNER_API_KEY": "", "OPENAI_BASE_URL": url}

    end = place.run("run", place.prompts, "--endpoint", url, env=env)

    assert end.status == 0, end.err
    assert seen == [None]


def test_a_key_comes_from_the_variable_or_the_file_that_was_named(place: Place, gateway: ServedHere) -> None:
    place.write_questions(1)
    (place.folder / "my.key").write_text("sk-from-a-file\n")

    run(place, gateway, "--api-key-env", "MY_KEY", env={"MY_KEY": "sk-from-a-variable"})
    run(place, gateway, "--api-key-file", "my.key", "--fresh")

    assert gateway.books().authorizations == {"Bearer sk-from-a-variable", "Bearer sk-from-a-file"}


def test_a_service_of_this_machine_that_wants_a_key_and_got_none_says_first_where_to_set_it(
    place: Place, servers: Servers
) -> None:
    place.write_questions(1)
    gateway = servers.gateway(Scenario(keys=(KEY,)))

    end = run(place, gateway, env={"BATCH_RUNNER_API_KEY": ""})

    assert end.status == 4
    assert "\ninvalid_key: no key was sent: set BATCH_RUNNER_API_KEY (or name another" in end.err
    assert run(place, gateway).status == 0


@pytest.mark.parametrize("key", [KEY, "plain-secret/4711+=="], ids=["sk", "plain"])
def test_a_key_never_appears_anywhere_even_when_the_service_repeats_it(place: Place, servers: Servers, key: str) -> None:
    place.write_questions(3)

    async def repeat(request: web.Request) -> web.StreamResponse:
        told = request.headers["authorization"]
        text = (await request.text())[:0] + f"you sent {told}, that is {told.removeprefix('Bearer ')}"
        status = {"question 0": 400, "question 1": 500}.get(json.loads(await request.text())["messages"][0]["content"], 401)
        return web.json_response({"error": {"message": text, "type": "x", "code": key}}, status=status)

    url = servers.by_hand(repeat)

    ends = [
        place.run(
            "run",
            place.prompts,
            "--endpoint",
            url,
            "-v",
            "--max-attempts",
            "1",
            "-c",
            "1",
            *more,
            env={"BATCH_RUNNER_API_KEY": key},
        )
        for more in ((), ("--json", "--retry-failed"))
    ]

    told = "".join(end.out + end.err for end in ends).encode()
    kept = b"".join(path.read_bytes() for path in place.folder.iterdir())
    assert b"you sent" in told
    assert b"you sent" in kept
    assert key.encode() not in told
    assert key.encode() not in kept
    assert json.dumps(key)[1:-1].encode() not in told + kept


def test_a_key_that_is_a_mere_word_garbles_no_message(place: Place, servers: Servers) -> None:
    place.write([{"prompt": "one"}])
    complaint = {"error": {"message": "none of these fit", "type": "invalid_request_error"}}
    gateway = servers.gateway(Scenario(faults=(Fault(Status(400, complaint)),)))

    run(place, gateway, env={"BATCH_RUNNER_API_KEY": "none"})

    assert place.rows()[0]["message"] == "none of these fit"


# Inputs


def test_standard_input_is_kept_before_the_first_request_and_the_run_can_be_resumed(place: Place, servers: Servers) -> None:
    text = "".join(f'{{"id": "r{number}", "prompt": "question {number}"}}\n' for number in range(3))
    copy = place.folder / "answers.jsonl.input.jsonl.zst"
    out = place.folder / "answers.jsonl"
    seen: list[bool] = []

    async def look(_request: web.Request) -> web.StreamResponse:
        with zstd.open(copy, "rb") as file:
            seen.append(file.read().decode() == text)
        return web.json_response(ANSWER)

    url = servers.by_hand(look)

    first = place.run("run", "-", "-o", out, "--endpoint", url, text=text)
    again = place.run("run", "-", "-o", out, "--endpoint", url, text=text)
    from_copy = place.run("run", copy, "-o", out, "--endpoint", url)

    assert (first.status, again.status, from_copy.status) == (0, 0, 0), first.err + again.err + from_copy.err
    assert seen == [True] * 3
    assert {row["source"] for row in place.rows(out)} == {"stdin:1", "stdin:2", "stdin:3"}


def test_an_output_of_ours_in_a_glob_is_passed_over_with_a_note(place: Place, gateway: ServedHere) -> None:
    place.write_questions(2)
    run(place, gateway)

    end = place.run("run", "*.jsonl", "-o", "answers.jsonl", "--endpoint", gateway.url)
    again = place.run("run", "*.jsonl", "-o", "answers.jsonl", "--endpoint", gateway.url)

    assert (end.status, again.status) == (0, 0), end.err + again.err
    assert "passed over prompts.results.jsonl" in end.err
    assert gateway.books().requests == 4


def test_an_output_of_ours_alone_is_no_input(place: Place, gateway: ServedHere) -> None:
    place.write_questions(2)
    run(place, gateway)

    end = place.run("run", place.out, "--endpoint", gateway.url)

    assert end.status == 3
    assert one_line(end)
    assert "batch-runner retry" in end.err


def test_files_that_are_packed_or_come_from_windows_are_read(place: Place, gateway: ServedHere) -> None:
    (place.folder / "a.jsonl.gz").write_bytes(gzip.compress(b'{"prompt": "packed"}\n'))
    (place.folder / "b.jsonl.zst").write_bytes(zstd.compress(b'{"prompt": "packed too"}\n'))
    (place.folder / "c.jsonl").write_bytes(b'\xef\xbb\xbf{"prompt": "from afar"}\r\n\r\n{"prompt": "last"}')

    end = place.run("run", "a.jsonl.gz", "b.jsonl.zst", "c.jsonl", "-o", "out.jsonl", "--endpoint", gateway.url)

    assert end.status == 0, end.err
    assert set(gateway.books().attempts) == {"packed", "packed too", "from afar", "last"}


def test_a_job_file_names_everything_relative_to_itself(place: Place, gateway: ServedHere) -> None:
    jobs = place.folder / "jobs"
    jobs.mkdir()
    place.write_questions(2, "jobs/rows.jsonl")
    (jobs / "my.key").write_text("sk-of-the-job")
    (jobs / "nightly.toml").write_text(
        'inputs = ["rows.jsonl"]\noutput = "answers.jsonl"\n'
        f'[request]\nendpoint = "{gateway.url}"\napi_key_file = "my.key"\nmodel = "o1"\nmax_completion_tokens = 900\n'
        "[limits]\nconcurrency = 2\n"
    )

    end = place.run("job", "run", "jobs/nightly.toml", env={"BATCH_RUNNER_MODEL": "o3-mini"})

    rows = place.rows(jobs / "answers.jsonl")
    assert end.status == 0, end.err
    assert [(row["model"], row["max_completion_tokens"]) for row in rows] == [("o3-mini", 900)] * 2
    assert gateway.books().authorizations == {"Bearer sk-of-the-job"}
    assert place.lines(jobs / "answers.jsonl")[0]["run"]["job"] == "nightly"


# Status


def test_status_tells_a_running_an_ended_and_a_killed_run_apart(place: Place, servers: Servers) -> None:
    place.write_questions(4)
    gateway = servers.gateway(Scenario(latency=Latency(seconds=Fixed(60))))
    started = place.start("run", place.prompts, "--endpoint", gateway.url, "-c", "2")
    until(lambda: gateway.books(rows=False).open >= 2)

    running = place.run("status", place.out)
    running_document = place.run("status", place.out, "--json").document
    started.signal(signal.SIGKILL)
    started.ended()
    killed = place.run("status", place.out)
    gateway.plays(Scenario())
    run(place, gateway)
    ended = place.run("status", place.out)
    document = place.run("status", place.out, "--json").document

    assert (running.status, killed.status, ended.status) == (75, 21, 0)
    assert "running: 0 of 4 rows" in running.out
    assert str(started.pid) in running.out
    assert (running_document["state"], running_document["heartbeat"]["pid"]) == ("running", started.pid)
    assert "was killed; the same command goes on" in killed.out
    assert "4 rows: 4 ok" in ended.out
    assert (document["state"], document["rows"]["ok"]) == ("finished", 4)
    assert ended.err == ""


def test_a_run_can_be_watched_until_it_ends(place: Place, servers: Servers) -> None:
    place.write_questions(4)
    gateway = servers.gateway(Scenario(latency=Latency(seconds=Fixed(60))))
    started = place.start("run", place.prompts, "--endpoint", gateway.url, "-c", "2", "--drain-timeout", "0.1s")
    until(lambda: gateway.books(rows=False).open >= 2)
    watching = place.start("status", place.out, "--watch")
    assert watching.process.stdout is not None
    first = watching.process.stdout.readline().decode()
    tired = place.start("status", place.out, "--watch")
    assert tired.process.stdout is not None
    tired.process.stdout.readline()
    tired.signal(signal.SIGINT)
    looked_away = tired.ended()

    started.signal(signal.SIGINT)
    started.ended()
    end = watching.ended()

    assert "prompts.results.jsonl: running: 0 of 4 rows of this run" in first
    assert (looked_away.status, looked_away.err) == (130, "")
    assert end.status == 20
    assert "interrupted: 4 rows left (told to leave; the same command goes on) (last run " in end.out


def test_a_monitor_asks_for_a_fresh_good_end(place: Place, gateway: ServedHere) -> None:
    place.write_questions(2)
    run(place, gateway)

    fresh = place.run("status", place.out, "--max-age", "26h")
    stale = place.run("status", place.out, "--max-age", "0.001s", "--json")

    assert (fresh.status, stale.status, stale.document["exit_status"]) == (0, 23, 23)
    assert "the last run that ended well did so" in fresh.out


def test_status_says_what_failed_and_why(place: Place, servers: Servers) -> None:
    place.write([{"id": "x", "prompt": "bad"}, {"prompt": "good"}])
    run(place, servers.gateway(BAD))

    end = place.run("status", place.out)

    assert "1 context_too_long: " in end.out
    assert f"{place.prompts.name}:1: This model" in end.out
    assert "maximum context length" in end.out


def test_the_heartbeat_tells_other_programs_how_a_run_stands(place: Place, servers: Servers) -> None:
    place.write_questions(4)
    gateway = servers.gateway(Scenario(latency=Latency(seconds=Fixed(0.5))))
    path = place.folder / "prompts.results.jsonl.status.json"
    started = place.start("run", place.prompts, "--endpoint", gateway.url, "-c", "2")
    until(lambda: gateway.books(rows=False).open >= 2)

    beating = until(lambda: _running(path))
    end = started.ended()

    ended = json.loads(path.read_bytes())
    assert end.status == 0
    assert (beating["state"], beating["pid"], beating["to_record"]) == ("running", started.pid, 4)
    assert (ended["state"], ended["exit_status"], ended["rows"]["ok"]) == ("ended", 0, 4)
    assert ended["run_id"] == place.lines()[-1]["run_id"]


def _running(path: Path) -> dict[str, Any]:
    """The heartbeat, once there is one that says so."""
    beat: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    return beat if beat.get("state") == "running" else {}


# Colours


@pytest.mark.parametrize(
    ("env", "unwanted"),
    [
        pytest.param({"NO_COLOR": "1", "TERM": "xterm"}, rb"\x1b\[[0-9;]*3[0-9]m", id="NO_COLOR"),
        pytest.param({"TERM": "dumb"}, rb"\x1b", id="a dumb terminal"),
    ],
)
def test_no_colour_is_sent_to_a_terminal_that_wants_none(
    place: Place, gateway: ServedHere, env: dict[str, str], unwanted: bytes
) -> None:
    place.write_questions(3)

    status, told = place.on_a_terminal("", "run", place.prompts, "--endpoint", gateway.url, env=env)

    assert status == 0
    assert "3 rows: 3 ok" in told
    assert not re.search(unwanted, told.encode())


def test_this_checkout_is_what_was_tested(place: Place) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import batch_runner; print(batch_runner.__file__)"],
        cwd=place.folder,
        env=place.environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.startswith(str(REPOSITORY))


def test_a_service_in_another_dialect_is_quoted_in_its_own_words(place: Place, servers: Servers) -> None:
    place.write([{"prompt": "one"}])
    gateway = servers.gateway(Scenario(faults=(Fault(Status(400, {"error": {"message": "参数错误", "type": "new_api_error"}})),)))

    end = run(place, gateway)

    assert end.status == 10
    assert "参数错误" in end.err
    assert place.rows()[0]["message"] == "参数错误"
