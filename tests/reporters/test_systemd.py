from __future__ import annotations

import asyncio
import os
import secrets
import socket
from typing import TYPE_CHECKING

import pytest

from batch_runner.exits import ExitStatus
from batch_runner.leaving import Leaving
from batch_runner.reporters.systemd import Systemd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Manager:
    """The other end of the socket, as systemd has it."""

    def __init__(self, bound_to: str, name: str) -> None:
        self.environment = {"NOTIFY_SOCKET": name}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(bound_to)
        self._socket.setblocking(False)

    def heard(self) -> list[list[str]]:
        """Every datagram since the last time, its lines."""
        told = []
        while True:
            try:
                told.append(self._socket.recv(65536).decode().split("\n"))
            except BlockingIOError:
                return told

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = f"batch-runner-test-{secrets.token_hex(8)}"
    path = str(tmp_path / "notify")
    manager = Manager(path, path) if request.param == "path" else Manager(f"\0{name}", f"@{name}")
    yield manager
    manager.close()


async def beats(systemd: Systemd, leaving: Leaving) -> None:
    """One beat, and the end of the beating."""
    task = asyncio.create_task(systemd.beat(leaving))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


def test_a_service_is_ready_before_it_can_fail(manager: Manager) -> None:
    Systemd(manager.environment).ready()

    assert manager.heard() == [["READY=1", "STATUS=getting ready"]]


async def test_a_run_at_work_lives(manager: Manager) -> None:
    await beats(Systemd(manager.environment), Leaving(300.0))

    assert manager.heard() == [["WATCHDOG=1", "STATUS=at work"], ["STATUS=summing up"]]


async def test_a_run_that_leaves_asks_for_more_time_with_each_beat(manager: Manager) -> None:
    leaving = Leaving(300.0)
    leaving.drain(ExitStatus.TERMINATED)

    await beats(Systemd(manager.environment), leaving)

    assert manager.heard()[0] == [
        "WATCHDOG=1",
        "STOPPING=1",
        "STATUS=waiting for the answers on their way: at work",
        "EXTEND_TIMEOUT_USEC=60000000",
    ]


async def test_the_watchdog_is_patient_where_no_beat_can_be_given_and_else_as_asked(manager: Manager) -> None:
    systemd = Systemd(manager.environment | {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())})

    systemd.ready()
    await beats(systemd, Leaving(300.0))

    told = [line for datagram in manager.heard() for line in datagram if "WATCHDOG" in line]
    assert told == ["WATCHDOG_USEC=86400000000", "WATCHDOG_USEC=30000000", "WATCHDOG=1", "WATCHDOG_USEC=86400000000"]


@pytest.mark.looptime
async def test_a_beat_comes_three_times_within_the_watchdogs_patience(manager: Manager) -> None:
    systemd = Systemd(manager.environment | {"WATCHDOG_USEC": "3000000"})
    task = asyncio.create_task(systemd.beat(Leaving(300.0)))

    await asyncio.sleep(2.5)
    task.cancel()
    await asyncio.wait([task])

    assert sum("WATCHDOG=1" in datagram for datagram in manager.heard()) == 3


@pytest.mark.parametrize(("pid", "meant"), [("1", False), (str(os.getpid()), True), (None, True)], ids=["another", "ours", "any"])
async def test_another_processs_watchdog_is_none_of_ours(manager: Manager, pid: str | None, *, meant: bool) -> None:
    named = {} if pid is None else {"WATCHDOG_PID": pid}

    Systemd(manager.environment | {"WATCHDOG_USEC": "3000000"} | named).ready()

    assert any("WATCHDOG_USEC" in line for line in manager.heard()[0]) is meant


def test_why_a_run_stops_is_told_on_one_line(manager: Manager) -> None:
    Systemd(manager.environment).stopping("the key\nis dead")

    assert manager.heard() == [["STOPPING=1", "STATUS=stopping: the key is dead", "EXTEND_TIMEOUT_USEC=60000000"]]


@pytest.mark.parametrize("name", [None, "", "vsock:2:1", "/nowhere/notify", "@nobody-listens-here-4711"])
def test_without_a_manager_nothing_happens(name: str | None) -> None:
    Systemd({} if name is None else {"NOTIFY_SOCKET": name}).ready()


def test_a_manager_that_does_not_listen_holds_nothing_up(manager: Manager) -> None:
    systemd = Systemd(manager.environment)

    for _ in range(2000):
        systemd.ready()

    assert manager.heard()
