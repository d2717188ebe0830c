"""One connection to a service: a request goes out in one write, its reply is read whole. llhttp (httptools) does the reading."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, cast

import httptools

MOST_BYTES = 32 * 1024 * 1024
"""The largest reply read, unpacked. o1's longest answers are below 1 MiB."""

MOST_HEADER_BYTES = 256 * 1024
"""Of all headers. Gateways behind a content filter send some of tens of kilobytes."""

FIRST_FINAL, SWITCHING = 200, 101
"""Statuses below the first announce another reply."""


class WholeReply(NamedTuple):
    """A reply as it came."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    too_long: bool = False
    """More than `MOST_BYTES`: the rest wasn't read."""


def _told(error: Exception | None) -> str:
    return "" if error is None else f": {getattr(error, 'strerror', None) or error}"


class BrokenReplyError(Exception):
    """A reply that didn't come to its end, or is no HTTP."""


class Connection(asyncio.Protocol):
    """Speaks with one service, one request at a time."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[WholeReply] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._usable = True
        self._head_only = False
        self._begin()

    @property
    def usable(self) -> bool:
        """Whether one more request may be sent."""
        return self._usable and self._transport is not None and not self._transport.is_closing()

    def ask(self, request: bytes, *, head_only: bool = False) -> asyncio.Future[WholeReply]:
        """Send a request; what is returned is done when its reply has come whole (`head_only`: when its head has).

        Fails with `BrokenReplyError`.
        """
        assert self._answer is None, "one request at a time"
        assert self._transport is not None, "connected"
        self._answer = answer = asyncio.get_running_loop().create_future()
        self._head_only = head_only
        self._transport.write(request)
        return answer

    def leave(self) -> asyncio.Transport:
        """Give the connection up to somebody else, who speaks another protocol over it."""
        assert self._transport is not None, "connected"
        return self._transport

    def close(self) -> None:
        """Hang up."""
        self._usable = False
        if self._transport is not None:
            self._transport.abort()

    # what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by their class

    def data_received(self, data: bytes) -> None:
        """More of the reply came; if nobody has asked, the service is taking its leave."""
        if self._answer is None:
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(BrokenReplyError("the service changes the protocol"))
        except httptools.HttpParserError as error:
            self._fail(BrokenReplyError(f"the reply is no HTTP: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone. A reply whose length nobody told ends with it."""
        self._usable = False
        if error is None and self._headed and not self._framed:
            self._finish()
        elif self._answer is not None:
            place = "in the middle of the reply" if self._headed else "before a reply came"
            self._fail(BrokenReplyError(f"the connection was {'closed' if error is None else 'lost'} {place}{_told(error)}"))

    # what the parser calls

    def on_message_begin(self) -> None:
        """A reply begins."""
        self._usable = self._usable and self._answer is not None  # else one that nobody has asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._size += len(name) + len(value)
        if self._size > MOST_HEADER_BYTES:
            self._fail(BrokenReplyError("the reply's headers have no end"))
        self._headers[name.decode(errors="surrogateescape").lower()] = value.decode(errors="surrogateescape")

    def on_headers_complete(self) -> None:
        """All headers have come."""
        self._size = 0
        self._headed = True
        self._framed = "content-length" in self._headers or "transfer-encoding" in self._headers
        if self._head_only and self._parser.get_status_code() >= FIRST_FINAL:
            self._finish()

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > MOST_BYTES and self._answer is not None:
            self._finish(too_long=True)

    def on_message_complete(self) -> None:
        """The reply is whole; one below 200 only says that another follows."""
        if self._parser.get_status_code() < FIRST_FINAL:
            self._begin()
        elif self._answer is not None:
            self._usable = self._usable and self._parser.should_keep_alive()
            self._finish()

    def _begin(self) -> None:
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._size = 0
        self._headed = self._framed = False

    def _finish(self, *, too_long: bool = False) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            reply = WholeReply(self._parser.get_status_code(), self._headers, b"".join(self._pieces), too_long)
            answer.set_result(reply)
        self._begin()
        if too_long or not self._usable:
            self.close()

    def _fail(self, error: Exception) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error)
        self.close()
