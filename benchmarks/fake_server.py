"""What the fake gateway itself costs: its requests per CPU second against a bare aiohttp handler that sends the same bytes.

    python benchmarks/fake_server.py [--rounds 15] [--requests 4000] [--connections 64]

Both servers run in processes of their own, on uvloop, and take 5 ms for each answer. The rounds alternate
between them, so that a busy machine disturbs both alike; CPU time is each server's own, read from /proc.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import orjson
from aiohttp import web
from uvloop import run

LATENCY = 0.005
GOAL = 0.6
PROMPT = "Classify the following review as positive or negative: the battery lasts, the screen does not. " * 3


@dataclass(frozen=True)
class Server:
    """One of the two, and its process."""

    name: str
    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """CPU time the process has used so far, to the nanosecond."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def serve_bare(body: str) -> None:
    """The handler to compare with: reads, waits, answers."""
    answer = body.encode()

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(LATENCY)
        return web.Response(body=answer, content_type="application/json")

    async def main() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", handler)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
        await asyncio.Event().wait()

    run(main())


@contextmanager
def running(name: str, *command: str) -> Iterator[Server]:
    """A server in a process of its own, which says where it is at the end of its first line."""
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield Server(name, process.stdout.readline().split()[-1], process.pid)
        process.kill()


async def ask(url: str, requests: int, connections: int) -> bytes:
    """Sends so many requests, so many at once; returns the last answer."""
    numbers = iter(range(requests))
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"authorization": "Bearer sk-benchmark", "content-type": "application/json"}
    last = b""

    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def worker() -> None:
            nonlocal last
            for number in numbers:
                body = orjson.dumps(
                    {
                        "model": "o1-mini",
                        "max_completion_tokens": 1688,
                        "messages": [{"role": "user", "content": f"{number}: {PROMPT}"}],
                    }
                )
                async with session.post(f"{url}/chat/completions", data=body) as response:
                    assert response.status == 200, await response.text()
                    last = await response.read()

        await asyncio.gather(*(worker() for _ in range(connections)))
    return last


def rate(server: Server, requests: int, connections: int) -> float:
    """Requests per CPU second of the server, over one round."""
    before = server.cpu_seconds()
    asyncio.run(ask(server.url, requests, connections))
    return requests / (server.cpu_seconds() - before)


def compare(rounds: int, requests: int, connections: int) -> bool:
    """Prints a table of all rounds; whether the goal is met."""
    with TemporaryDirectory() as folder:
        scenario = Path(folder, "benchmark.toml")
        scenario.write_text(f"[latency]\nseconds = {LATENCY}\n")
        with running("fake", "-m", "batch_runner.fake_server", "--scenario", str(scenario)) as fake:
            body = asyncio.run(ask(fake.url, 1, 1)).decode()
            with running("bare", __file__, "bare", body) as bare:
                for server in (bare, fake):
                    rate(server, requests, connections)
                ratios = [_round(fake, bare, requests, connections) for _ in range(rounds)]
    median = statistics.median(ratios)
    print(f"median {median:.2f} of the bare handler's requests per CPU second; the goal is {GOAL}")
    return median >= GOAL


def _round(fake: Server, bare: Server, requests: int, connections: int) -> float:
    bare_rate, fake_rate = (rate(server, requests, connections) for server in (bare, fake))
    ratio = fake_rate / bare_rate
    print(f"bare {bare_rate:7.0f}   fake {fake_rate:7.0f}   ratio {ratio:.2f}   {time.strftime('%H:%M:%S')}", flush=True)
    return ratio


def main() -> None:
    """The command line."""
    if sys.argv[1:2] == ["bare"]:
        serve_bare(sys.argv[2])
    else:
        parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
        parser.add_argument("--rounds", type=int, default=15)
        parser.add_argument("--requests", type=int, default=4000)
        parser.add_argument("--connections", type=int, default=64)
        sys.exit(not compare(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
