"""`POST /v1/chat/completions`: one request, from the door to the books.

`ChatDesk.serve` begins the walk; each method below it is the next step of a request that got so far: the door, the key, the
body and the model's rules, the account and the limits, the answer, and the way back to the client.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from aiohttp import web

from batch_runner.fake_server.answers.answer import Answer
from batch_runner.fake_server.answers.completion import Envelope
from batch_runner.fake_server.books.ledger import (
    HUNG_UP,
    INVALID,
    NO_MONEY,
    OK,
    REFUSED,
    UNAUTHORIZED,
    Attempt,
    Books,
)
from batch_runner.fake_server.dice import as_luck
from batch_runner.fake_server.faults.actions import REPLACEMENTS, Damage, loses_answer
from batch_runner.fake_server.faults.delivery import SSE_TYPE, Courier, Reply
from batch_runner.fake_server.faults.fault import Fault, Moment
from batch_runner.fake_server.faults.replies import complaint_reply, replacement_reply
from batch_runner.fake_server.faults.spoiling import spoiled
from batch_runner.fake_server.faults.wire import Wires
from batch_runner.fake_server.headers import service_headers
from batch_runner.fake_server.limits.gate import FREE, Demanded, Pass, Refusal
from batch_runner.fake_server.limits.words import gateway_complaint, refusal_complaint, retry_after, told_wait
from batch_runner.fake_server.play import Clock, Play
from batch_runner.fake_server.protocol.chat_request import ChatRequest, read_chat_request
from batch_runner.fake_server.protocol.complaints import Complaint
from batch_runner.fake_server.protocol.families import family_of
from batch_runner.fake_server.protocol.keys import key_in
from batch_runner.fake_server.protocol.strictness import TOO_LARGE, complaint_about, streaming_refused
from batch_runner.fake_server.wall_clock import seconds_since_1970


@dataclass(slots=True)
class Call:
    """One request while it is being served."""

    request: web.BaseRequest
    play: Play
    attempt: Attempt
    number: int
    authorization: str

    @property
    def id(self) -> str:
        """The service's own name of the request."""
        return f"req_{self.play.dice.seed:016x}{self.number:016x}"

    @property
    def id_in_messages(self) -> str:
        """The same where the service puts it into its messages, else nothing."""
        return self.id if self.play.speech.is_gateway else ""

    def moment(self, row: str = "", prompt: str = "", attempt: int = 0) -> Moment:
        """What a fault may look at now."""
        return Moment(
            seconds=self.play.seconds(),
            request=self.number,
            authorization=self.authorization,
            row=row,
            prompt=prompt,
            attempt=attempt,
        )


@dataclass(frozen=True, slots=True)
class ChatDesk:
    """Serves chat completions, playing whatever scenario is on."""

    current: Callable[[], Play]
    books: Books
    wires: Wires
    clock: Clock

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request, whatever becomes of it."""
        play = self.current()
        authorization = request.headers.get("authorization", "")
        client = request.headers.get("x-client-request-id", "")
        attempt = self.books.arrive(self.clock(), authorization, client)
        call = Call(request, play, attempt, play.next_request(), authorization)
        try:
            if play.faults.watches_door and (fault := play.faults.at_door(call.moment())):
                return await self._faulted(call, fault)
            return await self._let_in(call)
        finally:
            self.books.leave(attempt)

    async def _let_in(self, call: Call) -> web.StreamResponse:
        if complaint := call.play.complaint_about_key(key_in(call.authorization)):
            return await self._refused(call, UNAUTHORIZED, complaint)
        try:
            body = self.wires.body_at_hand(call.request) or await self.wires.body_to_come(call.request)
        except web.HTTPRequestEntityTooLarge:
            return await self._refused(call, INVALID, TOO_LARGE)
        asked = read_chat_request(body, mends=call.play.scenario.mends)
        if isinstance(asked, Complaint):
            return await self._refused(call, INVALID, asked)
        self.books.place(call.attempt, asked)
        if complaint := self._complaint_about(asked, call.play):
            return await self._refused(call, INVALID, complaint)
        if call.play.is_unlimited:
            return await self._served(call, asked, FREE)
        return await self._paid(call, asked)

    @staticmethod
    def _complaint_about(asked: ChatRequest, play: Play) -> Complaint | None:
        if not play.scenario.knows(asked.model):
            return play.speech.unknown_model(asked.model)
        if asked.streams and not play.scenario.streams:
            return streaming_refused()
        return complaint_about(asked, drops_unknown=play.speech.is_gateway) if play.scenario.strict else None

    async def _paid(self, call: Call, asked: ChatRequest) -> web.StreamResponse:
        wallet = call.play.wallet
        held = wallet.hold(asked.prompt_tokens, asked.cap or family_of(asked.model).most_output)
        if held is None:
            return await self._refused(call, NO_MONEY, call.play.speech.no_money)
        try:
            return await self._admitted(call, asked)
        finally:
            wallet.release(held)

    async def _admitted(self, call: Call, asked: ChatRequest) -> web.StreamResponse:
        play = call.play
        leave = play.gate.admit(Demanded(asked.prompt_tokens, asked.cap), play.seconds())
        if isinstance(leave, Refusal):
            return await self._limited(call, leave, asked.model)
        try:
            return await self._served(call, asked, leave)
        finally:
            play.gate.leave(play.seconds())

    async def _limited(self, call: Call, refusal: Refusal, model: str) -> web.StreamResponse:
        speech, hints = call.play.speech, call.play.hints
        if speech.is_gateway:
            complaint = gateway_complaint(refusal, speech.error_type, hints)
        else:
            complaint = refusal_complaint(refusal, model, hints)
        self.books.tell_to_wait(call.authorization, self.clock(), told_wait(refusal, hints))
        return await self._refused(call, REFUSED, complaint.answered_with(headers=retry_after(refusal, hints)))

    async def _served(self, call: Call, asked: ChatRequest, leave: Pass) -> web.StreamResponse:
        play = call.play
        tried = self.books.admitted(asked)
        fault = play.faults.within(call.moment(asked.row, asked.prompt, tried)) if play.scenario.faults else None
        if fault and not fault.computes:
            self._settle(play, leave, 0)
            return await self._faulted(call, fault)
        answer = play.model.answer(asked, play.scripts.find(asked.prompt, tried))
        identity, luck, *_ = play.dice.hand("attempt", asked.row, tried)
        await play.work(play.scenario.latency.work(as_luck(luck), answer.usage.completion_tokens))
        self._settle(play, leave, answer.usage.total_tokens)
        self._bill(call, answer, fault)
        if fault and fault.replaces:
            return await self._faulted(call, fault)
        reply = self._reply(call, asked, answer, f"chatcmpl-{identity:016x}")
        return await self._damaged(call, reply, fault) if fault else await self._brought(call, OK, reply)

    @staticmethod
    def _settle(play: Play, leave: Pass, used: int) -> None:
        if leave.tickets:
            play.gate.settle(leave, used, play.seconds())

    def _bill(self, call: Call, answer: Answer, fault: Fault | None) -> None:
        # Here and not after the delivery: a gateway pays upstream for what was computed, whoever is left to hear it.
        hung_up = call.request.transport is None
        if (fault and not fault.bills) or (hung_up and not call.play.scenario.bill_hangups):
            return
        self.books.bill(call.attempt, answer)
        call.play.wallet.pay(answer.usage)

    @staticmethod
    def _reply(call: Call, asked: ChatRequest, answer: Answer, identity: str) -> Reply:
        scenario = call.play.scenario
        envelope = Envelope(
            identity=identity,
            model=scenario.answers_as.get(asked.model, asked.model),
            created=seconds_since_1970(),
            usage_details=scenario.usage_details,
            service_tier=asked.service_tier,
        )
        if asked.streams:
            events = envelope.events(answer, with_usage=asked.wants_stream_usage)
            return Reply(status=200, body=events, content_type=SSE_TYPE)
        return Reply(status=200, body=envelope.body(answer))

    async def _refused(self, call: Call, outcome: str, complaint: Complaint) -> web.StreamResponse:
        """The service says no."""
        return await self._brought(call, outcome, complaint_reply(complaint, call.id_in_messages))

    async def _faulted(self, call: Call, fault: Fault) -> web.StreamResponse:
        """A fault comes instead of an answer."""
        call.attempt.fault = fault.name
        await call.play.pause(fault.delay)
        if isinstance(fault.action, REPLACEMENTS):
            return await self._brought(call, fault.name, replacement_reply(fault.action, call.id_in_messages))
        return await self._brought(call, fault.name, Reply(status=200, body=b""), fault.action)

    async def _damaged(self, call: Call, reply: Reply, fault: Fault) -> web.StreamResponse:
        """A fault happens to an answer on its way."""
        call.attempt.fault = fault.name
        await call.play.pause(fault.delay)
        damage = cast("Damage", fault.action)
        outcome = fault.name if loses_answer(damage) else OK
        return await self._brought(call, outcome, replace(reply, body=spoiled(reply.body, damage)), damage)

    async def _brought(self, call: Call, outcome: str, reply: Reply, damage: Damage | None = None) -> web.StreamResponse:
        headers = service_headers(call.play, call.id, self.clock() - call.attempt.at)
        courier = Courier(call.request, self.wires, reply, headers)
        response = await courier.bring(damage)
        delivered = outcome == OK and courier.arrived
        if outcome == OK and not courier.arrived:
            outcome = HUNG_UP
        self.books.close(call.attempt, self.clock(), outcome=outcome, status=reply.status, delivered=delivered)
        return response
