"""A disk that is full ends the run with what was written intact; the next run repairs and finishes."""

from __future__ import annotations

import json
import resource
from typing import TYPE_CHECKING

import pytest

from batch_runner import read_results
from batch_runner.fake_server import Fixed, Latency, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.end_to_end.conftest import Place, Servers


def at_most(size: int) -> Callable[[], None]:
    """No file of the process may grow beyond `size`."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("size", [25_000, 33_333])
def test_an_output_that_cannot_grow_ends_the_run_and_the_next_one_repairs_and_finishes(
    place: Place, servers: Servers, size: int
) -> None:
    place.write_questions(60)
    gateway = servers.gateway(Scenario(latency=Latency(seconds=Fixed(0.02))))
    command = ("run", place.prompts, "--endpoint", gateway.url, "-c", "4", "--max-completion-tokens", "700")

    end = place.start(*command, preexec_fn=at_most(size)).ended()
    kept = place.out.read_bytes()
    (rescued,) = place.folder.glob("*.rescue-*.jsonl")
    bought = gateway.at_rest().requests
    saved = {result.id for path in (place.out, rescued) for result in read_results(path)}
    later = place.run(*command)

    assert end.status == 6, end.err
    assert f"{place.out} can't be written: File too large; what it could not take is in {rescued}" in end.err
    assert "Traceback" not in end.err
    assert len(kept) <= size
    assert all(json.loads(line) for line in kept.splitlines())
    assert len(saved) == bought
    assert later.status == 0, later.err
    assert len(place.rows()) == 60
    assert gateway.books().requests == 60
    assert f"took in what the last run had to put into {rescued.name}" in later.err
    assert not rescued.exists()


def test_a_disk_that_is_full_from_the_start_sends_nothing(place: Place, servers: Servers) -> None:
    place.write_questions(5)
    gateway = servers.gateway()

    end = place.start("run", place.prompts, "--endpoint", gateway.url, preexec_fn=at_most(1000)).ended()

    assert end.status in {3, 6}
    assert "can't be written" in end.err
    assert "Traceback" not in end.err
    assert gateway.books().requests == 0


def test_an_output_lost_stops_the_sending_within_a_second(place: Place, servers: Servers) -> None:
    place.write_questions(2000)
    gateway = servers.gateway(Scenario(latency=Latency(seconds=Fixed(0.05))))

    end = place.start("run", place.prompts, "--endpoint", gateway.url, "-c", "4", preexec_fn=at_most(20_000)).ended()

    assert end.status == 6
    assert gateway.at_rest().requests <= len(place.rows()) + 2 * 4
