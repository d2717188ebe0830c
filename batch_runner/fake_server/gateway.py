"""The gateway: a real HTTP server on the running loop, its books, and the scenario it plays."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import orjson
from aiohttp import web

from batch_runner.fake_server.books.ledger import Books
from batch_runner.fake_server.chat import ChatDesk
from batch_runner.fake_server.faults.delivery import JSON_TYPE
from batch_runner.fake_server.play import Play
from batch_runner.fake_server.faults.replies import complaint_reply
from batch_runner.fake_server.protocol.complaints import Complaint
from batch_runner.fake_server.scenario import Scenario
from batch_runner.fake_server.faults.wire import Wires

BACKLOG = 8192
"""Connections the system holds for us while the loop is busy; thousands may come in one go."""
PATIENCE = 0.05
"""Seconds that requests still open get to end by themselves when the gateway closes."""

Route = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class FakeGateway:
    """A fake o1 service for an `async with` block.

    Example:
        async with FakeGateway(Scenario(faults=(Fault(Canned("server_error"), attempts=(1,)),))) as gateway:
            await my_program(base_url=gateway.url, api_key="any")
            assert gateway.stats()["totals"]["answered"] == 10
    """

    def __init__(
        self,
        scenario: Scenario | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
        echo: bool = False,
    ) -> None:
        self.books = Books()
        self._scenario = scenario or Scenario()
        self._host, self._port = host, port
        self._seed, self._echo = seed, echo

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._clock = lambda: loop.time() - began
        self._wires = Wires(self._serve, most_body_bytes=self._scenario.most_body_bytes)
        self._desk = ChatDesk(lambda: self._play, self.books, self._wires, self._clock)
        self._routes = self._table()
        self.scenario = self._scenario
        self._server = await loop.create_server(self._wires, self._host, self._port, backlog=BACKLOG)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self._wires.let_go()
        self._wires.pre_shutdown()
        await self._wires.shutdown(PATIENCE)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """The base URL to give to a client."""
        return f"http://{self._host}:{self._port}/v1"

    @property
    def scenario(self) -> Scenario:
        """What is being played; a new one begins, clock, limits and all, when it is set."""
        return self._scenario

    @scenario.setter
    def scenario(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._play = Play(scenario, seed=self._seed, echo=self._echo, clock=self._clock)
        self.books.watch(self._play.gate.accounts)

    def stats(self, *, rows: bool = True) -> dict[str, object]:
        """The books, as `GET /stats` answers them."""
        return {"scenario": self._scenario.name, **self.books.as_json(rows=rows)}

    def _table(self) -> dict[tuple[str, str], Route]:
        return {
            ("POST", "/v1/chat/completions"): self._desk.serve,
            ("GET", "/stats"): self._show_stats,
            ("POST", "/stats/reset"): self._reset_stats,
        }

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        route = self._routes.get((request.method, request.path))
        return await (route or self._nowhere)(request)

    async def _show_stats(self, request: web.BaseRequest) -> web.StreamResponse:
        return _json(self.stats(rows=request.query.get("rows") != "0"))

    async def _reset_stats(self, _request: web.BaseRequest) -> web.StreamResponse:
        self.books.reset()
        return _json({"reset": True})

    async def _nowhere(self, request: web.BaseRequest) -> web.StreamResponse:
        complaint = Complaint(404, f"Invalid URL ({request.method} {request.path})")
        reply = complaint_reply(complaint)
        return web.Response(status=reply.status, body=reply.body, headers={"content-type": reply.content_type})


def _json(shown: object) -> web.Response:
    return web.Response(body=orjson.dumps(shown), headers={"content-type": JSON_TYPE})
