"""A request and its reply over aiohttp's connections: its pool, its TLS, its parser, without its session.

For each request a session prepares cookies, redirects, middlewares and four objects, and asks a task of its own to write it; that
takes more than half of what a bare loop needs for a row (docs/performance.md). A run's requests differ by their bodies alone, so
what surrounds them is prepared once. The parts beneath a session aren't all documented: they are used in the versions of aiohttp
that were tried, and any other gets a session.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.connector import Connection
    from yarl import URL

TRIED = ((3, 12), (3, 14))
"""The first and the last minor version of aiohttp that the parts beneath a session were tried in."""

MOST_BYTES = 32 * 1024 * 1024
"""The largest reply read, unpacked. o1's longest answers are below 1 MiB."""

HEADER_BYTES = 65_536
"""aiohttp refuses a header above 8,190 bytes; gateways behind a content filter send longer ones."""

COPIED_BYTES = 65_536
"""A body up to this size is joined with its head, so that both leave in one packet; a longer one isn't worth a copy."""

MEANWHILE = range(100, 200)
SWITCHED = 101


@dataclass(slots=True)
class Sending:
    """A body, and whether it began to leave: from then on somebody may have read it."""

    body: bytes
    kind: str
    """Its media type."""
    begun: bool = False


class Response(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None
    """`None` when it is longer than `MOST_BYTES`."""


def tried(version: str = aiohttp.__version__) -> bool:
    """Whether the parts beneath a session were tried in a version of aiohttp."""
    major, minor = version.split(".")[:2]
    first, last = TRIED
    return first <= (int(major), int(minor)) <= last


class Exchange:
    """Posts bodies of one kind to one address, with a session's connections and headers. Raises what its session would."""

    def __init__(self, session: aiohttp.ClientSession, url: URL, kind: str) -> None:
        assert session.connector is not None, "a session has connections until it is closed"
        self._connector = session.connector
        self._timeout = session.timeout
        headers = {**session.headers, "Content-Type": kind}
        self._request = aiohttp.ClientRequest("POST", url, headers=headers, loop=asyncio.get_running_loop(), session=session)
        lines = [f"POST {url.raw_path_qs} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in self._request.headers.items() if name != "Content-Length"]
        self._head = "\r\n".join([*lines, "Content-Length: "]).encode()

    async def post(self, sending: Sending) -> Response:
        """Send, and read the whole reply."""
        connection = await self._connect()
        response = None
        try:
            self._write(connection, sending)
            response = await self._read(connection)
        finally:
            self._give_back(connection, response)
        return response

    async def _connect(self) -> Connection:
        try:
            return await self._connector.connect(self._request, [], self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"Connection timeout to host {self._request.url}") from error

    def _write(self, connection: Connection, sending: Sending) -> None:
        transport, body = connection.transport, sending.body
        if transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection was closed before anything was sent")
        assert connection.protocol is not None, "a transport has a protocol"
        connection.protocol.set_response_params(
            read_until_eof=True, auto_decompress=True, max_line_size=HEADER_BYTES, max_field_size=HEADER_BYTES
        )
        sending.begun = True
        head = b"%b%d\r\n\r\n" % (self._head, len(body))
        if len(body) <= COPIED_BYTES:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)

    async def _read(self, connection: Connection) -> Response:
        protocol = connection.protocol
        assert protocol is not None, "a connection has a protocol until it is given back"
        try:
            message, content = await protocol.read()
            while message.code in MEANWHILE and message.code != SWITCHED:
                message, content = await protocol.read()
        except HttpProcessingError as error:
            raise aiohttp.ClientResponseError(
                self._request.request_info, (), status=error.code, message=error.message, headers=error.headers
            ) from error
        return Response(message.code, message.headers, await read_whole(content))

    @staticmethod
    def _give_back(connection: Connection, response: Response | None) -> None:
        """To the pool, where nothing more comes or goes on it."""
        transport = connection.transport
        still_leaving = transport is not None and transport.get_write_buffer_size() > 0
        if response is not None and response.body is not None and not still_leaving:
            connection.release()
            return
        if transport is not None:
            transport.abort()  # or what is left of the body would still be sent
        connection.close()


async def read_whole(content: aiohttp.StreamReader) -> bytes | None:
    """A body, or `None` when it is too long: aiohttp unpacks gzip without a bound, so the bytes are counted."""
    pieces: list[bytes] = []
    total = 0
    while not content.at_eof():
        piece = await content.readany()
        total += len(piece)
        if total > MOST_BYTES:
            return None
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
