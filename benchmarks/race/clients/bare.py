"""The bare loop: what is left of a runner without limits, retries, totals, progress, checks, or a file that outlives a crash.

    python bare.py URL INPUT OUTPUT IN_FLIGHT

aiohttp on uvloop, orjson, a worker for each request in flight, a buffered write for each answer.
"""

import asyncio
import sys
from collections.abc import Iterator
from typing import IO

import aiohttp
import orjson
import uvloop

MODEL = "o1-mini"


async def work(session: aiohttp.ClientSession, url: str, lines: Iterator[bytes], output: IO[bytes]) -> None:
    for line in lines:
        row = orjson.loads(line)
        body = {"model": MODEL, "messages": [{"role": "user", "content": row["prompt"]}], "stream": False}
        async with session.post(url, data=orjson.dumps(body)) as response:
            reply = orjson.loads(await response.read())
        answer = reply["choices"][0]["message"]["content"]
        output.write(orjson.dumps({"id": row["id"], "answer": answer, "usage": reply["usage"], "body": reply}) + b"\n")


async def main(url: str, source: str, target: str, in_flight: int) -> None:
    headers = {"Authorization": "Bearer sk-benchmark", "Content-Type": "application/json"}
    with open(source, "rb") as lines, open(target, "wb") as output:  # noqa: ASYNC230, PTH123 - as a script does
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            connector=connector, headers=headers, cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=None)
        ) as session:
            await asyncio.gather(*(work(session, f"{url}/chat/completions", lines, output) for _ in range(in_flight)))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
