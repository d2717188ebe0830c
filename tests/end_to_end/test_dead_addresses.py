"""What is told where no connection comes about."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from batch_runner.endpoint import Endpoint
from batch_runner.leaving import Waits
from batch_runner.records import Unreached
from batch_runner.transport import HttpTransport, _reason

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port of loopback that is taken, and at which nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def came_of(url: str) -> str:
    """Why nothing came of asking there."""
    async with HttpTransport(Endpoint(url, "somewhere"), timeout=5, sends=Waits()) as asker:
        outcome = await asker.get(url)
    assert isinstance(outcome, Unreached)
    return outcome.reason


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def test_a_dead_address_is_told_in_a_few_words(dead_port: int) -> None:
    assert await came_of(f"http://127.0.0.1:{dead_port}/v1") == f"no connection with 127.0.0.1:{dead_port}: Connection refused"


async def test_a_dead_proxy_is_told_as_such(dead_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{dead_port}")

    told = await came_of("http://service.example/v1")

    assert told == f"no connection with the proxy 127.0.0.1:{dead_port}: Connection refused"


async def test_a_port_that_speaks_no_tls_is_told() -> None:
    async def plainly(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(plainly, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        told = await came_of(f"https://127.0.0.1:{port}/v1")

    assert told.startswith(f"no connection with 127.0.0.1:{port}: [SSL")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (socket.gaierror(-2, "Name or service not known"), "the name api.example can't be looked up: Name or service not known"),
        (OSError("Multiple exceptions: [Errno 113] …"), "no connection with api.example:443: Multiple exceptions: [Errno 113] …"),
    ],
)
def test_a_name_that_nobody_knows_is_told_and_several_faults_as_they_come(error: OSError, told: str) -> None:
    key = ConnectionKey("api.example", 443, True, True, None, None, None)
    named = aiohttp.ClientConnectorDNSError if isinstance(error, socket.gaierror) else aiohttp.ClientConnectorError

    assert _reason(named(key, error)) == told
