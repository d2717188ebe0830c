"""Killed at any system call, cut or damaged anywhere: two resumes later an output holds what an undisturbed run's holds."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from batch_runner import read_results, run_file, run_file_sync
from batch_runner.fake_server import Canned, Fault, Scenario
from tests.end_to_end.conftest import lies_between
from tests.end_to_end.faults import injecting, needs_strace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.end_to_end.conftest import Place, ServedHere, Servers

ROWS = 12
BAD = Scenario(faults=(Fault(Canned("context_length_exceeded")),))


def what_it_says(place: Place) -> list[tuple[str, str, str]]:
    return sorted((result.id, result.status, result.answer) for result in read_results(place.out))


async def resumed(place: Place, gateway: ServedHere, **settings: Any) -> None:
    """Run it once more."""
    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=4, max_completion_tokens=700, **settings)
    assert report.exit_status == 0


def broken_off(place: Place, gateway: ServedHere) -> None:
    """An output that a run must repair, send rows for, and compact: all rows failed, and the last line is torn."""
    place.write_questions(ROWS)
    gateway.plays(BAD)
    place.run("run", place.prompts, "--endpoint", gateway.url, "--max-completion-tokens", "700")
    gateway.plays(Scenario())
    with place.out.open("ab") as file:
        file.write(b'{"id":"r1","status":"ok","finger')


WHERE = {
    "cutting the torn line off": ("ftruncate:signal=SIGKILL:when=1", ""),
    "the run line's sync": ("fdatasync:signal=SIGKILL:when=1", ""),
    "a row": ("write:signal=SIGKILL:when=3", ""),
    "the totals' sync": ("fdatasync:signal=SIGKILL:when=2", ""),
    "compaction's sync": ("fdatasync:signal=SIGKILL:when=1", ".compacting"),
    "compaction's last step": ("rename:signal=SIGKILL:when=1", ".compacting"),
}


@needs_strace
def test_a_kill_at_any_step_costs_no_recorded_answer_and_two_resumes_mend_it(place: Place, servers: Servers) -> None:
    gateway = servers.gateway()
    broken_off(place, gateway)
    before = place.out.read_bytes()
    command = ("run", place.prompts, "--endpoint", gateway.url, "-c", "4", "--max-completion-tokens", "700", "--retry-failed")
    place.run(*command)
    undisturbed = what_it_says(place)

    for step, (fault, ending) in WHERE.items():
        place.out.write_bytes(before)
        gateway.forget()
        under = injecting(fault, files=(place.out.with_name(place.out.name + ending),))
        killed = place.start(*command, under=under).ended()
        kept = {row["id"] for row in place.rows() if row["status"] == "ok"}
        bought = gateway.at_rest().attempts
        for _ in range(2):
            report = run_file_sync(
                place.prompts, endpoint=gateway.url, concurrency=4, max_completion_tokens=700, retry_failed=True
            )
            assert report.exit_status == 0, step

        books = gateway.at_rest()
        assert killed.status in {-9, 137}, step
        assert what_it_says(place) == undisturbed, step
        assert all(books.attempts[f"question {row_id[1:]}"] == bought[f"question {row_id[1:]}"] for row_id in kept), step
        assert lies_between(books, place.totals()["job"]), step
        assert not place.out.with_name(place.out.name + ".compacting").exists(), step


def cut_at(share: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(len(data) * share)]


def in_the_middle(damage: bytes, *, instead: int = 0) -> Callable[[bytes], bytes]:
    """Put `damage` into the answer of the fifth line, over `instead` bytes."""

    def damaged(data: bytes) -> bytes:
        place = data.index(b'"answer":"', sum(map(len, data.splitlines(keepends=True)[:4]))) + len(b'"answer":"')
        return data[:place] + damage + data[place + instead :]

    return damaged


NOISE = random.Random(5).randbytes(3000)  # noqa: S311 - noise, no secret


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data + b"\0" * 5000, id="a tail of NULs"),
        pytest.param(lambda data: data[:-700] + b"\0" * 700, id="NULs over the totals line"),
        pytest.param(lambda data: data[:-9000] + b"\0" * 9000, id="NULs over the last rows"),
        pytest.param(lambda data: data + NOISE.replace(b"\n", b"-"), id="a tail of noise"),
        pytest.param(lambda data: data + NOISE + b"\n", id="noise with line ends"),
        pytest.param(lambda data: data[:-1], id="no last line end"),
        pytest.param(lambda data: data + '{"id":"好'.encode()[:-1], id="half a character"),
        pytest.param(in_the_middle(b"\0" * 20, instead=20), id="NULs inside a line"),
        pytest.param(in_the_middle("好".encode()[:2]), id="half a character inside a line"),
        pytest.param(in_the_middle(b"\n"), id="a line in two"),
        pytest.param(in_the_middle(NOISE, instead=400), id="noise inside a line"),
        pytest.param(lambda data: data.replace(b'"status":"ok"', b'"status":"?!"', 1), id="a status nobody knows"),
        pytest.param(cut_at(0.999), id="cut in the totals line"),
        pytest.param(cut_at(0.5), id="cut in the middle"),
        pytest.param(cut_at(0.1), id="cut in the run line"),
        pytest.param(lambda data: b"\0" * len(data), id="nothing but NULs"),
        pytest.param(lambda _data: b"", id="empty"),
    ],
)
async def test_two_resumes_after_any_damage_the_output_says_what_it_said(
    place: Place, servers: Servers, damage: Callable[[bytes], bytes]
) -> None:
    place.write_questions(ROWS)
    gateway = servers.gateway()
    await resumed(place, gateway)
    said = what_it_says(place)
    damaged(place.out, damage)

    await resumed(place, gateway)
    await resumed(place, gateway)

    assert what_it_says(place) == said


def damaged(path: Path, damage: Callable[[bytes], bytes]) -> None:
    path.write_bytes(damage(path.read_bytes()))
