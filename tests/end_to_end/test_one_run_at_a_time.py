"""One output belongs to one run at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from batch_runner import OutputBusy, run_file
from batch_runner.fake_server import Fixed, Latency, Scenario
from tests.end_to_end.conftest import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.conftest import Place, ServedHere, Servers

SLOW = Scenario(latency=Latency(seconds=Fixed(0.4)))
UNTIL_TOLD = Scenario(latency=Latency(seconds=Fixed(600)))


def lock_of(out: Path) -> Path:
    return out.with_name(out.name + ".lock")


@pytest.mark.parametrize("word", ["run", "retry"])
def test_a_second_run_is_turned_away_and_told_who_is_at_it(place: Place, servers: Servers, word: str) -> None:
    place.write_questions(4)
    gateway = servers.gateway(UNTIL_TOLD)
    command = ("run", place.prompts, "--endpoint", gateway.url)
    first = place.start(*command)
    until(lambda: gateway.books(rows=False).open >= 4)

    second = place.run(*(command if word == "run" else ("retry", place.out)))

    assert second.status == 75
    assert str(first.pid) in second.err
    assert str(place.out) in second.err
    assert second.err.count("\n") == 1
    assert first.at_work
    assert gateway.books().requests == 4


def test_a_second_run_through_a_symlink_is_turned_away_too(place: Place, servers: Servers) -> None:
    place.write_questions(2)
    gateway = servers.gateway(UNTIL_TOLD)
    (place.folder / "real").mkdir()
    link, real = place.folder / "link.jsonl", place.folder / "real" / "answers.jsonl"
    link.symlink_to(real)
    place.start("run", place.prompts, "-o", link, "--endpoint", gateway.url)
    until(lambda: gateway.books(rows=False).open >= 2)

    second = place.run("run", place.prompts, "-o", real, "--endpoint", gateway.url)

    assert second.status == 75
    assert link.is_symlink()
    assert lock_of(real).exists()
    assert not lock_of(link).exists()


async def test_a_second_run_in_the_same_process_is_turned_away(place: Place, servers: Servers) -> None:
    place.write_questions(3)
    gateway = servers.gateway(SLOW)
    first = asyncio.create_task(run_file(place.prompts, endpoint=gateway.url))
    await asyncio.to_thread(until, lambda: gateway.books(rows=False).open >= 3)

    with pytest.raises(OutputBusy):
        await run_file(place.prompts, endpoint=gateway.url)
    report = await first

    assert report.exit_status == 0
    assert gateway.books().requests == 3


async def test_runs_with_outputs_of_their_own_do_not_meet(place: Place, gateway: ServedHere) -> None:
    place.write_questions(3)

    reports = await asyncio.gather(
        *(run_file(place.prompts, place.folder / f"answers-{number}.jsonl", endpoint=gateway.url) for number in range(3))
    )

    assert [report.exit_status for report in reports] == [0, 0, 0]
    assert gateway.books().requests == 9


def test_the_lock_of_a_killed_run_holds_nobody_up(place: Place, servers: Servers) -> None:
    place.write_questions(3)
    gateway = servers.gateway(SLOW)
    command = ("run", place.prompts, "--endpoint", gateway.url)
    first = place.start(*command)
    until(lambda: gateway.books(rows=False).open >= 3)
    first.kill()

    end = place.run(*command)

    assert end.status == 0
    assert len(place.rows()) == 3


def test_the_lock_is_a_file_beside_the_output_that_is_never_replaced(place: Place, gateway: ServedHere) -> None:
    place.write_questions(2)
    command = ("run", place.prompts, "--endpoint", gateway.url)
    place.run(*command)
    before = lock_of(place.out).stat().st_ino

    place.run(*command, "--rerun-changed", "-m", "o1")
    place.run(*command, "--rerun-changed", "--fresh")

    assert lock_of(place.out).stat().st_ino == before
    assert lock_of(place.out).stat().st_ino != place.out.stat().st_ino


def test_a_run_leaves_nothing_beside_its_output_but_the_lock_and_the_heartbeat(place: Place, gateway: ServedHere) -> None:
    place.write_questions(2)

    place.run("run", place.prompts, "--endpoint", gateway.url)

    assert {path.name.removeprefix("prompts") for path in place.folder.iterdir()} == {
        ".jsonl",
        ".results.jsonl",
        ".results.jsonl.lock",
        ".results.jsonl.status.json",
    }


def test_an_output_reached_through_a_symlink_stays_where_it_is_with_its_mode(place: Place, gateway: ServedHere) -> None:
    place.write_questions(2)
    real, link = place.folder / "real.jsonl", place.folder / "link.jsonl"
    link.symlink_to(real)
    place.run("run", place.prompts, "-o", link, "--endpoint", gateway.url)
    real.chmod(0o640)

    end = place.run("run", place.prompts, "-o", link, "--endpoint", gateway.url, "-m", "o1", "--rerun-changed")

    assert end.status == 0
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert len(place.rows(real)) == 2


def test_a_second_run_by_another_path_and_from_another_session_is_turned_away(place: Place, servers: Servers) -> None:
    place.write_questions(2)
    gateway = servers.gateway(UNTIL_TOLD)
    first = place.start("run", place.prompts, "--endpoint", gateway.url)
    until(lambda: gateway.books(rows=False).open >= 2)
    (place.folder / "deep").mkdir()

    second = place.start(
        "run", place.prompts, "-o", "deep/../prompts.results.jsonl", "--endpoint", gateway.url, start_new_session=True
    ).ended()

    assert second.status == 75
    assert f"process {first.pid} on " in second.err
    assert " since 20" in second.err
