"""Asking the fake gateway, and looking into its books."""

from dataclasses import dataclass
from typing import Any

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
