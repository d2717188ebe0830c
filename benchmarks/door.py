"""What leave to send costs: CPU per request through the door of admission, with nothing behind it.

python -m benchmarks.door [--requests 50_000] [--at-once 64]
"""

import argparse
import asyncio
import random
import time

from batch_runner.admission import Budget, Ceiling, Exposure, LocalAdmission
from batch_runner.leaving import Waits
from batch_runner.records import ChatRequest, Completion, Status, Tokens, Usage
from benchmarks.limits import _never, _nowhere

SIZE = Tokens(100, 1000)
REQUEST = ChatRequest("a", "o1", 1000, b"{}", "v1:ab", expected=SIZE, worst=SIZE)
ANSWER = Completion(Status.OK, "", "stop", "o1", Usage(100, 0, 500, 0, 600), "", 200)


async def pass_through(requests: int, at_once: int, workers: int, rpm: float | None) -> float:
    """Seconds of CPU for one request."""
    admission = LocalAdmission(
        concurrency=at_once,
        rpm=rpm,
        tpm=None,
        budget=Budget((), _never),
        exposure=Exposure(Ceiling(10**9, 10**15, 10**15), _nowhere),
        waits=Waits(),
        max_attempts=5,
        random=random.random,
    )
    left = requests

    async def work() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            async with admission.slot(REQUEST) as slot:
                await asyncio.sleep(0)
                slot.ended(ANSWER)

    began = time.process_time()
    await asyncio.gather(*(work() for _ in range(workers)))
    return (time.process_time() - began) / requests


async def bare(requests: int, workers: int) -> float:
    """The same with no door."""
    left = requests

    async def work() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await asyncio.sleep(0)

    began = time.process_time()
    await asyncio.gather(*(work() for _ in range(workers)))
    return (time.process_time() - began) / requests


def main() -> None:
    """Print microseconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--at-once", type=int, default=64)
    asked = parser.parse_args()
    many, few = asked.requests, asked.at_once
    fast = 1e9  # requests a minute: a pace that never holds, so that no start is paced either
    print(f"no door             {1e6 * asyncio.run(bare(many, few)):6.1f} µs a request")
    print(f"nobody waits        {1e6 * asyncio.run(pass_through(many, few, few, fast)):6.1f} µs")
    print(f"everybody waits     {1e6 * asyncio.run(pass_through(many, few, 4 * few, fast)):6.1f} µs")


if __name__ == "__main__":
    main()
