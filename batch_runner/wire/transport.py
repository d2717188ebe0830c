"""Sends one request, and says what came of it."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import TYPE_CHECKING, Protocol, Self
from urllib.parse import quote, urlsplit

from batch_runner import __version__
from batch_runner.endpoint import FAKE
from batch_runner.leaving import WaitEndedError, Waits
from batch_runner.records import ChatRequest, NoAnswer, Outcome, Reply, Unreached
from batch_runner.wire.connection import MOST_BYTES, BrokenReplyError, Connection, WholeReply
from batch_runner.wire.dialing import Dialer, NotConnectedError
from batch_runner.wire.packing import CantUnpackError, unpacked
from batch_runner.wire.proxies import credentials, environment_proxy

if TYPE_CHECKING:
    from types import TracebackType

    from batch_runner.endpoint import Endpoint

KEEP_ALIVE_SECONDS = 4.0
"""Shorter than the 5 s after which uvicorn and Node close an idle connection. A request that meets that close may or may
not have been read, and would have to be counted as maybe billed."""

IN_PATHS = "/%:@!$&'()*+,;=~"
"""Characters that stand in a path as they are, beside letters and digits (RFC 3986)."""


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
    """Posts requests to an endpoint over as many connections as are needed, or fetches from it; an async context manager.

    Follows no redirect, which would carry the key to another host, and reads no netrc, which would replace it.
    """

    def __init__(self, endpoint: Endpoint, *, timeout: float, sends: Waits, trust: ssl.SSLContext | bool = True) -> None:
        self._endpoint = endpoint
        self._timeout = timeout
        self._sends = sends
        proxy = None if endpoint.host == FAKE else environment_proxy(endpoint.chat_url)
        self._dialer = Dialer(endpoint.chat_url, trust=trust, proxy=proxy)
        self._idle: deque[Connection] = deque()
        self._post = self._head("POST", endpoint.chat_url) + b"Content-Type: application/json\r\nContent-Length: "

    async def __aenter__(self) -> Self:
        self._clock = asyncio.get_running_loop().time
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for connection in self._idle:
            connection.close()
        await asyncio.sleep(0)  # the event loop lets go of them in its next turn

    async def send(self, request: ChatRequest) -> Outcome:
        """Post the request and read its whole reply."""
        return await self._attempt(b"%s%d\r\n\r\n%s" % (self._post, len(request.body), request.body))

    async def post(self, url: str, body: bytes, kind: str, *, more: str = "") -> Outcome:
        """Post `body`, whose media type is `kind`, to `url`, a place of the same endpoint; `more` are lines of the head."""
        assert urlsplit(url)[:2] == urlsplit(self._endpoint.chat_url)[:2], "a connection leads to one place"
        head = self._head("POST", url) + f"{more}Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        return await self._attempt(head + body)

    async def get(self, url: str) -> Outcome:
        """Fetch what stands at `url`, a place of the same endpoint: the key goes along."""
        assert urlsplit(url)[:2] == urlsplit(self._endpoint.chat_url)[:2], "a key stays with its endpoint"
        return await self._attempt(self._head("GET", url) + b"\r\n")

    async def _attempt(self, request: bytes) -> Outcome:
        started = self._clock()
        connection = self._idle_one()
        if connection is None:
            dialled = await self._dialled(started)
            if isinstance(dialled, Unreached):
                return dialled
            connection = dialled
        return await self._exchange(connection, request, started)

    async def _dialled(self, started: float) -> Connection | Unreached:
        """A new connection, or why there is none: nothing has been sent then."""
        try:
            async with self._sends.until(self._timeout):
                return await self._dialer.dial()
        except WaitEndedError:
            return Unreached("hung up before it was sent", self._clock() - started, interrupted=True)
        except TimeoutError:
            return Unreached(f"no connection within {self._timeout:g} s", self._clock() - started)
        except ssl.SSLCertVerificationError as error:
            reason = f"the certificate of {self._endpoint.host} isn't trusted: {error.verify_message or error}"
            return Unreached(reason, self._clock() - started, untrusted=True)
        except NotConnectedError as error:
            return Unreached(str(error), self._clock() - started)

    async def _exchange(self, connection: Connection, request: bytes, started: float) -> Outcome:
        """Send over `connection`, which is kept for the next request if the reply comes whole."""
        whole = False
        try:
            reply = await self._sends.result(connection.ask(request), self._timeout - (self._clock() - started))
            whole = True
            return _read(reply, self._clock() - started)
        except WaitEndedError:
            return NoAnswer("hung up while waiting for the answer", self._clock() - started, interrupted=True)
        except TimeoutError:
            return NoAnswer(f"no answer within {self._timeout:g} s", self._clock() - started, timed_out=True)
        except (BrokenReplyError, CantUnpackError) as error:
            return NoAnswer(str(error), self._clock() - started)
        finally:
            if whole:
                self._give_back(connection)
            else:
                connection.close()

    def _idle_one(self) -> Connection | None:
        """The connection that was used last, unless it may be about to be closed at the other end. None once the run hangs up."""
        if self._sends.ended:
            return None
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and self._clock() - connection.idle_since < KEEP_ALIVE_SECONDS:
                return connection
            connection.close()
        return None

    def _give_back(self, connection: Connection) -> None:
        if connection.usable:
            connection.idle_since = now = self._clock()
            self._idle.append(connection)
            while now - self._idle[0].idle_since > KEEP_ALIVE_SECONDS:
                self._idle.popleft().close()

    def _head(self, method: str, url: str) -> bytes:
        """The head of a request, as far as all of them have it."""
        parts, proxy = urlsplit(url), self._dialer.speaks_to_proxy
        path = quote(parts.path or "/", safe=IN_PATHS) + (f"?{parts.query}" if parts.query else "")
        target = path if proxy is None else f"http://{parts.netloc}{path}"
        lines = [
            f"{method} {target} HTTP/1.1",
            f"Host: {parts.netloc}",
            "Accept: application/json",
            "Accept-Encoding: gzip, deflate",
            f"User-Agent: batch-runner/{__version__}",
        ]
        if self._endpoint.key is not None:
            lines.append(f"Authorization: Bearer {self._endpoint.key}")
        return "\r\n".join([*lines, ""]).encode() + (b"" if proxy is None else credentials(proxy))


def _read(reply: WholeReply, seconds: float) -> Outcome:
    """A reply with its body unpacked. Raises `CantUnpackError`."""
    body = None if reply.too_long else reply.body
    if body is not None and "content-encoding" in reply.headers:
        body = unpacked(body, reply.headers["content-encoding"], most=MOST_BYTES)
    if body is None:
        return NoAnswer(f"the reply is longer than {MOST_BYTES >> 20} MiB", seconds)
    return Reply(reply.status, reply.headers, body, seconds)
