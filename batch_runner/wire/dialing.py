"""A service's address -> a connection to it: names looked up, addresses tried, certificates checked, proxies asked."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from aiohappyeyeballs import start_connection

from batch_runner.wire.connection import BrokenReplyError, Connection
from batch_runner.wire.proxies import connect

if TYPE_CHECKING:
    from aiohappyeyeballs import AddrInfoType

CONNECT_SECONDS = 15.0

KNOWN_SECONDS = 60.0
"""How long the addresses of a name are believed."""

NEXT_ADDRESS_SECONDS = 0.25
"""When the next address is tried beside one that doesn't answer (RFC 8305 recommends a quarter of a second)."""

PORTS = {"http": 80, "https": 443}
GRANTED = 200


class NotConnectedError(Exception):
    """No connection came about, so nothing was sent."""


class Dialer:
    """Opens connections to one service, by way of a proxy where there is one."""

    def __init__(self, url: str, *, trust: ssl.SSLContext | bool = True, proxy: str | None = None) -> None:
        self._service = urlsplit(url)
        self._proxy = None if proxy is None else urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        self._trust = trust
        self._addresses: asyncio.Task[list[AddrInfoType]] | None = None
        self._believed_until = 0.0

    @property
    def speaks_to_proxy(self) -> SplitResult | None:
        """The proxy that passes on what is sent in the clear; one that only opens a way is none."""
        return self._proxy if self._service.scheme == "http" else None

    async def dial(self) -> Connection:
        """A new connection. Raises `NotConnectedError`, or `ssl.SSLCertVerificationError` for a stranger's certificate."""
        first = self._proxy or self._service
        place = f"{first.hostname}:{_port(first)}"
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reached = await self._reach(first)
                opens_a_way = self._proxy is not None and self._service.scheme == "https"
                return await self._through(first, reached) if opens_a_way else reached
        except ssl.SSLCertVerificationError:
            raise
        except TimeoutError:
            raise NotConnectedError(f"no connection to {place} within {CONNECT_SECONDS:g} s") from None
        except OSError as error:
            raise NotConnectedError(f"no connection to {place}: {error.strerror or error}") from None

    async def _reach(self, place: SplitResult) -> Connection:
        """A connection to `place` itself, encrypted if its address says so."""
        if place.scheme not in PORTS:
            raise NotConnectedError(f"{place.scheme} isn't a kind of proxy that can be used: http and https are")
        reached = await start_connection(
            await self._look_up(place),
            happy_eyeballs_delay=NEXT_ADDRESS_SECONDS,
            interleave=1,
            loop=asyncio.get_running_loop(),
            socket_factory=_socket_with_keep_alive,
        )
        encrypted = place.scheme == "https"
        with ExitStack() as undo:
            undo.callback(reached.close)
            _, connection = await asyncio.get_running_loop().create_connection(
                Connection,
                sock=reached,
                ssl=self._context() if encrypted else None,
                server_hostname=place.hostname if encrypted else None,
            )
            undo.pop_all()
        return connection

    async def _through(self, proxy: SplitResult, connection: Connection) -> Connection:
        """The way to the service that `proxy` opens from its end of `connection`."""
        host, behind, loop = self._service.hostname or "", Connection(), asyncio.get_running_loop()
        with ExitStack() as undo:
            undo.callback(connection.close)
            try:
                granted = await connection.ask(connect(host, _port(self._service), proxy), head_only=True)
            except BrokenReplyError as error:
                raise NotConnectedError(f"the proxy {proxy.hostname}: {error}") from None
            if granted.status != GRANTED:
                raise NotConnectedError(f"the proxy {proxy.hostname} answers HTTP {granted.status}")
            transport = await loop.start_tls(connection.leave(), behind, self._context(), server_hostname=host)
            undo.pop_all()
        assert transport is not None, "the connection still stands"
        behind.connection_made(transport)
        return behind

    async def _look_up(self, place: SplitResult) -> list[AddrInfoType]:
        """The addresses of a name: one question for everyone who wants to know."""
        loop = asyncio.get_running_loop()
        if self._addresses is None or (self._addresses.done() and loop.time() > self._believed_until):
            self._addresses = asyncio.create_task(_addresses(place.hostname or "", _port(place)))
            self._believed_until = loop.time() + KNOWN_SECONDS
        asked = self._addresses
        try:
            return await asyncio.shield(asked)
        except OSError:
            if self._addresses is asked:
                self._addresses = None
            raise

    def _context(self) -> ssl.SSLContext:
        if not isinstance(self._trust, ssl.SSLContext):
            self._trust = ssl.create_default_context()
        return self._trust


async def _addresses(host: str, port: int) -> list[AddrInfoType]:
    return list(await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM))


def _port(place: SplitResult) -> int:
    return place.port or PORTS.get(place.scheme, 0)


def _socket_with_keep_alive(address: AddrInfoType) -> socket.socket:
    """A socket that notices a dead peer within minutes: a long answer sends no byte until it is finished."""
    family, kind, protocol, _name, _address = address
    connection = socket.socket(family, kind, protocol)
    connection.setblocking(False)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
    return connection
