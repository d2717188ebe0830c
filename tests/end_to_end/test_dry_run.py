"""`--dry-run` as people use it: it looks at all that a run would look at, and leaves everything as it is."""

from functools import partial
from typing import TYPE_CHECKING

from batch_runner.fake_server import Fixed, Latency, Scenario
from tests.end_to_end.conftest import KEY, Place, ServedHere, Servers, until

if TYPE_CHECKING:
    from pathlib import Path


def contents(folder: "Path") -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


def test_a_dry_run_sends_nothing_and_writes_nothing(place: Place, gateway: ServedHere) -> None:
    place.write_questions(3)
    before = contents(place.folder)

    done = place.run("run", place.prompts, "--endpoint", gateway.url, "--dry-run")

    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[0].startswith("3 rows: 3 new → 127.0.0.1, ")
    assert '-H "Authorization: Bearer $BATCH_RUNNER_API_KEY"' in done.out
    assert KEY not in done.out
    assert contents(place.folder) == before
    assert gateway.books().requests == 0


def test_a_dry_run_tells_what_is_new_changed_and_done(place: Place, gateway: ServedHere) -> None:
    place.write_questions(3)
    place.run("run", place.prompts, "--endpoint", gateway.url)
    place.write([{"id": "r0", "prompt": "question 0"}, {"id": "r1", "prompt": "another"}, {"id": "new", "prompt": "c"}])
    before = contents(place.folder)

    done = place.run("run", place.prompts, "--endpoint", gateway.url, "--dry-run", "--json")

    rows = done.document["rows"]
    assert (rows["new"], rows["changed"], rows["done"]) == (1, 1, 1)
    assert '"content":"another"' in done.document["first_request"]
    assert contents(place.folder) == before


def test_a_dry_run_takes_no_lock_and_says_when_a_run_is_at_work(place: Place, servers: Servers) -> None:
    gateway = servers.gateway(Scenario(latency=Latency(seconds=Fixed(0.05))))
    place.write_questions(1000)
    started = place.start("run", place.prompts, "--endpoint", gateway.url, "-c", "1")
    until(partial((place.out.with_name(place.out.name + ".status.json")).exists))

    done = place.run("run", place.prompts, "--endpoint", gateway.url, "--dry-run")

    assert done.status == 3
    assert f"another run holds {place.out}" in done.out
    assert started.at_work
    started.kill()


def test_a_retry_can_be_rehearsed(place: Place, servers: Servers) -> None:
    gateway = servers.gateway(Scenario())
    place.write([{"id": "good", "prompt": "a"}, {"id": "bad", "prompt": "b", "params": {"temperature": 0.1}}])
    place.run("run", place.prompts, "--endpoint", gateway.url)
    before, requests = contents(place.folder), gateway.books().requests

    done = place.run("retry", place.out, "--dry-run")

    assert done.status == 10
    assert done.out.startswith("1 row: 1 again → 127.0.0.1")
    assert '"content":"b"' in done.out
    assert contents(place.folder) == before
    assert gateway.books().requests == requests
