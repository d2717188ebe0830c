"""How much of a told limit is used, and how much is refused: our admission and two usual ways, on the fake gateway's books.

    python -m benchmarks.limits [--minutes 10] [--seeds 3] [--only WORDS] [--clients NAMES]

The clients' own code runs, in virtual time, against the gate of the fake gateway: what it lets in, refuses and counts is its own
book. A backlog that never ends, answers with a lognormal latency, 10 ms of network each way with an exponential jitter of 5 ms.
Nothing tells how the service counts.
"""

import argparse
import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

from aiolimiter import AsyncLimiter

from batch_runner.admission import Budget, Cap, Ceiling, Exposure, LocalAdmission
from batch_runner.failures import Failure, FailureKind, Scope
from batch_runner.fake_server.dice import Dice
from batch_runner.fake_server.limits.gate import Demanded, Gate, Refusal
from batch_runner.fake_server.limits.values import Counting, RateLimit
from batch_runner.leaving import Waits
from batch_runner.records import ChatRequest, Completion, Status, Tokens, Usage
from benchmarks.virtual_time import play

ONE_WAY, JITTER = 0.010, 0.005
TOKENS_PER_SECOND = 100.0
CAP, PROMPT = 8192, 300
WORKERS = 4000


@dataclass(frozen=True)
class Cell:
    """A service, and what is asked of it."""

    name: str
    limits: tuple[RateLimit, ...]
    use: float = 0.2
    """The mean share of the cap that an answer uses; lognormal, sigma 1."""
    giants: float = 0.0
    """The share of requests with 20 times the prompt and cap."""
    hints: bool = True
    named: bool = False
    """Nobody tells the limit but the refusals, which name it."""
    workers: int = WORKERS
    warm_up: float = 60.0

    @property
    def rpm(self) -> float | None:
        return self._told("requests")

    @property
    def tpm(self) -> float | None:
        return self._told("tokens")

    def _told(self, what: str) -> float | None:
        return next((limit.amount for limit in self.limits if limit.what == what), None)


@dataclass
class Books:
    """What the service counted."""

    amount: Counter[str] = field(default_factory=Counter)
    sent_at: list[float] = field(default_factory=list)
    refused: Counter[bool] = field(default_factory=Counter)
    """Requests by whether they were refused, after the warm-up."""
    refused_early: Counter[bool] = field(default_factory=Counter)
    longest_wait: float = 0.0


class Service:
    """The fake gateway's gate behind a network, in virtual time."""

    def __init__(self, cell: Cell, seed: int) -> None:
        self.cell = cell
        self.books = Books()
        self._gate = Gate(cell.limits, Dice(seed))
        self._random = random.Random(seed)  # noqa: S311 - a simulation's luck

    async def ask(self, request: ChatRequest) -> Completion | Failure:
        """Refused, or answered after its time."""
        await self._network()
        now, wanted = _now(), Demanded(request.expected.prompt, request.max_completion_tokens)
        late = now >= self.cell.warm_up
        leave = self._gate.admit(wanted, now)
        (self.books.refused if late else self.books.refused_early)[isinstance(leave, Refusal)] += 1
        self.books.sent_at.append(now)
        if isinstance(leave, Refusal):
            await self._network()
            wait = leave.wait if self.cell.hints else None
            limit = leave.limit.what if isinstance(leave.limit, RateLimit) else ""
            tpm = leave.amount if self.cell.named and limit == "tokens" else None
            return Failure(FailureKind.RATE_LIMITED, Scope.EVERYONE, "no", wait=wait, limit=limit, tpm=tpm)
        self._count("reserve", wanted.prompt_tokens + (wanted.cap or 0))
        self._count("requests", 1)
        prompt, completion = self._use(request)
        await asyncio.sleep(0.3 + completion / TOKENS_PER_SECOND * self._random.lognormvariate(0, 0.1))
        self._gate.settle(leave, prompt + completion, _now())
        self._count("use", prompt + completion)
        await self._network()
        return Completion(Status.OK, "", "stop", "o1", Usage(prompt, 0, completion, 0, prompt + completion), "", 200)

    def _use(self, request: ChatRequest) -> tuple[int, int]:
        cap = request.max_completion_tokens or 1
        completion = max(1, min(cap, round(self.cell.use * cap * self._random.lognormvariate(-0.5, 1.0))))
        prompt = request.expected.prompt
        return prompt, completion

    def _count(self, what: str, amount: float) -> None:
        if _now() >= self.cell.warm_up:
            self.books.amount[what] += amount  # type: ignore[assignment]  # a counter of floats

    async def _network(self) -> None:
        await asyncio.sleep(ONE_WAY + self._random.expovariate(1 / JITTER))


class Client(Protocol):
    """A way of keeping to limits."""

    async def send(self, request: ChatRequest, service: Service) -> None:
        """Send until it is answered."""
        ...


class Ours:
    """The shipped admission."""

    def __init__(self, cell: Cell, seed: int) -> None:
        self._admission = LocalAdmission(
            concurrency=None if cell.named else cell.workers,
            rpm=None if cell.named else cell.rpm,
            tpm=None if cell.named else cell.tpm,
            budget=Budget((), _never),
            exposure=Exposure(Ceiling(10**9, 10**15, 10**15), _nowhere),
            waits=Waits(),
            max_attempts=5,
            random=random.Random(seed).random,  # noqa: S311 - a simulation's luck
        )

    async def send(self, request: ChatRequest, service: Service) -> None:
        """Send until it is answered."""
        while True:
            async with self._admission.slot(request) as slot:
                verdict = await service.ask(request)
                slot.ended(verdict)
            if isinstance(verdict, Completion):
                return


class Bucketed:
    """`AsyncLimiter(limit, 60)` for each limit, the cap reserved, and exponential backoff: the way of most examples."""

    def __init__(self, cell: Cell, seed: int) -> None:
        self._buckets = [(AsyncLimiter(limit.amount, 60), limit.what) for limit in cell.limits]
        self._random = random.Random(seed)  # noqa: S311

    async def send(self, request: ChatRequest, service: Service) -> None:
        """Send until it is answered."""
        for attempt in count():
            for bucket, what in self._buckets:
                await bucket.acquire(min(bucket.max_rate, 1 if what == "requests" else sum(_asked(request))))
            if isinstance(await service.ask(request), Completion):
                return
            await asyncio.sleep(self._random.random() * min(60.0, 2.0**attempt))


class Capacity:
    """Capacities that refill with time, the cap reserved, and 15 s of rest for everyone after a refusal: the cookbook's way."""

    def __init__(self, cell: Cell, _seed: int) -> None:
        self._turn = asyncio.Lock()
        self._limits = cell.limits
        self._room = [limit.amount for limit in cell.limits]
        self._at = _now()
        self._rest_until = 0.0

    async def send(self, request: ChatRequest, service: Service) -> None:
        """Send until it is answered."""
        while True:
            async with self._turn:
                while not self._taken(request):
                    await asyncio.sleep(0.001 if _now() >= self._rest_until else self._rest_until - _now())
            if isinstance(await service.ask(request), Completion):
                return
            self._rest_until = _now() + 15.0

    def _taken(self, request: ChatRequest) -> bool:
        passed, self._at = _now() - self._at, _now()
        rooms = zip(self._room, self._limits, strict=True)
        self._room = [min(limit.amount, room + limit.amount / 60 * passed) for room, limit in rooms]
        needs = [min(limit.amount, 1 if limit.what == "requests" else sum(_asked(request))) for limit in self._limits]
        if _now() < self._rest_until or any(room < need for room, need in zip(self._room, needs, strict=True)):
            return False
        self._room = [room - need for room, need in zip(self._room, needs, strict=True)]
        return True


def _asked(request: ChatRequest) -> tuple[int, int]:
    return request.expected.prompt, request.expected.completion


CLIENTS: dict[str, Callable[[Cell, int], Client]] = {"ours": Ours, "one bucket": Bucketed, "cookbook": Capacity}


def requests_of(cell: Cell, seed: int) -> Iterator[ChatRequest]:
    """Requests without end."""
    luck = random.Random(seed)  # noqa: S311 - a simulation's luck
    for number in count():
        times = 20 if luck.random() < cell.giants else 1
        tokens = Tokens(PROMPT * times, CAP * times)
        yield ChatRequest(f"row-{number}", "o1", tokens.completion, b"", "", expected=tokens, worst=tokens)


async def measure(cell: Cell, make: Callable[[Cell, int], Client], *, seed: int, seconds: float) -> Service:
    """One client at one service, for so many seconds."""
    service, requests = Service(cell, seed), requests_of(cell, seed)
    client = make(cell, seed)

    async def work() -> None:
        for request in requests:
            began = _now()
            await client.send(request, service)
            if request.expected.completion != CAP:
                service.books.longest_wait = max(service.books.longest_wait, _now() - began)

    tasks = [asyncio.create_task(work()) for _ in range(cell.workers)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return service


@dataclass(frozen=True)
class Row:
    """What came of one client at one service: shares in percent, the worst of all seeds."""

    cell: str
    client: str
    used: float
    refused: float
    refused_early: float
    worst_second: float | None
    worst_minute: float | None
    longest_wait: float
    """Seconds until a giant was answered."""


def row_of(cell: Cell, client: str, services: list[Service], seconds: float) -> Row:
    """The worst of several seeds."""
    rpm = cell.rpm
    peaks = [(busiest(each.books.sent_at, 1.0), busiest(each.books.sent_at, 60.0)) for each in services]
    return Row(
        cell.name,
        client,
        100 * min(used_share(each, seconds) for each in services),
        100 * max(_share(each.books.refused) for each in services),
        100 * max(_share(each.books.refused_early) for each in services),
        max(second for second, _ in peaks) - math.ceil(1.02 * rpm / 60) if rpm is not None else None,
        100 * max(minute for _, minute in peaks) / rpm if rpm is not None else None,
        max(each.books.longest_wait for each in services),
    )


def used_share(service: Service, seconds: float) -> float:
    """The share of the tightest limit that was used after the warm-up, as the service counts."""
    amount, timed = service.books.amount, seconds - service.cell.warm_up
    kinds = {"reserve": "reserve", "refund": "use", "use": "use"}
    return max(
        amount["requests" if limit.what == "requests" else kinds[limit.counting]] / (limit.amount / limit.per * timed)
        for limit in service.cell.limits
    )


def busiest(moments: list[float], seconds: float) -> int:
    """The most requests in any stretch of so many seconds."""
    most, first = 0, 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def _share(refused: Counter[bool]) -> float:
    return refused[True] / refused.total() if refused else 0.0


def cells() -> Iterator[Cell]:
    """The matrix."""
    for rate in (600, 3000):
        for name, how in shapes(rate).items():
            yield Cell(f"{rate:,} requests/min, {name}", (RateLimit("requests", rate, **how),), use=0.05, hints=False)
    for counting, words in WORDS.items():
        for use in (0.02, 0.2, 0.9):
            limit = RateLimit("tokens", TPM, counting=counting)
            answer = 0.3 + use * CAP / TOKENS_PER_SECOND
            fills_in = 3 * answer / use if counting == "refund" else 0.0
            name = f"1 M tokens/min, {words}, {use:.0%} of the cap used"
            yield Cell(name, (limit,), use=use, hints=False, warm_up=max(60.0, fills_in))
    shallow = RateLimit("tokens", TPM, counting="use", burst=TPM / 6)
    yield Cell("1 M tokens/min, counts use, bucket of 10 s, 20% of the cap used", (shallow,), hints=False)
    both = (RateLimit("requests", 600, burst=10), RateLimit("tokens", 1_020_000, counting="use"))
    yield Cell("600 requests/min and 1.02 M tokens/min (use), both near", both, use=0.18, warm_up=120)
    yield Cell("1 M tokens/min, counts prompt + cap, 3 % giants", (RateLimit("tokens", TPM),), giants=0.03, workers=300)

    for counting, words in WORDS.items():
        limit = RateLimit("tokens", TPM, counting=counting)
        name = f"1 M tokens/min, {words}, named in refusals only"
        paid_back = 480.0 if counting == "use" else 300.0  # what was taken before the first refusal
        yield Cell(name, (limit,), hints=False, named=True, warm_up=paid_back)


TPM = 1_000_000
WORDS: dict[Counting, str] = {"reserve": "counts prompt + cap", "refund": "gives back", "use": "counts use"}


def shapes(rate: float) -> dict[str, dict[str, Any]]:
    """Ways of counting requests."""
    return {
        "bucket of 1 s": {"burst": rate / 60},
        "bucket of 10 s": {"burst": rate / 6},
        "bucket of 60 s": {},
        "fixed window of a minute": {"shape": "fixed"},
        "sliding window of a minute": {"shape": "sliding"},
        "its own window each second": {"shape": "fixed", "quantum": 1.0},
    }


def play_cell(task: tuple[Cell, str, int, float]) -> Row:
    """One line of the table, in a process of its own."""
    cell, client, seeds, minutes = task
    seconds = cell.warm_up + 60 * minutes
    services = [play(measure(cell, CLIENTS[client], seed=seed, seconds=seconds)) for seed in range(seeds)]
    return row_of(cell, client, services, seconds)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="after the warm-up of each cell; 10 unless told")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each cell, the worst is shown; 3 unless told")
    parser.add_argument("--only", default="", help="cells whose name has this in it")
    parser.add_argument("--clients", default=",".join(CLIENTS), help="of: " + "; ".join(CLIENTS))
    asked = parser.parse_args()
    chosen = [cell for cell in cells() if asked.only in cell.name]
    tasks = [(cell, client, asked.seeds, asked.minutes) for cell in chosen for client in asked.clients.split(",")]
    print("| service | client | used | refused | refused early | worst second − share | worst minute | a giant waits |")
    print("|" + 8 * "---|")
    with ProcessPoolExecutor() as pool:
        for row in pool.map(play_cell, tasks):
            print(table_line(row), flush=True)


def table_line(row: Row) -> str:
    """One line of the table."""
    shares = f"{row.used:.1f} % | {row.refused:.2f} % | {row.refused_early:.2f} %"
    second = "" if row.worst_second is None else f"{row.worst_second:+.0f}"
    minute = "" if row.worst_minute is None else f"{row.worst_minute:.1f} %"
    giant = f"{row.longest_wait:.0f} s" if row.longest_wait else ""
    return f"| {row.cell} | {row.client} | {shares} | {second} | {minute} | {giant} |"


def _never(_cap: Cap, _request: ChatRequest) -> None:
    """No cap is reached."""


async def _nowhere(_ceiling: Ceiling) -> None:
    """Write no ceiling."""


def _now() -> float:
    return asyncio.get_running_loop().time()


if __name__ == "__main__":
    main()
