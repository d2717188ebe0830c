"""Asking the fake gateway, and looking into its books."""

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
from aiohttp import ClientSession

from batch_runner.fake_server import FakeGateway


@dataclass(frozen=True)
class Told:
    """What a client was told."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def error(self) -> Any:
        """The error in the body."""
        return self.body["error"]


def request(text: str = "hello", **fields: Any) -> dict[str, Any]:
    """The body of a chat request."""
    return {"model": "o1-mini", "messages": [{"role": "user", "content": text}], **fields}


async def ask(session: ClientSession, gateway: FakeGateway, text: str = "hello", **fields: Any) -> Told:
    """Asks once, and reads the JSON that comes."""
    async with session.post(f"{gateway.url}/chat/completions", json=request(text, **fields)) as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Told(response.status, headers, await response.json())


@dataclass(frozen=True)
class Heard:
    """What came over a connection: an answer, and what was left of the connection; nothing, if it stayed open."""

    head: bytes
    body: bytes
    left: bytes | None


async def ask_by_hand(gateway: FakeGateway, version: str = "HTTP/1.1") -> Heard:
    """Asks with nothing in between, and sees what becomes of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(gateway.url).port)
    body = orjson.dumps(request())
    head = f"POST /v1/chat/completions {version}\r\nhost: fake\r\nauthorization: Bearer x\r\ncontent-length: {len(body)}"
    writer.write(f"{head}\r\n\r\n".encode() + body)
    told = await reader.readuntil(b"\r\n\r\n")
    answer = await reader.readexactly(int(told.lower().partition(b"content-length: ")[2].partition(b"\r")[0]))
    try:
        left = await asyncio.wait_for(reader.read(1), 0.03)
    except TimeoutError:
        left = None
    writer.close()
    await writer.wait_closed()
    return Heard(told, answer, left)


async def get(session: ClientSession, gateway: FakeGateway, path: str, **options: Any) -> Told:
    """Gets a path of the service's root."""
    async with session.get(gateway.url.removesuffix("/v1") + path, **options) as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Told(response.status, headers, await response.json())


def attempts(gateway: FakeGateway, prompt: str = "hello") -> list[dict[str, Any]]:
    """The attempts the books hold of the row with that prompt."""
    (row,) = (row for row in gateway.stats()["rows"].values() if row["prompt"] == prompt)
    found: list[dict[str, Any]] = row["attempts"]
    return found


def totals(gateway: FakeGateway) -> dict[str, Any]:
    """The totals of the books."""
    found: dict[str, Any] = gateway.stats(rows=False)["totals"]
    return found
