"""What a careful reader found: refusals that must leave everything in place, keys that must stay home, words that bite."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from batch_runner import CannotStart, UsageMistake, read_results, run_file
from batch_runner.fake_server import Canned, Cut, Fault, Fixed, Html, Latency, Scenario
from batch_runner.fake_server import Status as Answer
from batch_runner.loader import InputFile, InputFiles
from batch_runner.output.compact import compact
from batch_runner.output.index import read_index
from tests.end_to_end.conftest import COMMAND, Place, ServedHere, Servers, Started, until

if TYPE_CHECKING:
    from pathlib import Path


def test_a_fresh_start_that_is_refused_leaves_the_output_in_its_place(place: Place) -> None:
    place.write_questions(2)
    place.run("run", place.prompts, "--endpoint", "fake")
    before = place.out.read_bytes()

    refused = place.run("run", place.prompts, "--endpoint", "apicore", "--fresh")

    assert refused.status == 3
    assert place.out.read_bytes() == before
    assert not list(place.folder.glob("*.bak"))


def test_a_fresh_retry_is_refused(place: Place) -> None:
    place.write_questions(1)
    place.run("run", place.prompts, "--endpoint", "fake")

    refused = place.run("retry", place.out, "--fresh")

    assert refused.status == 2
    assert place.out.exists()


def test_nothing_to_send_after_a_kill_still_tells_what_was_spent(place: Place, gateway: ServedHere) -> None:
    place.write_questions(2)
    place.run("run", place.prompts, "--endpoint", gateway.url)
    lines = place.out.read_bytes().splitlines(keepends=True)
    place.out.write_bytes(b"".join(line for line in lines if b'"status":"totals"' not in line))

    told = place.run("run", place.prompts, "--endpoint", gateway.url, "--json").document

    assert told["reason"].startswith("nothing to send")
    assert told["job"]["tokens"]["total_tokens"] > 0
    assert told["job"]["unclosed"]["prompt_tokens"] > 0


@pytest.mark.parametrize("closed", ["2>&-", "2>&1 | true", ">&-", ">/dev/full"])
def test_a_run_that_nobody_listens_to_is_made_all_the_same(place: Place, closed: str) -> None:
    place.write_questions(3)
    command = f"set -o pipefail; {' '.join(COMMAND)} run {place.prompts} --endpoint fake --json {closed}"

    done = subprocess.run(["bash", "-c", command], cwd=place.folder, env=place.environment(), check=False, timeout=30)

    assert done.returncode == (3 if closed == ">/dev/full" else 0)
    assert {row["status"] for row in place.rows()} == {"ok"}


@pytest.mark.parametrize("words", ["--version", "run --help", "help exit-codes", "status prompts.results.jsonl --json"])
def test_what_a_full_disk_cut_off_is_told_of_once_and_in_the_exit_status(place: Place, words: str) -> None:
    if words.startswith("status"):
        place.write_questions(3)
        place.run("run", place.prompts, "--endpoint", "fake")

    command = f"{' '.join(COMMAND)} {words} > /dev/full"
    done = subprocess.run(["bash", "-c", command], cwd=place.folder, env=place.environment(), check=False, timeout=30, stderr=-1)

    told = b"stdout can't be written: No space left on device; what stands there isn't all\n"
    assert (done.returncode, done.stderr) == (3, told)


def test_a_remembered_key_does_not_follow_to_another_endpoint(place: Place, servers: Servers) -> None:
    seen: list[tuple[str, str]] = []

    async def refuse(request: web.Request) -> web.StreamResponse:
        seen.append((request.method, request.headers.get("Authorization", "")))
        return web.json_response({"error": {"message": "no", "type": "invalid_request_error"}}, status=400)

    first, second = servers.by_hand(refuse), servers.by_hand(refuse)
    place.write_questions(1)
    place.run("run", place.prompts, "--endpoint", first, "--api-key-env", "HOME_KEY", env={"HOME_KEY": "sk-for-the-first"})

    env = {"HOME_KEY": "sk-for-the-first", "OPENAI_BASE_URL": second, "OPENAI_API_KEY": "sk-for-the-second"}
    place.run("retry", place.out, "--endpoint", "openai", env=env)
    place.run("retry", place.out, env=env)

    posted = [key for method, key in seen if method == "POST"]
    assert posted == ["Bearer sk-for-the-first", "Bearer sk-for-the-second", "Bearer sk-for-the-second"]
    assert [key for key, _ in groupby(key for _, key in seen)] == ["Bearer sk-for-the-first", "Bearer sk-for-the-second"]


def test_a_key_on_the_command_line_beats_a_remembered_one(place: Place, gateway: ServedHere) -> None:
    key_file = place.folder / "key"
    key_file.write_text("sk-from-the-file")
    place.write_questions(1)
    gateway.plays(Scenario(faults=(Fault(Answer(400, {"error": {"message": "no"}}), attempts=(1,)),)))
    place.run("run", place.prompts, "--endpoint", gateway.url, "--api-key-file", key_file)

    place.run("retry", place.out, "--api-key-env", "OTHER_KEY", env={"OTHER_KEY": "sk-from-a-variable"})

    assert gateway.books().authorizations == {"Bearer sk-from-the-file", "Bearer sk-from-a-variable"}


def test_two_keys_on_one_command_line_are_one_too_many(place: Place) -> None:
    place.write_questions(1)

    refused = place.run("run", place.prompts, "--api-key-file", "key", "--api-key-env", "NAME")

    assert refused.status == 2
    assert "keep one" in refused.err


def test_refused_rows_can_be_asked_again_by_their_kind(place: Place, gateway: ServedHere) -> None:
    gateway.plays(Scenario(faults=(Fault(Canned("invalid_prompt"), attempts=(1,)),)))
    place.write_questions(2)
    place.run("run", place.prompts, "--endpoint", gateway.url)

    again = place.run("retry", place.out, "--only", "policy")

    assert again.status == 0
    assert {row["status"] for row in place.rows()} == {"ok"}


def test_an_only_that_fits_no_row_says_so(place: Place) -> None:
    place.write_questions(1)
    place.run("run", place.prompts, "--endpoint", "fake")

    told = [place.run("retry", place.out, *only).err for only in (["--only", "timeout"], ["--only", "all"], [])]

    assert "no row is timeout" in told[0]
    assert "no row is truncated or refused or failed or unfinished" in told[1]
    assert "no row is failed or unfinished" in told[2]


def test_instructions_that_begin_with_an_at_sign_survive_a_retry(place: Place, gateway: ServedHere) -> None:
    (place.folder / "system.txt").write_text("@team: be kind")
    gateway.plays(Scenario(faults=(Fault(Answer(400, {"error": {"message": "no"}}), attempts=(1,)),)))
    place.write_questions(1)
    place.run("run", place.prompts, "--endpoint", gateway.url, "--system", "@system.txt")

    again = place.run("retry", place.out)

    assert again.status == 0
    assert all("@team: be kind" in prompt for prompt in gateway.books().attempts)


@pytest.mark.parametrize("flag", ["-n", "-c", "--max-completion-tokens", "--max-attempts"])
def test_a_number_beyond_all_measure_is_a_mistake_not_a_fault(place: Place, flag: str) -> None:
    place.write_questions(1)

    refused = place.run("run", place.prompts, "--endpoint", "fake", flag, "9" * 30)

    assert refused.status == 2
    assert "whole number" in refused.err


def test_a_batch_file_that_asks_for_a_missing_model_stops_before_ten_thousand_do(place: Place, gateway: ServedHere) -> None:
    body = {"model": "o9-nano", "messages": [{"role": "user", "content": "hello"}]}
    rows = [{"custom_id": f"r{number}", "method": "POST", "url": "/v1/chat/completions", "body": body} for number in range(200)]
    place.write(rows)

    ended = place.run("run", place.prompts, "--endpoint", gateway.url)

    assert ended.status == 4
    assert gateway.books().requests < 60


def test_a_row_with_columns_named_url_and_body_is_still_a_row(place: Place) -> None:
    place.write([{"url": "https://news.example/1", "body": "A long article", "prompt": "Summarise it."}])

    ended = place.run("run", place.prompts, "--endpoint", "fake")

    assert ended.status == 0
    assert json.loads(place.rows()[0]["extra"]) == {"url": "https://news.example/1", "body": "A long article"}


def test_the_words_of_a_service_do_not_command_the_terminal(place: Place, servers: Servers) -> None:
    async def bite(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "bad \x1b]0;owned\x07 one\ntwo"}}, status=400)

    place.write_questions(1)
    ended = place.run("run", place.prompts, "--endpoint", servers.by_hand(bite), "-v")
    status = place.run("status", place.out)

    for told in (ended.err, status.out):
        assert "\x1b]0;" not in told
        assert r"bad \x1b]0;owned\x07 one two" in told


def test_several_parameters_fit_into_one_variable(place: Place, gateway: ServedHere) -> None:
    place.write_questions(1)

    ended = place.run(
        "run",
        place.prompts,
        "--endpoint",
        gateway.url,
        "-m",
        "o3-mini",
        env={"BATCH_RUNNER_PARAM": '{"response_format": {"type": "text"}}'},
    )

    assert ended.status == 0


def test_a_job_file_writes_parameters_as_a_table(place: Place, gateway: ServedHere) -> None:
    place.write_questions(1)
    job = f'inputs = "prompts.jsonl"\n[request]\nendpoint = "{gateway.url}"\nmodel = "o3-mini"\nparam = {{seed = 7}}\n'
    (place.folder / "night.toml").write_text(job)

    ended = place.run("job", "run", "night.toml")

    assert ended.status == 0


def test_a_long_line_is_retried_only_while_it_is_still_the_same(place: Place, gateway: ServedHere) -> None:
    gateway.plays(Scenario(faults=(Fault(Answer(400, {"error": {"message": "no"}}), attempts=(1,)),)))
    rows = [{"id": name, "prompt": f"I am {name}", "ballast": "x" * 1_200_000} for name in ("a", "b")]
    place.write(rows)
    place.run("run", place.prompts, "--endpoint", gateway.url)
    place.write([{"id": "c", "prompt": "I am c"}, *rows])

    refused = place.run("retry", place.out)
    place.write(rows)
    done = place.run("retry", place.out)

    assert refused.status == 3
    assert "isn't the line of row" in refused.err
    assert done.status == 0
    assert {row["id"]: row["status"] for row in place.rows()} == {"a": "ok", "b": "ok"}


@pytest.mark.parametrize(
    "endpoint", ["http://.example/v1", f"http://{'a' * 70}.example/v1", "http://exa mple/v1", "http://a..b/v1"]
)
def test_an_endpoint_that_no_resolver_takes_is_a_mistake(place: Place, endpoint: str) -> None:
    place.write_questions(1)

    refused = place.run("run", place.prompts, "--endpoint", endpoint, env={"BATCH_RUNNER_API_KEY": "sk-something"})

    assert refused.status == 2


def test_an_output_must_be_a_regular_file(place: Place) -> None:
    place.write_questions(1)
    os.mkfifo(place.folder / "pipe")

    refused = place.run("run", place.prompts, "--endpoint", "fake", "-o", "pipe")

    assert refused.status == 3
    assert "regular file" in refused.err


async def test_no_input_is_not_taken_for_a_retry(tmp_path: Path) -> None:
    with pytest.raises(UsageMistake, match="no input"):
        await run_file([], tmp_path / "out.jsonl", endpoint="fake")


async def test_an_input_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n\n")

    with pytest.raises(CannotStart, match="there is no row in"):
        await run_file(tmp_path / "empty.jsonl", endpoint="fake")


async def test_results_are_whole_though_the_output_is_compacted_while_they_are_read(tmp_path: Path) -> None:
    prompts, out = tmp_path / "p.jsonl", tmp_path / "p.results.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"q{number}"}) + "\n" for number in range(4)))
    await run_file(prompts, endpoint="fake")
    lines = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(b"".join([*lines[:-1], *lines[1:3], lines[-1]]))

    results = read_results(out)
    first = next(results)
    compact(out, read_index(out))

    assert len({first.id, *(result.id for result in results)}) == 4


async def test_an_output_that_is_moved_under_the_run_ends_it_with_what_was_recorded(tmp_path: Path, gateway: ServedHere) -> None:
    gateway.plays(Scenario(latency=Latency(seconds=Fixed(0.1))))
    prompts, out = tmp_path / "p.jsonl", tmp_path / "p.results.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"q{number}"}) + "\n" for number in range(60)))

    running = asyncio.create_task(run_file(prompts, endpoint=gateway.url, concurrency=2))
    while not out.exists() or out.stat().st_size < 6000:
        await asyncio.sleep(0.02)
    out.rename(tmp_path / "moved.jsonl")
    report = await running

    assert report.exit_status == 6
    assert "moved or removed" in report.reason
    assert report.run.rows["ok"] < 60


async def test_each_fresh_start_keeps_what_the_one_before_it_made(tmp_path: Path) -> None:
    prompts = tmp_path / "p.jsonl"
    prompts.write_text('{"prompt":"q"}\n')

    for _ in range(4):
        await run_file(prompts, endpoint="fake", fresh=True)

    assert len(list(tmp_path.glob("*.bak"))) == 3  # noqa: ASYNC240 - a test folder


def test_rows_that_were_never_sent_are_not_forgotten(place: Place, gateway: ServedHere) -> None:
    place.write_questions(20)
    gateway.plays(Scenario(faults=(Fault(Canned("insufficient_quota"), first_request=6),)))
    stopped = place.run("run", place.prompts, "--endpoint", gateway.url, "-c", "1")

    status = place.run("status", place.out, "--json").document
    gateway.plays(Scenario())
    retried = place.run("retry", place.out)

    assert stopped.status == 4
    assert status["rows"]["unattempted"] == 10
    assert retried.status == 10
    assert "10 rows never sent" in retried.err


def test_real_spending_survives_a_made_up_run_on_the_same_output(place: Place, gateway: ServedHere) -> None:
    accepted = ("--accept-other-endpoint", "--json")
    place.write([{"id": "a", "prompt": "one"}])
    first = place.run("run", place.prompts, "--endpoint", gateway.url, "--json").document
    place.write([{"id": "a", "prompt": "one"}, {"id": "b", "prompt": "two"}])
    place.run("run", place.prompts, "--endpoint", "fake", *accepted)
    place.write([{"id": "a", "prompt": "one"}, {"id": "b", "prompt": "two"}, {"id": "c", "prompt": "three"}])

    last = place.run("run", place.prompts, "--endpoint", gateway.url, *accepted).document

    assert last["job"]["tokens"]["total_tokens"] == gateway.books().billed["total_tokens"]
    assert last["job"]["tokens"]["total_tokens"] > first["job"]["tokens"]["total_tokens"]


def test_interrupted_beats_stopped_by_the_service(place: Place, gateway: ServedHere) -> None:
    place.write_questions(6)
    slow = Latency(seconds=Fixed(20.0))
    gateway.plays(Scenario(latency=slow, faults=(Fault(Canned("insufficient_quota"), first_request=4, at_door=True),)))
    started = place.start("run", place.prompts, "--endpoint", gateway.url, "-c", "4", "--drain-timeout", "1s")
    until(lambda: gateway.books().requests >= 4, what="the refusal")

    started.signal(signal.SIGINT)
    ended = started.ended()

    assert ended.status == 130
    assert "stopping: quota_exhausted" in ended.err


def test_a_closed_terminal_drains(place: Place, gateway: ServedHere) -> None:
    place.write_questions(40)
    gateway.plays(Scenario(latency=Latency(seconds=Fixed(0.2))))
    started = place.start("run", place.prompts, "--endpoint", gateway.url, "-c", "2")
    until(lambda: place.recorded() >= 2, what="two answers")

    started.signal(signal.SIGHUP)
    ended = started.ended()

    assert ended.status == 143
    assert place.totals()["run"]["ok"] == len(place.rows())


def test_a_damaged_line_counts_as_new_and_is_told(place: Place) -> None:
    place.write_questions(3)
    place.run("run", place.prompts, "--endpoint", "fake")
    lines = place.out.read_bytes().splitlines(keepends=True)
    place.out.write_bytes(b"".join([lines[0], lines[1][:60] + b"\n", *lines[2:]]))

    again = place.run("run", place.prompts, "--endpoint", "fake")

    assert again.status == 0
    assert "can't be read (1)" in again.err
    assert "1 new, 2 done" in again.err


@pytest.mark.parametrize("arguments", ["--help", "run --help", "frobnicate", "help exit-codes"])
def test_nobody_reading_a_help_text_is_no_fault(place: Place, arguments: str) -> None:
    command = f"set -o pipefail; {' '.join(COMMAND)} {arguments} 2>&1 | true"

    done = subprocess.run(["bash", "-c", command], cwd=place.folder, env=place.environment(), check=False, timeout=30)

    assert done.returncode == (2 if arguments == "frobnicate" else 0)


def test_a_key_with_a_blank_in_it_is_not_sent(place: Place) -> None:
    place.write_questions(1)

    refused = place.run("run", place.prompts, "--endpoint", "apicore", env={"APICORE_API_KEY": "sk-one two"})

    assert refused.status == 3
    assert "blanks" in refused.err
    assert "one two" not in refused.err


def test_a_key_named_for_this_shell_goes_with_any_endpoint(place: Place, gateway: ServedHere) -> None:
    place.write_questions(1)

    place.run("run", place.prompts, "--endpoint", gateway.url, env={"BATCH_RUNNER_API_KEY_ENV": "MINE", "MINE": "sk-mine-alone"})

    assert gateway.books().authorizations == {"Bearer sk-mine-alone"}


async def test_own_fields_come_back_as_values(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"prompt":"q","label":{"a":[1,null]},"big":123456789012345678901234567890}\n')

    report = await run_file(tmp_path / "p.jsonl", endpoint="fake")

    (result,) = read_results(report.output)
    assert result.extra == {"label": {"a": [1, None]}, "big": 123456789012345678901234567890}


def test_a_page_that_comes_and_goes_ends_no_run_that_has_had_answers(place: Place, gateway: ServedHere) -> None:
    place.write_questions(30)
    gateway.plays(
        Scenario(
            faults=(
                Fault(Html(status=200), first_request=8, last_request=9),
                Fault(Html(status=404), first_request=15, last_request=15),
            )
        )
    )

    ended = place.run("run", place.prompts, "--endpoint", gateway.url, "-c", "2")

    assert ended.status == 0
    assert {row["status"] for row in place.rows()} == {"ok"}


def test_a_fresh_start_from_standard_input_keeps_the_copy_that_belongs_to_the_old_output(place: Place) -> None:
    old, new = b'{"id":"a","prompt":"old"}\n', b'{"id":"a","prompt":"new"}\n'
    command = [*COMMAND, "run", "-", "-o", "o.jsonl", "--endpoint", "fake"]
    for text, more in ((old, list[str]()), (new, ["--fresh"])):
        subprocess.run([*command, *more], input=text, cwd=place.folder, env=place.environment(), check=True, timeout=30)

    refused = subprocess.run([*command], input=b"", cwd=place.folder, env=place.environment(), check=False, timeout=30)

    (aside,) = place.folder.glob("o.jsonl.*.bak")
    copies = {path: InputFiles.of([InputFile(path, "stdin")]) for path in place.folder.glob("*.input.jsonl.zst")}
    read = {path.name: [line.text for line in files.lines()] for path, files in copies.items()}
    assert refused.returncode == 3
    assert read == {"o.jsonl.input.jsonl.zst": [new.strip()], f"{aside.name}.input.jsonl.zst": [old.strip()]}
    assert not list(place.folder.glob("*.new*"))


def test_the_command_to_go_on_with_still_says_that_changed_rows_may_be_bought(place: Place, gateway: ServedHere) -> None:
    place.write_questions(3)
    place.run("run", place.prompts, "--endpoint", gateway.url)
    gateway.plays(Scenario(faults=(Fault(Canned("insufficient_quota"), first_request=1),)))

    stopped = place.run("run", place.prompts, "--endpoint", gateway.url, "-m", "o1", "--rerun-changed", "-c", "1")

    assert stopped.status == 4
    assert "--rerun-changed" in stopped.err.splitlines()[-1]


def _compacting_or_gone(place: Place, started: Started) -> bool:
    return bool(list(place.folder.glob("*.compacting"))) or not started.at_work


def test_a_kill_while_the_output_is_compacted_loses_nothing(place: Place, gateway: ServedHere) -> None:
    place.write_questions(400)
    gateway.plays(Scenario(faults=(Fault(Cut(inside=True), attempts=(1,), probability=0.5),)))
    for _ in range(3):
        started = place.start("run", place.prompts, "--endpoint", gateway.url, "-c", "64")
        until(partial(_compacting_or_gone, place, started), what="the compaction")
        started.kill()

    place.run("run", place.prompts, "--endpoint", gateway.url)

    assert len({row["id"] for row in place.rows()}) == 400
    assert not list(place.folder.glob("*.compacting"))
    assert max(gateway.books().attempts.values()) <= 2 + 1


@pytest.mark.parametrize("how", [("retry", "--only", "truncated"), ("run", "--rerun-changed", "-m", "o3-mini")])
def test_an_answer_stands_until_a_better_one_comes(place: Place, gateway: ServedHere, how: tuple[str, ...]) -> None:
    place.write_questions(3)
    place.run("run", place.prompts, "--endpoint", gateway.url, "--max-completion-tokens", "1")
    before = {row["id"]: row for row in place.rows()}
    gateway.plays(Scenario(faults=(Fault(Answer(400, {"error": {"message": "no"}})),)))

    command, *flags = how
    place.run(command, place.out if command == "retry" else place.prompts, "--endpoint", gateway.url, *flags)

    assert {row["status"] for row in before.values()} == {"truncated"}
    for row in place.rows():
        old = before[row["id"]]
        assert {key: row[key] for key in ("status", "answer", "body", "fingerprint", "model")} == {
            key: old[key] for key in ("status", "answer", "body", "fingerprint", "model")
        }
        assert [attempt["outcome"] for attempt in row["attempts"]] == ["truncated", "bad_request"]


def test_the_copy_of_standard_input_can_be_the_input_of_a_fresh_start(place: Place) -> None:
    command = [*COMMAND, "run", "-", "-o", "o.jsonl", "--endpoint", "fake"]
    subprocess.run(command, input=b'{"prompt":"q"}\n', cwd=place.folder, env=place.environment(), check=True, timeout=30)

    again = place.run("run", "o.jsonl.input.jsonl.zst", "-o", "o.jsonl", "--endpoint", "fake", "--fresh")

    assert again.status == 0
