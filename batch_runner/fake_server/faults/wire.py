"""The wire under one request: replies written by hand, and clients that leave."""

import asyncio
import math
import socket
import struct
from asyncio import AbstractEventLoop, Future, Task, Transport
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from functools import lru_cache
from http.client import responses
from typing import Any

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from batch_runner.fake_server.wall_clock import seconds_since_1970

RESET_AT_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER of zero seconds: closing sends a reset instead of a farewell."""

GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Wires(web.Server):
    """An aiohttp server that can tell when a client has left: a hanging answer waits for just that."""

    def __init__(self, handler: Handler, *, most_body_bytes: Callable[[], int]) -> None:
        super().__init__(handler, request_factory=self._request, access_log=None)
        self.most_body_bytes = most_body_bytes
        self._waiting: dict[web.RequestHandler, Future[None]] = {}
        self._deserted: set[Task[None]] = set()
        """What goes on for clients that left: a service computes an answer to its end."""

    def _request(
        self, message: Any, payload: Any, protocol: web.RequestHandler, writer: AbstractStreamWriter, task: Any
    ) -> web.BaseRequest:
        loop: AbstractEventLoop = self._loop
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=self.most_body_bytes())

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Tells whoever waits for this client to leave."""
        if (serving := handler._task_handler) is not None and not serving.done():  # noqa: SLF001 - aiohttp forgets it now
            self._deserted.add(serving)
            serving.add_done_callback(self._deserted.discard)
        super().connection_lost(handler, exc)
        if waiting := self._waiting.pop(handler, None):
            waiting.set_result(None)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as aiohttp calls it
        """Ends all connections, and what goes on for clients that left, after so many seconds."""
        serving = {task for handler in self.connections if (task := handler._task_handler) is not None}  # noqa: SLF001
        serving |= self._deserted
        await super().shutdown(timeout)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def client_left(self, request: web.BaseRequest, seconds: float) -> None:
        """Returns when the client is gone, or after so many seconds."""
        if request.transport is None:
            return
        waiting = self._waiting.setdefault(request.protocol, self._loop.create_future())
        await asyncio.wait([waiting], timeout=None if math.isinf(seconds) else seconds)

    def body_at_hand(self, request: web.BaseRequest) -> bytes:
        """The whole body, if it has come and isn't too large; most have before anybody looks, and need no waiting."""
        content = request.content
        return content.read_nowait() if content.is_eof() and content.total_bytes <= self.most_body_bytes() else b""

    async def body_to_come(self, request: web.BaseRequest) -> bytes:
        """The whole body, waited for; raises `web.HTTPRequestEntityTooLarge` if there is too much of it."""
        most, announced = self.most_body_bytes(), request.content_length or 0
        if announced > most:
            raise web.HTTPRequestEntityTooLarge(max_size=most, actual_size=announced)
        if request.transport and request.headers.get("expect", "").lower() == "100-continue":
            # A whole aiohttp application does this for its handlers; a bare server, such as this one, doesn't.
            request.transport.write(GO_ON)
        return await request.read()

    def let_go(self) -> None:
        """Ends every hang, because the gateway closes."""
        for waiting in self._waiting.values():
            waiting.set_result(None)
        self._waiting.clear()


def head(status: int, content_type: str, length: int, more: str) -> bytes:
    """The first lines of a reply, with whatever length it claims and whatever `more` lines it has."""
    return (
        f"{status_line(status)}\r\ndate: {http_date(seconds_since_1970())}\r\ncontent-type: {content_type}\r\n"
        f"content-length: {length}\r\n{more}\r\n"
    ).encode()


def connection(request: web.BaseRequest) -> str:
    """The line that says what becomes of the connection, where it isn't what the version of HTTP has anyway."""
    if not request.keep_alive:
        return "connection: close\r\n"
    return "connection: keep-alive\r\n" if request.version < HttpVersion11 else ""


@lru_cache
def status_line(status: int) -> str:
    """The first line of a reply."""
    return f"HTTP/1.1 {status} {responses.get(status, '')}"


@lru_cache(maxsize=1)
def http_date(seconds: int) -> str:
    """A time as headers tell it."""
    return formatdate(seconds, usegmt=True)


def reset(transport: Transport) -> None:
    """Ends a connection with a TCP reset."""
    peer = transport.get_extra_info("socket")
    if peer is not None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
    transport.abort()


class Sent(web.StreamResponse):
    """Stands for a reply that already went over the wire; aiohttp has nothing left to write."""

    def __init__(self, *, keeps_alive: bool) -> None:
        # The parent's own set-up is for writing a response, and costs as much as all the rest of one.
        self._keeps_alive = keeps_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        """Writes nothing."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Writes nothing."""

    @property
    def keep_alive(self) -> bool:
        """Whether the connection goes on."""
        return self._keeps_alive


SENT, SENT_ALIVE = Sent(keeps_alive=False), Sent(keeps_alive=True)
