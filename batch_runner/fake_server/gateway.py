"""The gateway: a real HTTP server on the running loop, its books, and the scenario it plays."""

import asyncio
from time import monotonic
from types import TracebackType
from typing import Any, Self

import orjson
from aiohttp import web

from batch_runner.fake_server.account.desk import MODELS, AccountDesk
from batch_runner.fake_server.books.ledger import Books
from batch_runner.fake_server.books.page import page
from batch_runner.fake_server.chat import ChatDesk
from batch_runner.fake_server.faults.delivery import Courier, Reply
from batch_runner.fake_server.faults.replies import HTML_TYPE, complaint_reply
from batch_runner.fake_server.faults.wire import Handler, Wires
from batch_runner.fake_server.play import Play
from batch_runner.fake_server.protocol.complaints import Complaint
from batch_runner.fake_server.scenario import Scenario

BACKLOG = 8192
"""Connections the system holds for us while the loop is busy; thousands may come in one go."""
PATIENCE = 0.05
"""Seconds that requests still open get to end by themselves when the gateway closes."""


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
        self._host, self._port = host, port
        self._seed, self._echo = seed, echo
        self._began = monotonic()
        self.scenario = scenario or Scenario()

    async def __aenter__(self) -> Self:
        self._began = monotonic()
        self.scenario = self._scenario
        self._wires = Wires(self._serve, most_body_bytes=lambda: self._scenario.most_body_bytes)
        self._chat = ChatDesk(self._current, self.books, self._wires, self._seconds)
        self._account = AccountDesk(self._current, self._wires)
        self._routes = self._table()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._wires, self._host, self._port, backlog=BACKLOG)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.close()
        self._wires.let_go()
        self._wires.pre_shutdown()
        await self._wires.shutdown(PATIENCE)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """The base URL to give to a client."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/v1"

    @property
    def scenario(self) -> Scenario:
        """What is being played; when it is set, a new one begins, with its own clock, limits and balance."""
        return self._scenario

    @scenario.setter
    def scenario(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._play = Play(scenario, seed=self._seed, echo=self._echo, clock=self._seconds)
        self.books.watch(self._play.gate.accounts, self._play.began)

    def stats(self, *, rows: bool = True) -> dict[str, Any]:
        """The books, as `GET /stats` answers them."""
        return {"scenario": self._scenario.name, **self.books.as_json(rows=rows)}

    def _current(self) -> Play:
        return self._play

    def _seconds(self) -> float:
        return monotonic() - self._began

    def _table(self) -> dict[tuple[str, str], Handler]:
        return {
            ("POST", "/v1/chat/completions"): self._chat.serve,
            **self._account.routes(),
            ("GET", "/stats"): self._show_stats,
            ("GET", "/stats.html"): self._show_page,
            ("POST", "/stats/reset"): self._reset_stats,
        }

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        route = self._routes.get((request.method, request.path))
        if route is None:
            route = self._account.one_model if request.path.startswith(f"{MODELS}/") else self._nowhere
        return await route(request)

    async def _show_stats(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._send(request, _json(self.stats(rows=request.query.get("rows") != "0")))

    async def _show_page(self, request: web.BaseRequest) -> web.StreamResponse:
        shown = Reply(status=200, body=page(self._scenario.name, self.books).encode(), content_type=HTML_TYPE)
        return await self._send(request, shown)

    async def _reset_stats(self, request: web.BaseRequest) -> web.StreamResponse:
        self.books.reset()
        return await self._send(request, _json({"reset": True}))

    async def _nowhere(self, request: web.BaseRequest) -> web.StreamResponse:
        complaint = Complaint(404, f"Invalid URL ({request.method} {request.path})")
        return await self._send(request, complaint_reply(complaint))

    async def _send(self, request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
        return await Courier(request, self._wires, reply).bring()


def _json(shown: object) -> Reply:
    return Reply(status=200, body=orjson.dumps(shown))
