"""A disk that is full, broken, slow, or pulled away loses nothing that was received, and nothing is bought twice for it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import time
from typing import TYPE_CHECKING, Any

import pytest

from batch_runner import read_results, run_file_sync
from batch_runner.fake_server import Canned, Fault, Fixed, Latency, Scenario
from batch_runner.output.heartbeat import read_heartbeat
from tests.end_to_end.conftest import lies_between, until
from tests.end_to_end.faults import SmallDisk, injecting, needs_strace, small_disk

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner import RunReport
    from tests.end_to_end.conftest import Place, Served, Servers

__all__ = ["small_disk"]

BRISK = Scenario(latency=Latency(seconds=Fixed(0.02)))
SLOW = Scenario(latency=Latency(seconds=Fixed(0.3)))
ROWS = 40


def run(place: Place, gateway: Served, *more: str | Path) -> tuple[str | Path, ...]:
    return ("run", place.prompts, "--endpoint", gateway.url, "-c", "4", "--max-completion-tokens", "700", *more)


def rescued_in(folder: Path) -> Path:
    (path,) = folder.glob("*.rescue-*.jsonl")
    return path


def is_stalled(out: Path) -> bool:
    return bool(read_heartbeat(out).get("disk"))


def once_more(place: Place, gateway: Served, out: Path | None = None) -> RunReport:
    """The same run again."""
    return run_file_sync(place.prompts, out, endpoint=gateway.url, concurrency=4, max_completion_tokens=700)


def ids(path: Path) -> set[str]:
    return {result.id for result in read_results(path)}


def test_a_full_disk_is_waited_for_and_the_run_goes_on_by_itself(place: Place, servers: Servers, small_disk: SmallDisk) -> None:
    place.write_questions(ROWS)
    gateway = servers.gateway(BRISK)
    out = small_disk.folder / "out.jsonl"
    started = place.start(*run(place, gateway, "-o", out))

    until(lambda: is_stalled(out), what="the disk to be full")
    standing = place.run("status", out)
    document = place.run("status", out, "--json").document
    bought, recorded = gateway.at_rest().requests, len(place.rows(out))
    small_disk.resize(1000)
    end = started.ended()

    assert bought - recorded <= 4
    assert "the disk is full: nothing is sent" in standing.out
    assert 1 <= document["heartbeat"]["disk"]["lines"] <= 4
    assert "the disk is full: nothing is sent" in end.err
    assert "the disk has room again" in end.err
    assert end.status == 0
    assert len(place.rows(out)) == gateway.books().requests == ROWS


def test_a_disk_that_stays_full_ends_the_run_and_what_it_could_not_take_is_taken_in_later(
    place: Place, servers: Servers, small_disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write_questions(ROWS)
    gateway = servers.gateway(BRISK)
    out = small_disk.folder / "out.jsonl"
    command = run(place, gateway, "-o", out, "--wait-for-space", "0.5s")

    end = place.run(*command)
    bought = gateway.at_rest().requests
    rescued = rescued_in(place.folder)
    found = ids(out) | ids(rescued)
    too_early = place.run(*command)
    small_disk.resize(1000)
    monkeypatch.setenv("HOME", str(place.folder))  # as the command had it
    later = once_more(place, gateway, out)

    assert end.status == 6
    assert f"No space left on device; what it could not take is in {rescued}" in end.err
    assert len(found) == bought < ROWS
    assert too_early.status == 3
    assert f"{out} still can't take what its last run put into {rescued}: No space left" in too_early.err
    assert later.exit_status == 0
    assert len(place.rows(out)) == gateway.books().requests == ROWS
    assert lies_between(gateway.books(), place.totals(out)["job"])


def test_told_to_leave_a_run_waits_for_a_full_disk_no_longer(place: Place, servers: Servers, small_disk: SmallDisk) -> None:
    place.write_questions(ROWS)
    gateway = servers.gateway(BRISK)
    out = small_disk.folder / "out.jsonl"
    started = place.start(*run(place, gateway, "-o", out))
    until(lambda: is_stalled(out), what="the disk to be full")

    started.signal(signal.SIGTERM)
    end = started.ended()

    assert end.status == 6
    assert "received and not written yet" in end.err
    assert len(ids(out) | ids(rescued_in(place.folder))) == gateway.books().requests


def test_a_disk_that_is_full_from_the_start_is_not_waited_for(place: Place, servers: Servers, small_disk: SmallDisk) -> None:
    place.write_questions(3)
    gateway = servers.gateway()
    (small_disk.folder / "ballast").write_bytes(b"x" * 48 * 1024)

    end = place.run(*run(place, gateway, "-o", small_disk.folder / "out.jsonl"))

    assert end.status in {3, 6}
    assert "No space left" in end.err
    assert "Traceback" not in end.err
    assert gateway.books().requests == 0


@needs_strace
def test_a_quota_that_is_used_up_is_waited_for_too(place: Place, servers: Servers) -> None:
    place.write_questions(12)
    gateway = servers.gateway(BRISK)

    end = place.start(*run(place, gateway), under=injecting("write:error=EDQUOT:when=3", files=(place.out,))).ended()

    assert end.status == 0, end.err
    assert "the disk is full" in end.err
    assert len(place.rows()) == gateway.books().requests == 12


@needs_strace
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        pytest.param("fdatasync:error=EIO:when=2", "Input/output error", id="EIO from the sync"),
        pytest.param("write:error=EROFS:when=3", "Read-only file system", id="read-only"),
    ],
)
def test_a_broken_disk_is_not_believed_again_and_nothing_is_bought_twice(
    place: Place, servers: Servers, fault: str, told: str
) -> None:
    place.write_questions(ROWS)
    gateway = servers.gateway(BRISK)
    refuge = place.folder / "refuge"
    command = run(place, gateway, "--rescue-dir", refuge)

    end = place.start(*command, under=injecting(fault, files=(place.out,))).ended()
    rescued = rescued_in(refuge)
    bought, found = gateway.at_rest().requests, ids(place.out) | ids(rescued)
    first = place.lines(rescued)[0]["status"]
    mode = stat.S_IMODE(rescued.stat().st_mode)
    standing = place.run("status", place.out)
    later = run_file_sync(place.prompts, endpoint=gateway.url, concurrency=4, max_completion_tokens=700, rescue_dir=str(refuge))

    assert end.status == 6
    assert f"can't be written: {told}; what it could not take is in {rescued}: the same command takes it in" in end.err
    assert (first, mode) == ("run", 0o600)
    assert f"its last run lost it: {place.out} can't be written: {told}; what it could not take" in standing.out
    assert len(found) == bought
    assert later.exit_status == 0, later.reason
    assert sorted(place.by_id()) == sorted(f"r{number}" for number in range(ROWS))
    assert len(place.rows()) == gateway.books().requests == ROWS
    assert lies_between(gateway.books(), place.run("status", place.out, "--json").document["job"])


@needs_strace
def test_lines_that_no_disk_takes_are_counted_aloud(place: Place, servers: Servers) -> None:
    place.write_questions(30)
    gateway = servers.gateway(SLOW)

    end = place.start(*run(place, gateway), under=injecting("fdatasync:error=EIO:when=2+")).ended()

    assert end.status == 6
    assert "lines may not have reached the disk, and no other place was found for them" in end.err
    assert gateway.at_rest().requests <= 16


def test_an_output_whose_folder_is_removed_under_the_run_is_saved_whole(place: Place, servers: Servers) -> None:
    place.write_questions(ROWS)
    gateway = servers.gateway(SLOW)
    out = place.folder / "answers" / "out.jsonl"
    started = place.start(*run(place, gateway, "-o", out))
    until(lambda: place.recorded(out) >= 4)

    shutil.rmtree(out.parent)
    end = started.ended()
    rescued = rescued_in(place.folder)
    bought, saved = gateway.at_rest().requests, ids(rescued)
    out.parent.mkdir()
    rescued.rename(out)
    later = once_more(place, gateway, out)

    assert end.status == 6
    assert f"it was removed while the run went on; all it held is in {rescued}: move that back to {out} first" in end.err
    assert len(saved) == bought < ROWS
    assert later.exit_status == 0, later.reason
    assert len(place.rows(out)) == gateway.books().requests == ROWS


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may write everywhere; needs setpriv")
def test_a_folder_made_read_only_under_the_run_costs_no_answer(place: Place, servers: Servers) -> None:
    place.write_questions(24)
    gateway = servers.gateway(Scenario(faults=(Fault(Canned("context_length_exceeded")),)))
    out = place.folder / "answers" / "out.jsonl"
    place.run(*run(place, gateway, "-o", out))
    gateway.plays(SLOW)
    plain_user = ("setpriv", "--inh-caps=-all", "--bounding-set=-all") if os.geteuid() == 0 else ()
    started = place.start(*run(place, gateway, "-o", out, "--retry-failed"), under=plain_user)
    until(lambda: place.recorded(out) >= 26)

    out.parent.chmod(0o555)
    end = started.ended()
    out.parent.chmod(0o755)

    assert end.status == 0, end.err
    assert {row["status"] for row in place.by_id(out).values()} == {"ok"}
    assert "replaced lines stay in the output, it can't be compacted: Permission denied" in end.err


def test_an_output_on_another_device_is_compacted_there(place: Place, servers: Servers, small_disk: SmallDisk) -> None:
    place.write_questions(3)
    gateway = servers.gateway(Scenario(faults=(Fault(Canned("context_length_exceeded")),)))
    link, real = place.folder / "link.jsonl", small_disk.folder / "out.jsonl"
    link.symlink_to(real)
    place.run(*run(place, gateway, "-o", link))
    gateway.plays(BRISK)

    end = place.run(*run(place, gateway, "-o", link, "--retry-failed"))

    assert end.status == 0, end.err
    assert [line["status"] for line in place.lines(real)] == ["run", "ok", "ok", "ok", "totals"]
    assert sorted(path.name for path in real.parent.iterdir()) == ["out.jsonl", "out.jsonl.lock", "out.jsonl.status.json"]


@needs_strace
def test_a_slow_disk_slows_the_sending_and_never_the_event_loop(place: Place, servers: Servers) -> None:
    from aiohttp import web

    place.write_questions(400)
    open_now: list[int] = [0, 0]

    async def answer(_request: web.Request) -> web.StreamResponse:
        open_now[0] += 1
        open_now[1] = max(open_now)
        await asyncio.sleep(0.03)
        open_now[0] -= 1
        return web.json_response({"model": "m", "choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]})

    url = servers.by_hand(answer)
    command: tuple[Any, ...] = ("run", place.prompts, "--endpoint", url, "-c", "4", "--max-completion-tokens", "700")
    started = place.start(*command, under=injecting("fdatasync:delay_enter=4000000:when=2+", files=(place.out,)))
    until(lambda: place.recorded() >= 8)
    time.sleep(0.7)  # now the first slow sync is on
    before = place.recorded()
    started.signal(signal.SIGINT)
    assert started.process.stderr is not None
    told_at = time.monotonic()
    told = b""
    while b"leaving" not in told:
        told += os.read(started.process.stderr.fileno(), 65536)
    seconds = time.monotonic() - told_at
    end = started.ended()

    assert seconds < 3.0  # the sync lasts longer
    assert open_now[1] <= 4
    assert place.recorded() - before <= 4 + 1  # what was in flight, and the totals
    assert end.status == 130


@needs_strace
def test_a_file_system_without_locks_is_told_and_no_lock_goes_on(place: Place, servers: Servers) -> None:
    place.write_questions(2)
    gateway = servers.gateway()
    without = injecting("flock:error=ENOLCK")

    refused = place.start(*run(place, gateway), under=without).ended()
    accepted = place.start(*run(place, gateway, "--no-lock"), under=without).ended()

    assert refused.status == 3
    assert "this file system has no locks (No locks available)" in refused.err
    assert "add --no-lock" in refused.err
    assert refused.err.count("\n") == 1
    assert accepted.status == 0
    assert gateway.books().requests == 2


def test_where_no_file_can_be_made_no_run_is_said_to_be_at_work(place: Place, servers: Servers) -> None:
    place.write_questions(1)

    end = place.run(*run(place, servers.gateway(), "-o", "/proc/x"))

    assert end.status == 3
    assert "/proc/x.lock: can't be locked: No such file or directory" in end.err
    assert end.err.count("\n") == 1
