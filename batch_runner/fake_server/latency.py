"""How long an answer takes, alone and in a crowd."""

import asyncio
import heapq
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count

from batch_runner.fake_server.spreads import Fixed, Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Seconds to an answer: a spread, and so much more per token of it.

    With `places` the service slows down under load, as a processor shared by all: up to so many answers are computed at
    full speed, more of them share that speed.
    """

    seconds: Spread = Fixed(0.001)
    per_token: float = 0.0
    places: int | None = None

    def work(self, luck: float, completion_tokens: int) -> float:
        """Seconds the answer would take alone."""
        return max(0.0, self.seconds.at(luck) + self.per_token * completion_tokens)


class SharedTime:
    """A processor shared by all its jobs, on a clock it is given.

    Its inner time runs as fast as ours while there is a place for each job, else slower by jobs / places. A job that comes
    at inner time `v` with `w` seconds of work ends at inner time `v + w`, whoever comes and goes meanwhile.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._inner = 0.0
        self._seen = 0.0
        self._jobs: list[tuple[float, int]] = []
        self._numbers = count()

    def enter(self, now: float, work: float) -> int:
        """A job begins; its number is how it is told when it ends."""
        self._turn_to(now)
        number = next(self._numbers)
        heapq.heappush(self._jobs, (self._inner + work, number))
        return number

    def ended(self, now: float) -> list[int]:
        """The jobs that have ended by now, in order."""
        done = []
        while self._jobs and self._seen + self.next_end(self._seen) <= now:
            self._turn_to(self._seen + self.next_end(self._seen))
            done.append(heapq.heappop(self._jobs)[1])
        self._turn_to(now)
        return done

    def next_end(self, now: float) -> float:
        """Seconds until the next job ends, if nobody comes."""
        if not self._jobs:
            return math.inf
        self._turn_to(now)
        return max(0.0, (self._jobs[0][0] - self._inner) / self._speed())

    def _speed(self) -> float:
        return min(1.0, self._places / max(1, len(self._jobs)))

    def _turn_to(self, now: float) -> None:
        self._inner += (now - self._seen) * self._speed()
        self._seen = now


Work = Callable[[float], Awaitable[None]]


def processor_of(places: int | None) -> Work:
    """Where answers are computed: each at its own speed, or all on one shared processor."""
    return asyncio.sleep if places is None else SharedProcessor(places).work


class SharedProcessor:
    """A shared processor on the running loop."""

    def __init__(self, places: int) -> None:
        self._time = SharedTime(places)
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def work(self, seconds: float) -> None:
        """Returns when so much work is done."""
        loop = asyncio.get_running_loop()
        self._wake(loop)
        number = self._time.enter(loop.time(), seconds)
        self._waiting[number] = loop.create_future()
        self._wake(loop)
        await self._waiting[number]

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for number in self._time.ended(now):
            if not (waiting := self._waiting.pop(number)).done():
                waiting.set_result(None)
        if self._timer:
            self._timer.cancel()
        # Every arrival slows the others down, so the timer for the next end is set anew each time.
        self._timer = loop.call_at(now + self._time.next_end(now), self._wake, loop) if self._waiting else None
