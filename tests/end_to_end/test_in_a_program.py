"""The package used from Python."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from batch_runner import CannotStart, Result, Status, UsageMistake, read_results, run_file, run_file_sync
from batch_runner.fake_server import Canned, Fault, Scenario

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Place, ServedHere, Servers

NOTEBOOK = """
import asyncio, sys
from batch_runner import run_file_sync

async def cell():
    return run_file_sync(sys.argv[1], endpoint=sys.argv[2])

report = asyncio.run(cell())
print(report.exit_status, report.totals.rows["ok"])
"""


def test_run_file_sync_works_inside_a_running_loop_as_in_a_notebook(place: Place, gateway: ServedHere) -> None:
    place.write_questions(3)

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", NOTEBOOK, str(place.prompts), gateway.url],
        cwd=place.folder,
        env=place.environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    assert done.stdout == "0 3\n"
    assert gateway.books().requests == 3


def test_run_file_sync_works_without_a_loop(place: Place, gateway: ServedHere) -> None:
    place.write_questions(3)

    report = run_file_sync(place.prompts, endpoint=gateway.url)

    assert report.exit_status == 0
    assert report.output == place.out.resolve()


async def test_read_results_gives_one_typed_result_for_each_row(place: Place, servers: Servers) -> None:
    place.write([{"id": "a", "prompt": "one"}, {"id": "b", "prompt": "bad"}, {"id": "c", "prompt": 7}])
    gateway = servers.gateway(Scenario(faults=(Fault(Canned("context_length_exceeded"), prompt="bad"),)))
    await run_file(place.prompts, endpoint=gateway.url)

    results = {result.id: result for result in read_results(place.out)}

    assert all(isinstance(result, Result) for result in results.values())
    assert {row_id: result.status for row_id, result in results.items()} == {
        "a": Status.OK,
        "b": Status.FAILED,
        "c": Status.INVALID,
    }
    assert results["a"].answer
    assert results["a"].usage.total_tokens == gateway.books().billed["total_tokens"]
    assert results["b"].failure == "context_too_long"


async def test_read_results_passes_over_lines_that_later_ones_replaced_and_a_torn_one(place: Place, gateway: ServedHere) -> None:
    place.write_questions(2)
    await run_file(place.prompts, endpoint=gateway.url)
    run, first, second, _ = place.out.read_bytes().splitlines(keepends=True)
    later = first.replace(b'"status":"ok"', b'"status":"truncated"')
    place.out.write_bytes(b"".join([run, first, second, later, second[:50]]))
    changed = place.rows()[0]["id"]

    results = {result.id: result.status for result in read_results(place.out)}

    assert results == {"r0": Status.OK, "r1": Status.OK} | {changed: Status.TRUNCATED}


def test_read_results_refuses_a_file_of_somebody_else(place: Place) -> None:
    place.write_questions(2)

    with pytest.raises(CannotStart):
        list(read_results(place.prompts))


async def test_several_inputs_go_into_one_output_in_the_order_given(place: Place, gateway: ServedHere) -> None:
    place.write([{"prompt": "b"}], "b.jsonl")
    place.write([{"prompt": "a"}], "a.jsonl")

    await run_file([place.folder / "b.jsonl", place.folder / "a.jsonl"], place.out, endpoint=gateway.url, concurrency=1)

    assert [row["source"].rpartition("/")[2] for row in place.rows()] == ["b.jsonl:1", "a.jsonl:1"]


async def test_a_setting_that_does_not_exist_is_refused_with_a_guess(place: Place) -> None:
    place.write_questions(1)

    with pytest.raises(UsageMistake, match="'max_attempts'"):
        await run_file(place.prompts, endpoint="fake", max_attempt=3)


async def test_standard_input_is_the_commands_alone(place: Place) -> None:
    with pytest.raises(CannotStart):
        await run_file("-", place.out, endpoint="fake")


async def test_settings_of_the_environment_do_not_reach_into_a_program(
    place: Place, gateway: ServedHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCH_RUNNER_MODEL", "o3-mini")
    place.write_questions(1)

    await run_file(place.prompts, endpoint=gateway.url)

    assert place.rows()[0]["model"] == "o1-mini"


async def test_numbers_and_texts_mean_the_same_settings(place: Place, gateway: ServedHere) -> None:
    place.write_questions(2)

    report = await run_file(place.prompts, endpoint=gateway.url, rpm="60k/min", timeout="1m", concurrency="1_0", max_failed="1%")

    assert report.exit_status == 0


async def test_the_embedded_endpoint_needs_no_key_and_no_network(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BATCH_RUNNER_API_KEY")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    place.write_questions(2)

    report = await run_file(place.prompts, endpoint="fake")

    assert report.exit_status == 0
