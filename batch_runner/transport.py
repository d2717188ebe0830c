"""Sends one request, and says what came of it."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol, Self
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from batch_runner import __version__
from batch_runner.admission.finder.values import MOST_IN_FLIGHT
from batch_runner.endpoint import FAKE
from batch_runner.exchange import HEADER_BYTES, MOST_BYTES, Exchange, Response, Sending, read_whole, tried
from batch_runner.leaving import WaitEndedError, Waits
from batch_runner.records import ChatRequest, NoAnswer, Outcome, Reply, Unreached

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from aiohttp.abc import AbstractStreamWriter

    from batch_runner.endpoint import Endpoint

CONNECT_SECONDS = 15.0

KEEP_ALIVE_SECONDS = 4.0
"""Shorter than the 5 s after which uvicorn and Node close an idle connection. A request that meets that close may or may
not have been read, and would have to be counted as maybe billed."""

JSON = "application/json"

OTHER_FILES = 128
"""Open files that are no connections: outputs, inputs, and what a program around a run has."""


class Transport(Protocol):
    """Something that can send a request and say what came of it. Never raises for what a network or a service does."""

    async def send(self, request: ChatRequest) -> Outcome:
        """Send once."""
        ...


class Asker(Protocol):
    """Something that can fetch what an endpoint tells of itself. Never raises for what a network or a service does."""

    async def get(self, url: str) -> Outcome:
        """Fetch once."""
        ...


class HttpTransport:
    """Posts requests to an endpoint over a pool of connections, or fetches from it; an async context manager.

    aiohttp's defaults are overridden aloud: no total of 300 s (the wait has its own end), no ceiling of 100 connections
    (admission has its own), no redirects (they would carry the key to another host), no netrc (it would replace the key).
    """

    def __init__(self, endpoint: Endpoint, *, timeout: float, sends: Waits, trust: ssl.SSLContext | bool = True) -> None:
        self._url = URL(endpoint.chat_url)
        self._key = endpoint.key
        self._proxy = None if endpoint.host == FAKE else environment_proxy(self._url)
        self._timeout = timeout
        self._sends = sends
        self._trust = trust

    async def __aenter__(self) -> Self:
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "User-Agent": f"batch-runner/{__version__}",
        }
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=self._trust,
                limit=0,
                keepalive_timeout=KEEP_ALIVE_SECONDS,
                socket_factory=_socket_with_keep_alive,
                ttl_dns_cache=60,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
            max_field_size=HEADER_BYTES,
            max_line_size=HEADER_BYTES,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            trust_env=False,
        )
        self._clock = asyncio.get_running_loop().time
        self._direct = Exchange(self._session, self._url, JSON) if self._proxy is None and tried() else None
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._session.close()

    async def send(self, request: ChatRequest) -> Outcome:
        """Post the request and read its whole reply."""
        sending = Sending(request.body, JSON)
        if self._direct is None:
            return await self._outcome(partial(self._ask, "POST", self._url, sending), sending)
        return await self._outcome(partial(self._direct.post, sending), sending)

    async def post(self, url: str, body: bytes, kind: str) -> Outcome:
        """Post `body`, whose media type is `kind`, to any address: for a transport without a key."""
        assert self._key is None, "a key stays with its endpoint"
        sending = Sending(body, kind)
        return await self._outcome(partial(self._ask, "POST", URL(url), sending), sending)

    async def get(self, url: str) -> Outcome:
        """Fetch what stands at `url`, a place of the same endpoint: the key goes along."""
        place = URL(url)
        assert place.origin() == self._url.origin(), "a key stays with its endpoint"
        return await self._outcome(partial(self._ask, "GET", place, None), None)

    async def _outcome(self, exchange: Callable[[], Awaitable[Response]], sending: Sending | None) -> Outcome:
        started = self._clock()
        try:
            with self._sends.until(self._timeout):
                response = await exchange()
        except (WaitEndedError, aiohttp.ClientError, OSError) as error:
            return self._failure(error, sending, self._clock() - started)
        if response.body is None:
            return NoAnswer(f"the reply is longer than {MOST_BYTES >> 20} MiB", self._clock() - started)
        return Reply(response.status, response.headers, response.body, self._clock() - started)

    def _failure(self, error: Exception, sending: Sending | None, seconds: float) -> Unreached | NoAnswer:
        if isinstance(error, WaitEndedError):
            return _broken(sending, "hung up while waiting for the answer", seconds, interrupted=True)
        if isinstance(error, TimeoutError):
            return _broken(sending, str(error) or f"no answer within {self._timeout:g} s", seconds, timed_out=True)
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return Unreached(f"the certificate of {error.host} isn't trusted: {_fault(error)}", seconds, untrusted=True)
        if isinstance(error, aiohttp.ClientConnectorError):
            return Unreached(_reason(error), seconds)
        return _broken(sending, _reason(error), seconds)

    async def _ask(self, method: str, url: URL, sending: Sending | None) -> Response:
        body = None if sending is None else _Body(sending)
        async with self._session.request(method, url, data=body, proxy=self._proxy, allow_redirects=False) as response:
            return Response(response.status, response.headers, await read_whole(response.content))


class _Body(aiohttp.BytesPayload):
    """What a session sends. It asks for it when a connection stands, and writes it with the headers."""

    def __init__(self, sending: Sending) -> None:
        super().__init__(sending.body, content_type=sending.kind)
        self._sending = sending

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Hand the body over to be written."""
        self._sending.begun = True
        await super().write_with_length(writer, content_length)


def _broken(
    sending: Sending | None, reason: str, seconds: float, *, timed_out: bool = False, interrupted: bool = False
) -> Unreached | NoAnswer:
    """What came of a request that brought no reply; one without a body is taken as sent."""
    if sending is not None and not sending.begun:
        return Unreached(reason, seconds, interrupted=interrupted)
    return NoAnswer(reason, seconds, timed_out=timed_out, interrupted=interrupted)


def most_connections() -> int:
    """How many connections this process may open beside its other files; the system's soft limit is raised for them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_IN_FLIGHT + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    return MOST_IN_FLIGHT if soft == resource.RLIM_INFINITY else max(1, min(MOST_IN_FLIGHT, soft - OTHER_FILES))


def environment_proxy(url: URL) -> str | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY ask for. aiohttp could look itself, but then reads netrc too."""
    if url.host is None or proxy_bypass(url.host):
        return None
    return getproxies().get(url.scheme)


def _fault(error: aiohttp.ClientConnectorCertificateError) -> str:
    cause = error.certificate_error
    return getattr(cause, "verify_message", "") or str(cause)


def _reason(error: Exception) -> str:
    """Why nothing came back, in our words where no connection stood."""
    if isinstance(error, aiohttp.ClientConnectorError):
        host = f"[{error.host}]" if ":" in error.host else error.host
        code, told = error.os_error.errno, error.os_error.strerror or str(error.os_error)
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return f"the name {host} can't be looked up: {told}"
        proxy = "the proxy " if isinstance(error, aiohttp.ClientProxyConnectionError) else ""
        if code is not None and code in errno.errorcode and not isinstance(error, aiohttp.ClientSSLError):
            told = os.strerror(code)
        return f"no connection with {proxy}{host}:{error.port}: {told}"
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _socket_with_keep_alive(address: tuple[object, ...]) -> socket.socket:
    """A socket that notices a dead peer within minutes: a long answer sends no byte until it is finished."""
    family, kind, protocol, _name, _address = address
    connection = socket.socket(family, kind, protocol)  # type: ignore[arg-type]  # as getaddrinfo gave them
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
    return connection
