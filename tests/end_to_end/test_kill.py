"""`kill -9` and a torn output lose nothing that was recorded, and buy nothing again."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from batch_runner import run_file
from batch_runner.fake_server import Fixed, Latency, Scenario
from tests.end_to_end.conftest import lies_between, until
from tests.end_to_end.test_torture import CONCURRENCY, answered, dice_of, kill_at_a_random_moment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.end_to_end.conftest import Place, Served, Servers


@pytest.mark.timeout(120)
def test_kills_amid_failures_keep_the_bill_between_the_totals(place: Place, gateway_program: Callable[..., Served]) -> None:
    dice = dice_of(11)
    place.write_questions(60)
    gateway = gateway_program(
        "Scenario(latency=Latency(seconds=Uniform(0.01, 0.04)), faults=("
        "Fault(Canned('server_error'), probability=0.15), Fault(Cut(inside=True), probability=0.15)))"
    )
    command = ("run", place.prompts, "--endpoint", gateway.url, "-c", str(CONCURRENCY), "--max-completion-tokens", "900")

    for _ in range(6):
        kill_at_a_random_moment(place, gateway, command, dice)
    end = place.run(*command)

    books = gateway.at_rest()
    assert end.status in {0, 10}, end.err
    assert Counter(row["id"] for row in place.rows()) == Counter(f"r{number}" for number in range(60))
    assert {row["status"] for row in place.rows()} <= {"ok", "failed"}
    assert lies_between(books, place.totals()["job"])


def test_a_killed_runs_hidden_cost_is_bounded_by_its_in_flight_ceiling(
    place: Place, gateway_program: Callable[..., Served]
) -> None:
    place.write_questions(40)
    gateway = gateway_program("Scenario(latency=Latency(seconds=Fixed(0.4)))")
    command = ("run", place.prompts, "--endpoint", gateway.url, "-c", "4", "--max-completion-tokens", "900")
    run = place.start(*command)
    until(lambda: gateway.books(rows=False).requests >= 4)
    run.kill()
    gateway.at_rest()

    standing = place.run("status", place.out, "--json").document

    ceiling = place.lines()[0]["run"]["ceiling"]
    assert standing["state"] == "dead"
    assert standing["job"]["tokens"]["total_tokens"] == 0
    assert standing["job"]["maybe_billed"]["completion_tokens"] == ceiling["completion_tokens"] == 4 * 900
    assert lies_between(gateway.books(), standing["job"])


async def test_an_output_cut_at_any_byte_of_its_tail_is_repaired_and_only_what_is_gone_is_bought(
    place: Place, servers: Servers
) -> None:
    dice = dice_of(3)
    place.write_questions(20)
    gateway = servers.gateway()
    await run_file(place.prompts, endpoint=gateway.url, concurrency=4)

    for cut in (1, 2, *(dice.randrange(3, 9000) for _ in range(12))):
        whole = place.out.read_bytes()
        place.out.write_bytes(whole[:-cut])
        left = answered(place)
        before = gateway.books().attempts
        report = await run_file(place.prompts, endpoint=gateway.url, concurrency=4)

        after = gateway.books().attempts
        assert report.exit_status == 0
        assert sorted(row["id"] for row in place.rows()) == sorted(f"r{number}" for number in range(20))
        sent_again = {f"r{prompt.removeprefix('question ')}" for prompt in after if after[prompt] > before[prompt]}
        assert not sent_again & left


def killed_after(path: Path, rows: int) -> dict[str, int]:
    """Leave of an output what a first run that was killed after so many rows leaves; its ceiling."""
    lines = path.read_bytes().splitlines(keepends=True)[: 1 + rows]
    path.write_bytes(b"".join(lines))
    ceiling: dict[str, int] = json.loads(lines[0])["run"]["ceiling"]
    return ceiling


async def test_what_a_killed_run_may_have_cost_outlives_a_try_with_made_up_answers(place: Place, servers: Servers) -> None:
    place.write_questions(6)
    gateway = servers.gateway()
    await run_file(place.prompts, endpoint=gateway.url, max_completion_tokens=700, concurrency=2)
    ceiling = killed_after(place.out, 3)

    await run_file(place.prompts, endpoint="fake", accept_other_endpoint=True, max_completion_tokens=700)
    report = await run_file(place.prompts, endpoint=gateway.url, accept_other_endpoint=True, max_completion_tokens=700)

    assert report.exit_status == 0
    assert report.totals.unclosed.completion_tokens == ceiling["completion_tokens"] == 2 * 700
    assert lies_between(gateway.books(), place.totals()["job"])


def test_rows_that_a_killed_run_never_came_to_are_told_with_a_limit_and_over_made_up_answers(
    place: Place, servers: Servers
) -> None:
    place.write_questions(10)
    gateway = servers.gateway(Scenario(latency=Latency(seconds=Fixed(0.2))))
    place.run("run", place.prompts, "--endpoint", "fake")
    made_up = place.recorded()
    killed = place.start("run", place.prompts, "--endpoint", gateway.url, "--accept-other-endpoint", "-n", "8", "-c", "2")
    until(lambda: place.recorded() >= made_up + 2)
    killed.kill()

    standing = place.run("status", place.out, "--json").document

    sent = place.recorded() - made_up
    assert standing["state"] == "dead"
    assert standing["rows"]["unattempted"] == 8 - sent


async def test_an_output_torn_inside_its_very_first_line_starts_anew(place: Place, servers: Servers) -> None:
    place.write_questions(3)
    gateway = servers.gateway()
    place.out.write_bytes(b'{"id":"","status":"run","fingerp')

    report = await run_file(place.prompts, endpoint=gateway.url)

    assert report.exit_status == 0
    assert [line["status"] for line in place.lines()] == ["run", "ok", "ok", "ok", "totals"]


async def test_a_last_line_that_lacks_only_its_line_end_is_kept(place: Place, servers: Servers) -> None:
    place.write_questions(3)
    gateway = servers.gateway()
    await run_file(place.prompts, endpoint=gateway.url)
    lines = place.out.read_bytes().splitlines()
    place.out.write_bytes(b"\n".join(lines[:3]))  # the run line and two rows, the second without its end

    report = await run_file(place.prompts, endpoint=gateway.url)

    assert report.exit_status == 0
    assert len(place.rows()) == 3
    assert gateway.books().requests == 4


async def test_what_a_kill_left_of_a_tidying_up_is_cleared_away(place: Place, servers: Servers) -> None:
    place.write_questions(2)
    gateway = servers.gateway()
    await run_file(place.prompts, endpoint=gateway.url)
    left = place.out.with_name(place.out.name + ".compacting")
    left.write_bytes(place.out.read_bytes()[:1000])
    place.write_questions(3)

    report = await run_file(place.prompts, endpoint=gateway.url)

    assert report.exit_status == 0
    assert gateway.books().requests == 3
    assert not left.exists()


async def test_the_in_flight_ceiling_is_on_disk_before_the_first_request_arrives(place: Place, servers: Servers) -> None:
    from aiohttp import web

    place.write_questions(2)
    seen: list[dict[str, Any]] = []

    async def look(_request: web.Request) -> web.StreamResponse:
        seen.append(place.lines()[0]["run"]["ceiling"])
        return web.json_response({"model": "m", "choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]})

    url = servers.by_hand(look)

    await run_file(place.prompts, endpoint=url, max_completion_tokens=500, concurrency=2)

    assert seen[0]["attempts"] == 2
    assert seen[0]["completion_tokens"] == 1000
    assert seen[0]["prompt_tokens"] > 2 * len("question 0")
