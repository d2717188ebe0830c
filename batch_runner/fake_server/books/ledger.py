"""The books: every request a gateway met, what became of it, and who pays.

A request is written down when it arrives and again when its answer is computed: that is the moment a gateway bills, whether
or not the client is still there. What the client had in full is *delivered*, and never more than was billed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from batch_runner.fake_server.answers.answer import Answer
from batch_runner.fake_server.limits.accounts import Demand, LimitAccount
from batch_runner.fake_server.peaks import OpenPeak, SlidingPeak
from batch_runner.fake_server.protocol.chat_request import PROMPT_SHOWN, ChatRequest
from batch_runner.fake_server.protocol.usage import NOTHING, Usage, UsageSum

OPEN = "open"
OK = "ok"
REFUSED = "refused"
HUNG_UP = "hung_up"
INVALID = "invalid"
UNAUTHORIZED = "unauthorized"
NO_MONEY = "no_money"

CLIENTS_SHOWN = 100
"""A client may name each of its requests; nobody wants to read a million names."""
GRACE = 0.1
"""Seconds after a refusal in which requests still come that were on their way before it was heard."""


@dataclass(slots=True)
class Attempt:
    """One request, from its arrival (in seconds of the gateway) to what became of it."""

    at: float
    tally: "Tally" = field(repr=False)
    seconds: float | None = None
    outcome: str = OPEN
    status: int = 0
    finish_reason: str = ""
    fault: str = ""
    billed: Usage = NOTHING
    delivered: bool = False

    def as_json(self) -> dict[str, object]:
        """The attempt as `/stats` shows it."""
        return {
            "at": round(self.at, 6),
            "seconds": None if self.seconds is None else round(self.seconds, 6),
            "outcome": self.outcome,
            "status": self.status,
            "finish_reason": self.finish_reason,
            "fault": self.fault,
            "billed": self.billed.as_counts(),
            "delivered": self.delivered,
        }


@dataclass(slots=True)
class Row:
    """Everything that was tried with the same messages."""

    prompt: str
    attempts: list[Attempt] = field(default_factory=list)
    admitted: int = 0

    def as_json(self) -> dict[str, object]:
        """The row as `/stats` shows it."""
        return {"prompt": self.prompt, "attempts": [attempt.as_json() for attempt in self.attempts]}


@dataclass(slots=True)
class Tally:
    """The sums over all requests; resetting the books starts a new one."""

    requests: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    billed: UsageSum = field(default_factory=UsageSum)
    delivered: UsageSum = field(default_factory=UsageSum)
    second: SlidingPeak = field(default_factory=lambda: SlidingPeak(1.0))
    minute: SlidingPeak = field(default_factory=lambda: SlidingPeak(60.0))
    authorizations: Counter[str] = field(default_factory=Counter)
    clients: Counter[str] = field(default_factory=Counter)
    inside_retry_after: int = 0

    def arrive(self, now: float, authorization: str, client: str) -> None:
        """A request comes."""
        self.requests += 1
        self.second.add(now)
        self.minute.add(now)
        self.authorizations[authorization] += 1
        if client:
            self.clients[client] += 1


@dataclass(frozen=True, slots=True)
class Told:
    """From when until when a client was told to stay away."""

    since: float
    until: float

    def forbids(self, now: float) -> bool:
        """Whether a client that heard of it wouldn't come now."""
        return self.since + GRACE < now < self.until


class Books:
    """What happened at one gateway; times are given, so that a test may bring its own."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.tally = Tally()
        self.concurrency = OpenPeak()
        self.demand = Demand()
        self.accounts: Sequence[LimitAccount] = ()
        self._began = 0.0
        self._told: dict[str, Told] = {}

    def watch(self, accounts: Sequence[LimitAccount], began: float) -> None:
        """A scenario begins: its limits have accounts of their own, that count the seconds from there."""
        self.accounts = accounts
        self._began = began
        self.demand = Demand()
        self._told = {}

    def reset(self) -> None:
        """Starts new books; a request still open stays with the old ones, and its bill too."""
        self.rows = {}
        self.tally = Tally()
        self.concurrency.forget()
        self.demand = Demand()
        for account in self.accounts:
            account.forget()

    def arrive(self, now: float, authorization: str, client: str) -> Attempt:
        """A request comes; it must leave again."""
        tally = self.tally
        tally.arrive(now, authorization, client)
        if (told := self._told.get(authorization)) and told.forbids(now):
            tally.inside_retry_after += 1
        goes_on = self.demand.arrive(now, others_open=self.concurrency.now > 0)
        for account in self.accounts:
            account.arrive(now - self._began, goes_on=goes_on)
        self.concurrency.enter()
        return Attempt(now, tally)

    def leave(self, attempt: Attempt) -> None:
        """A request is over, one way or another."""
        self.concurrency.leave()
        self.demand.leave(attempt.at + (attempt.seconds or 0.0))

    def tell_to_wait(self, authorization: str, now: float, seconds: float) -> None:
        """A client was told to stay away for so long."""
        if seconds > 0:
            self._told[authorization] = Told(now, now + seconds)

    def place(self, attempt: Attempt, request: ChatRequest) -> None:
        """Puts an attempt with its row."""
        row = self.rows.get(request.row)
        if row is None:
            row = self.rows[request.row] = Row(request.prompt[:PROMPT_SHOWN])
        row.attempts.append(attempt)

    def admitted(self, request: ChatRequest) -> int:
        """The limits let a request through; how often that happened to its row by now."""
        row = self.rows.get(request.row)
        # The books may have been reset between a request's arrival and now.
        row = row or self.rows.setdefault(request.row, Row(request.prompt[:PROMPT_SHOWN]))
        row.admitted += 1
        return row.admitted

    @staticmethod
    def bill(attempt: Attempt, answer: Answer) -> None:
        """The account pays for an answer."""
        attempt.billed, attempt.finish_reason = answer.usage, answer.finish_reason
        attempt.tally.billed.add(answer.usage)

    @staticmethod
    def close(attempt: Attempt, now: float, *, outcome: str, status: int, delivered: bool) -> None:
        """Writes down what became of a request."""
        attempt.seconds = now - attempt.at
        attempt.outcome, attempt.status, attempt.delivered = outcome, status, delivered
        tally = attempt.tally
        tally.outcomes[outcome] += 1
        tally.statuses[status] += 1
        if delivered:
            tally.delivered.add(attempt.billed)

    def as_json(self, *, rows: bool = True) -> dict[str, Any]:
        """The books as `/stats` shows them."""
        limits = [account.as_json() for account in self.accounts]
        shown: dict[str, Any] = {"totals": self._totals(), "limits": limits}
        if rows:
            shown["rows"] = {key: row.as_json() for key, row in self.rows.items()}
        return shown

    def newest_rows(self, count: int) -> dict[str, Row]:
        """The rows that were first seen last, the newest first."""
        return dict(islice(reversed(self.rows.items()), count))

    def _totals(self) -> dict[str, object]:
        tally = self.tally
        refused = tally.outcomes[REFUSED]
        return {
            "requests": tally.requests,
            "rows": len(self.rows),
            "open": self.concurrency.now,
            "answered": tally.delivered.answers,
            "refused": refused,
            "refused_share": refused / tally.requests if tally.requests else 0.0,
            "outcomes": dict(tally.outcomes),
            "statuses": {str(status): count for status, count in tally.statuses.items()},
            "billed": tally.billed.total.as_counts(),
            "billed_answers": tally.billed.answers,
            "delivered": tally.delivered.total.as_counts(),
            "peak_concurrency": self.concurrency.largest,
            "busiest_second": int(tally.second.largest),
            "busiest_minute": int(tally.minute.largest),
            "inside_retry_after": tally.inside_retry_after,
            "authorizations": dict(tally.authorizations),
            "clients": dict(tally.clients.most_common(CLIENTS_SHOWN)),
            "distinct_clients": len(tally.clients),
        }
