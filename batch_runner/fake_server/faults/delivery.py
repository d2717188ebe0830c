"""Getting a reply to the client: whole, or damaged on the way as a fault wants it.

Every reply is written by hand, the healthy ones too: only so is it known whose answer didn't arrive, and only so can a
length lie or a connection end in the middle of a word.
"""

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from aiohttp import web

from batch_runner.fake_server.faults.actions import (
    BlankLines,
    BrokenGzip,
    CloseAfter,
    Cut,
    Damage,
    Drip,
    Hang,
    WrongLength,
)
from batch_runner.fake_server.faults.wire import SENT, SENT_ALIVE, Wires, connection, head, reset

JSON_TYPE = "application/json"
SSE_TYPE = "text/event-stream"
GZIP_HEADER = 10
CLOSING = (Hang, Cut, WrongLength, CloseAfter)
"""The damages that end the connection."""
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
SERVICE_TYPES = (JSON_TYPE, SSE_TYPE)
"""What the service itself sends; anything else is some proxy's page and carries none of the service's headers."""


# Not frozen: that makes a value three times as slow to build, and this one is built for every request.
@dataclass(slots=True, kw_only=True)
class Reply:
    """A status, headers and a body, ready to go."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)
    content_type: str = JSON_TYPE

    def halves(self) -> tuple[bytes, bytes]:
        """The body in two."""
        middle = len(self.body) // 2
        return self.body[:middle], self.body[middle:]


@dataclass(slots=True)
class Courier:
    """One request's way back to its client, for one reply.

    `service` holds the headers of the service itself, as lines; `arrived` says whether every byte of the reply went out.
    """

    request: web.BaseRequest
    wires: Wires
    reply: Reply
    service: str = ""
    arrived: bool = False

    async def bring(self, damage: Damage | None = None) -> web.StreamResponse:
        """Sends the reply; what is returned tells aiohttp that there is nothing left to send."""
        handler = HANDLERS.get(type(damage))
        if handler is None:
            self.arrived = self._write(self._head() + self.reply.body)
        else:
            await handler(self, damage)
        return SENT_ALIVE if self.request.keep_alive and not isinstance(damage, CLOSING) else SENT

    def _head(self, *, off: int = 0) -> bytes:
        reply = self.reply
        lines = self.service if reply.content_type in SERVICE_TYPES else ""
        if reply.headers:
            lines += "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        return head(reply.status, reply.content_type, max(0, len(reply.body) + off), lines + connection(self.request))

    def _write(self, data: bytes) -> bool:
        transport = self.request.transport
        if transport is None or transport.is_closing():
            return False
        transport.write(data)
        return True

    async def _write_all(self, chunks: Iterator[bytes], pause: float) -> bool:
        for chunk in chunks:
            if not self._write(chunk):
                return False
            await asyncio.sleep(pause)
        return True

    def _write_half(self) -> None:
        self._write(self._head() + self.reply.halves()[0])

    async def hang(self, damage: Hang) -> None:
        """Says nothing until the client leaves, or time is up."""
        if damage.inside:
            self._write_half()
        await self.wires.client_left(self.request, damage.seconds)

    async def cut(self, damage: Cut) -> None:
        """Ends the connection."""
        if damage.inside:
            self._write_half()
            await asyncio.sleep(0)
        if self.request.transport is not None:
            if damage.reset:
                reset(self.request.transport)
            else:
                self.request.transport.close()

    async def drip(self, damage: Drip) -> None:
        """Sends a little at a time."""
        body = self.reply.body
        pieces = (body[at : at + damage.size] for at in range(0, len(body), damage.size))
        self.arrived = self._write(self._head()) and await self._write_all(pieces, damage.pause)

    async def wrong_length(self, damage: WrongLength) -> None:
        """Claims another length than it has."""
        self._write(self._head(off=damage.off) + self.reply.body)

    async def broken_gzip(self, _damage: BrokenGzip) -> None:
        """Packs the body and spoils the packet."""
        # Right after its header: from a stream that breaks later, some clients take what they could unpack for the whole.
        packed = gzip.compress(self.reply.body)
        broken = packed[:GZIP_HEADER] + b"\xff" * (len(packed) - GZIP_HEADER)
        headers = {**self.reply.headers, "content-encoding": "gzip"}
        self.reply = replace(self.reply, body=broken, headers=headers)
        self._write(self._head() + broken)

    async def blank_lines(self, damage: BlankLines) -> None:
        """Keeps the connection awake first."""
        started = self._write(self._head(off=damage.lines))
        kept_awake = started and await self._write_all((b"\n" for _ in range(damage.lines)), damage.pause)
        self.arrived = kept_awake and self._write(self.reply.body)

    async def close_after(self, _damage: CloseAfter) -> None:
        """Promises to keep the connection, and closes it all the same."""
        self.arrived = self._write(self._head() + self.reply.body)


HANDLERS: Mapping[type[object], Callable[[Courier, Any], Awaitable[None]]] = MappingProxyType(
    {
        Hang: Courier.hang,
        Cut: Courier.cut,
        Drip: Courier.drip,
        WrongLength: Courier.wrong_length,
        BrokenGzip: Courier.broken_gzip,
        BlankLines: Courier.blank_lines,
        CloseAfter: Courier.close_after,
    }
)
"""What happens on the wire; a damage that isn't here was done to the body already (see `spoiling`)."""
