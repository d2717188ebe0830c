"""The strategy of OpenAI's cookbook script for parallel requests, written anew from its description.

    python cookbook.py URL INPUT OUTPUT [IN_FLIGHT]

One loop takes a row whenever what a minute allows, in requests and in tokens, has refilled far enough, and starts a task for
it; between two rows it sleeps a millisecond. A failed row is tried again, up to five times, and all rest for a while after a
429. Each answer is appended by a file opened for it. It has no ceiling on requests in flight: the limits are to be one, and
are set far above reach here.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

PER_MINUTE = 100_000_000.0
REST_SECONDS, TURN_SECONDS = 15.0, 0.001
ATTEMPTS = 5


@dataclass
class Allowance:
    """What may still be used; refills with time."""

    most: float
    left: float
    at: float

    def refill(self) -> None:
        now = time.monotonic()
        self.left = min(self.most, self.left + self.most * (now - self.at) / 60)
        self.at = now


@dataclass
class Request:
    id: str
    body: dict[str, Any]
    tokens: float
    attempts_left: int = ATTEMPTS


class Script:
    def __init__(self, url: str, target: Path) -> None:
        self.url, self.target = url, target
        self.again: asyncio.Queue[Request] = asyncio.Queue()
        self.refused_at = 0.0
        self.running = 0

    async def call(self, session: aiohttp.ClientSession, request: Request) -> None:
        reply: Any = None
        try:
            async with session.post(self.url, headers={"Authorization": "Bearer sk-benchmark"}, json=request.body) as response:
                reply = await response.json()
                if response.status == 429:
                    self.refused_at = time.monotonic()
        except (aiohttp.ClientError, TimeoutError) as error:
            reply = {"error": str(error)}
        if "error" in reply and request.attempts_left:
            self.again.put_nowait(request)
            return
        with self.target.open("a") as output:
            output.write(json.dumps([request.body, reply, {"id": request.id}]) + "\n")
        self.running -= 1

    async def run(self, source: Path) -> None:
        now = time.monotonic()
        requests, tokens = Allowance(PER_MINUTE, PER_MINUTE, now), Allowance(PER_MINUTE, PER_MINUTE, now)
        upcoming: Request | None = None
        with source.open() as lines:
            tasks = set[asyncio.Task[None]]()
            async with aiohttp.ClientSession() as session:
                done = False
                while True:
                    if upcoming is None and not self.again.empty():
                        upcoming = self.again.get_nowait()
                    elif upcoming is None and not done:
                        line = lines.readline()
                        done = not line
                        if line:
                            row = json.loads(line)
                            body = {"model": "o1-mini", "messages": [{"role": "user", "content": row["prompt"]}]}
                            upcoming = Request(row["id"], body, len(row["prompt"]) / 4 + 15)
                            self.running += 1
                    requests.refill()
                    tokens.refill()
                    if upcoming is not None and requests.left >= 1 and tokens.left >= upcoming.tokens:
                        requests.left -= 1
                        tokens.left -= upcoming.tokens
                        upcoming.attempts_left -= 1
                        task = asyncio.create_task(self.call(session, upcoming))
                        tasks.add(task)
                        task.add_done_callback(tasks.discard)
                        upcoming = None
                    if done and not self.running:
                        return
                    await asyncio.sleep(TURN_SECONDS)
                    rest = self.refused_at + REST_SECONDS - time.monotonic() if self.refused_at else 0.0
                    if rest > 0:
                        await asyncio.sleep(rest)


if __name__ == "__main__":
    asyncio.run(Script(f"{sys.argv[1]}/chat/completions", Path(sys.argv[3])).run(Path(sys.argv[2])))
