"""Both ways to send: over aiohttp's connections, and through its session. Neither may tell anything else of a request."""

from __future__ import annotations

import asyncio
import gzip
import re
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from batch_runner import exchange
from batch_runner.endpoint import Endpoint
from batch_runner.exchange import MOST_BYTES, tried
from batch_runner.leaving import Waits
from batch_runner.records import ChatRequest, NoAnswer, Reply, Tokens, Unreached
from batch_runner.transport import HttpTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from batch_runner.records import Outcome

BODY = '{"messages":[{"role":"user","content":"晚上好"}]}'.encode()
REQUEST = ChatRequest("r1", "o1-mini", None, BODY, "f", Tokens(1, 1), Tokens(1, 1))
PATIENCE = 5.0


def reply(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


def unsized(body: bytes, *headers: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *headers, "", ""]).encode() + body


ANSWERS = {
    "an answer": reply(b'{"a":1}', "X-Request-Id: req_1"),
    "an error": reply(b'{"error":{}}', "Retry-After: 3", status="429 Too Many Requests"),
    "nothing to say": reply(b"", status="204 No Content"),
    "chunks": unsized(b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
    "until the connection ends": unsized(b"all that came", "Connection: close"),
    "packed": reply(gzip.compress(b"unpacked" * 99), "Content-Encoding: gzip"),
    "first a word that there is more to come": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + reply(b"after all"),
    "two words before": b"HTTP/1.1 102 Processing\r\n\r\n" * 2 + reply(b"after all"),
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\nxyz",
    "a header of 40 KB": reply(b"x", "X-Long: " + 40_000 * "y"),
    "a header of 80 KB": reply(b"x", "X-Long: " + 80_000 * "y"),
    "a redirection": reply(b"", "Location: https://elsewhere.test/", status="302 Found"),
    "cut within": reply(b"half", length=100),
    "cut in its head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "nothing at all": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "chunks that are none": unsized(b"zz\r\nabc\r\n", "Transfer-Encoding: chunked"),
    "packed, and damaged": reply(b"\x1f\x8b\x08 nothing of the kind", "Content-Encoding: gzip"),
    "too long": reply(b"x" * (MOST_BYTES + 1)),
    "too long once unpacked": reply(gzip.compress(b"\0" * (MOST_BYTES + 1)), "Content-Encoding: gzip"),
    "a cookie": reply(b"x", "Set-Cookie: a=b"),
}


class Answering:
    """A service on a real socket that answers each request with the same bytes, and hangs up where only that ends them.

    `impatient`: it answers before it has read the body, and reads no further.
    """

    def __init__(self, answer: bytes, *, waits: float = 0.0, impatient: bool = False) -> None:
        self.answer = answer
        self.waits = waits
        self.impatient = impatient
        self.heard: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with suppress(asyncio.IncompleteReadError, OSError):
            while self.impatient or self.ends_by_itself or not self.heard:
                await self.serve(reader, writer)
        if not self.impatient:
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if not self.impatient:
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            self.heard.append(head + await reader.readexactly(length))
        await asyncio.sleep(self.waits)
        writer.write(self.answer)
        await writer.drain()
        if self.impatient:
            await asyncio.Event().wait()

    @property
    def connections(self) -> int:
        return len(self.writers)

    @property
    def ends_by_itself(self) -> bool:
        """Whether a client can tell where the answer ends."""
        return self.answer in {ANSWERS["an answer"], ANSWERS["an error"], ANSWERS["a cookie"]}


@asynccontextmanager
async def at_work(answering: Answering) -> AsyncIterator[str]:
    server = await asyncio.start_server(answering, "127.0.0.1", 0, limit=2**20)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/v1"
    for writer in answering.writers:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def transport(url: str, *, direct: bool, monkeypatch: pytest.MonkeyPatch, sends: Waits | None = None) -> HttpTransport:
    monkeypatch.setattr(exchange, "TRIED", ((3, 12), (3, 99)) if direct else ((2, 0), (2, 0)))
    return HttpTransport(Endpoint(url, "127.0.0.1", "sk-key"), timeout=PATIENCE, sends=sends or Waits())


def told(outcome: Outcome) -> Outcome:
    """An outcome without what differs from one time to the next."""
    if isinstance(outcome, Reply):
        return replace(outcome, seconds=0.0, headers={name.lower(): value for name, value in outcome.headers.items()})
    return replace(outcome, seconds=0.0, reason=re.sub(r"127\.0\.0\.1:\d+", "HOST", outcome.reason))


@pytest.mark.parametrize("name", ANSWERS)
async def test_both_ways_tell_the_same_of_an_answer(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = []
    for direct in (True, False):
        async with (
            at_work(Answering(ANSWERS[name])) as url,
            transport(url, direct=direct, monkeypatch=monkeypatch) as sender,
        ):
            outcomes.append(told(await sender.send(REQUEST)))

    assert outcomes[0] == outcomes[1]


async def test_both_ways_ask_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = []
    for direct in (True, False):
        answering = Answering(ANSWERS["an answer"])
        async with at_work(answering) as url, transport(url, direct=direct, monkeypatch=monkeypatch) as sender:
            await sender.send(REQUEST)
        head, _, body = answering.heard[0].partition(b"\r\n\r\n")
        start, *lines = head.decode().split("\r\n")
        named = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        assert named.pop("host") == url.removeprefix("http://").removesuffix("/v1")
        heard.append((start, named, body))

    assert heard[0] == heard[1]
    assert heard[0][0] == "POST /v1/chat/completions HTTP/1.1"
    assert heard[0][1]["authorization"] == "Bearer sk-key"
    assert heard[0][2] == BODY


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("name", ["an answer", "an error", "a cookie"])
async def test_a_connection_serves_one_request_after_the_other(
    name: str, monkeypatch: pytest.MonkeyPatch, *, direct: bool
) -> None:
    answering = Answering(ANSWERS[name])
    async with at_work(answering) as url, transport(url, direct=direct, monkeypatch=monkeypatch) as sender:
        for _ in range(5):
            await sender.send(REQUEST)

    assert (answering.connections, len(answering.heard)) == (1, 5)
    assert b"cookie" not in answering.heard[-1].lower()


async def test_a_long_body_leaves_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    answering = Answering(ANSWERS["an answer"])
    body = bytes(range(256)) * 40_000
    async with at_work(answering) as url, transport(url, direct=True, monkeypatch=monkeypatch) as sender:
        outcome = await sender.send(replace(REQUEST, body=body))

    assert isinstance(outcome, Reply)
    assert answering.heard[0].endswith(body)


async def test_a_connection_whose_request_is_still_leaving_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service may answer before it has read everything: what is left of that request must not begin the next one."""
    answering = Answering(ANSWERS["an answer"], impatient=True)
    async with at_work(answering) as url, transport(url, direct=True, monkeypatch=monkeypatch) as sender:
        for _ in range(2):
            assert isinstance(await sender.send(replace(REQUEST, body=b"x" * 2**26)), Reply)

    assert answering.connections == 2


@pytest.mark.parametrize("direct", [True, False])
async def test_nobody_there_is_told_from_nobody_answering(monkeypatch: pytest.MonkeyPatch, *, direct: bool) -> None:
    answering = Answering(ANSWERS["nothing at all"])
    async with at_work(answering) as url, transport(url, direct=direct, monkeypatch=monkeypatch) as sender:
        hung_up = await sender.send(REQUEST)
    async with transport(url, direct=direct, monkeypatch=monkeypatch) as sender:
        nobody = await sender.send(REQUEST)

    assert isinstance(hung_up, NoAnswer)
    assert isinstance(nobody, Unreached)


@pytest.mark.parametrize("direct", [True, False])
async def test_hanging_up_tells_that_the_request_was_sent(monkeypatch: pytest.MonkeyPatch, *, direct: bool) -> None:
    sends, answering = Waits(), Answering(ANSWERS["an answer"], waits=30)
    async with at_work(answering) as url, transport(url, direct=direct, monkeypatch=monkeypatch, sends=sends) as sender:
        waiting = asyncio.create_task(sender.send(REQUEST))
        while not answering.heard:
            await asyncio.sleep(0.001)
        sends.end()
        outcome = await waiting

    assert isinstance(outcome, NoAnswer)
    assert outcome.interrupted


async def test_a_run_that_has_hung_up_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sends, answering = Waits(), Answering(ANSWERS["an answer"])
    async with at_work(answering) as url, transport(url, direct=True, monkeypatch=monkeypatch, sends=sends) as sender:
        sends.end()
        outcome = await sender.send(REQUEST)

    assert isinstance(outcome, Unreached)
    assert not answering.heard


async def test_a_proxy_is_asked_through_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def proxy(request: web.BaseRequest) -> web.Response:
        asked.append((request.method, str(request.url), await request.read()))
        return web.Response(body=b"{}")

    runner = web.ServerRunner(web.Server(proxy))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{runner.addresses[0][1]}")
    monkeypatch.setenv("no_proxy", "")
    async with transport("http://service.test/v1", direct=True, monkeypatch=monkeypatch) as sender:
        outcome = await sender.send(REQUEST)
    await runner.cleanup()

    assert isinstance(outcome, Reply)
    assert asked == [("POST", "http://service.test/v1/chat/completions", BODY)]


def test_only_versions_of_aiohttp_that_were_tried_do_without_a_session() -> None:
    assert tried("3.12.0")
    assert tried("3.14.5")
    assert not tried("3.11.18")
    assert not tried("3.15.0a0")
    assert not tried("4.0.0")
    assert tried(), "try the installed one, then say so in TRIED"
