"""The account routes: what a key may call, and what is left on it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import orjson
from aiohttp import web

from batch_runner.fake_server.account import statements
from batch_runner.fake_server.faults.actions import REPLACEMENTS
from batch_runner.fake_server.faults.delivery import Courier, Reply
from batch_runner.fake_server.faults.fault import Moment
from batch_runner.fake_server.faults.replies import complaint_reply, replacement_reply
from batch_runner.fake_server.faults.wire import Handler, Wires
from batch_runner.fake_server.play import Play
from batch_runner.fake_server.protocol.complaints import Complaint
from batch_runner.fake_server.protocol.keys import key_in

MODELS = "/v1/models"
Statement = Callable[[Play], dict[str, object]]


@dataclass(frozen=True, slots=True)
class AccountDesk:
    """Serves the account routes from the wallet of whatever scenario is on."""

    current: Callable[[], Play]
    wires: Wires

    def routes(self) -> dict[tuple[str, str], Handler]:
        """The handlers, by method and path."""
        paths: dict[str, Statement] = {
            MODELS: lambda play: statements.models(play.scenario.listed_models, play.scenario.dialect),
            "/v1/dashboard/billing/subscription": lambda play: statements.subscription(play.wallet),
            "/dashboard/billing/subscription": lambda play: statements.subscription(play.wallet),
            "/v1/dashboard/billing/usage": lambda play: statements.usage(play.wallet),
            "/dashboard/billing/usage": lambda play: statements.usage(play.wallet),
        }
        told: dict[str, Handler] = {path: partial(self._tell, statement=tell) for path, tell in paths.items()}
        token_usage = dict.fromkeys(("/api/usage/token", "/api/usage/token/"), self._tell_token_usage)
        return {("GET", path): handler for path, handler in (told | token_usage | {"/api/status": self._status}).items()}

    async def one_model(self, request: web.BaseRequest) -> web.StreamResponse:
        """`GET /v1/models/NAME`: a gateway says that it has no such model, and calls it a success."""
        name = request.path.removeprefix(f"{MODELS}/")
        play = self.current()
        if play.scenario.knows(name):
            return await self._tell(request, lambda _play: statements.model(name, play.scenario.dialect))
        message = f"The model '{name}' does not exist"
        status = 200 if play.speech.is_gateway else 404
        return await self._send(request, complaint_reply(Complaint(status, message, param="model", code="model_not_found")))

    async def _tell(self, request: web.BaseRequest, statement: Statement) -> web.StreamResponse:
        play = self.current()
        authorization = request.headers.get("authorization", "")
        # These routes count no requests; a fault from some request on has begun once that would be the next one.
        moment = Moment(seconds=play.seconds(), request=play.requests + 1, authorization=authorization)
        if fault := play.faults.at_door(moment):
            if isinstance(fault.action, REPLACEMENTS):
                return await self._send(request, replacement_reply(fault.action))
            return await Courier(request, self.wires, Reply(status=200, body=b"")).bring(fault.action)
        if complaint := play.complaint_about_key(key_in(authorization)):
            return await self._send(request, complaint_reply(complaint))
        return await self._send(request, _json(statement(play)))

    async def _tell_token_usage(self, request: web.BaseRequest) -> web.StreamResponse:
        play = self.current()
        if complaint := play.complaint_about_key(key_in(request.headers.get("authorization", ""))):
            return await self._send(request, _json({"success": False, "message": complaint.message}, complaint.status))
        now = play.seconds()
        if play.token_usage_calls.wait(now, 1):
            return await self._send(request, Reply(status=429, body=b""))
        play.token_usage_calls.take(now, 1)
        return await self._tell(request, lambda played: statements.token_usage(played.wallet))

    async def _status(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._send(request, _json(statements.status(self.current().wallet)))

    async def _send(self, request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
        return await Courier(request, self.wires, reply).bring()


def _json(shown: dict[str, object], status: int = 200) -> Reply:
    return Reply(status=status, body=orjson.dumps(shown))
