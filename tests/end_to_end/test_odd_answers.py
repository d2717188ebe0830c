"""Answers from a server that writes raw bytes: odd ones are taken once, hostile ones cost their row and nothing else."""

from __future__ import annotations

import gzip
import json
import resource
import zlib
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from batch_runner import retry, run_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.end_to_end.conftest import Place, Servers

GOOD = b'{"id":"c","model":"o1","choices":[{"index":0,"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}]'
USAGE = b',"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}'
WHOLE = GOOD + USAGE
TOOLS = b'{"id":"c","choices":[{"message":{"content":null,"tool_calls":[{"id":"t","function":{"name":"f"}}]}}]'


def reply(body: bytes, *headers: bytes, status: bytes = b"200 OK", length: int | None = None) -> bytes:
    told = b"content-length: %d" % (len(body) if length is None else length)
    head = (b"HTTP/1.1 " + status, b"content-type: application/json", b"connection: close", told, *headers)
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def unsized(body: bytes, *headers: bytes) -> bytes:
    """Without a length: the end of the connection is the end of the body."""
    return b"\r\n".join((b"HTTP/1.1 200 OK", *headers)) + b"\r\n\r\n" + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n" + body + end


def with_usage(usage: bytes) -> bytes:
    return reply(GOOD + b',"usage":' + usage + b"}")


Pieces = tuple[bytes | float, ...]

ODD: dict[str, Pieces] = {
    "no usage": (reply(GOOD + b"}"),),
    "usage null": (with_usage(b"null"),),
    "a usage of texts": (with_usage(b'{"prompt_tokens":"5","completion_tokens":"x"}'),),
    "a negative usage": (with_usage(b'{"prompt_tokens":-5,"completion_tokens":7,"total_tokens":2}'),),
    "a usage beyond 64 bits": (with_usage(b'{"prompt_tokens":123456789012345678901234567890,"completion_tokens":7}'),),
    "a usage that doesn't add up": (with_usage(b'{"prompt_tokens":5,"completion_tokens":7,"total_tokens":99999}'),),
    "NaN": (with_usage(b'{"prompt_tokens":NaN,"completion_tokens":7}'),),
    "infinity": (reply(GOOD + b',"x":-Infinity' + USAGE),),
    "a lone surrogate": (reply(WHOLE.replace(b"fine", rb"fine \ud83d")),),
    "a broken byte": (reply(WHOLE.replace(b"fine", b"fine\xff")),),
    "keys twice": (reply(WHOLE.replace(b'{"id":"c"', b'{"id":"b","usage":{},"id":"c"')),),
    "tool calls without content": (reply(TOOLS + USAGE),),
    "two choices": (reply(WHOLE.replace(b'}],"usage"', b'},{"index":1,"message":{"content":"two"}}],"usage"')),),
    "no finish reason": (reply(WHOLE.replace(b',"finish_reason":"stop"', b"")),),
    "a finish reason nobody knows": (reply(WHOLE.replace(b'"stop"', b'"error"')),),
    "blank lines while it is made": (b"HTTP/1.1 200 OK\r\n\r\n", b"\n", 0.01, b"\n\n", 0.01, WHOLE),
    "drop by drop": tuple(piece for byte in (reply(WHOLE)[i : i + 40] for i in range(0, 400, 40)) for piece in (byte, 0.001)),
    "without a length": (unsized(WHOLE),),
    "in chunks": (chunked(WHOLE[:20], WHOLE[20:]),),
    "in chunks with a trailer": (chunked(WHOLE, end=b"0\r\nx-checksum: 1\r\n\r\n"),),
    "packed": (reply(gzip.compress(WHOLE), b"content-encoding: gzip"),),
    "packed without a head": (reply(zlib.compress(WHOLE)[2:-4], b"content-encoding: deflate"),),
    "headers of 60 KB": (reply(WHOLE, b"x-filter: " + b"a" * 60_000),),
    "a wrong type and status": (reply(WHOLE, status=b"500 Oops").replace(b"application/json", b"text/html"),),
}
"""Complete, and odd: each was paid for."""

BOMB = gzip.compress(bytes(200_000_000), 9)

HOSTILE: dict[str, Pieces] = {
    "nothing at all": (),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n",),
    "half a head": (b"HTTP/1.1 200 OK\r\ncontent-ty",),
    "a head without end": (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 30_000,),
    "a header of a megabyte": (reply(WHOLE, b"x-big: " + b"a" * 1_000_000),),
    "a header without a name": (b"HTTP/1.1 200 OK\r\n: oops\r\n\r\n" + WHOLE,),
    "a length that isn't a number": (b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n" + WHOLE,),
    "a length too large": (reply(WHOLE, length=10_000),),
    "a length too small": (reply(WHOLE, length=30),),
    "half a body": (unsized(WHOLE[:60]),),
    "chunks without end": (chunked(WHOLE[:30], end=b""),),
    "a chunk of no size": (chunked(WHOLE, end=b"zz\r\n"),),
    "gzip that isn't": (reply(b"\x1f\x8b\x08" + b"noise" * 20, b"content-encoding: gzip"),),
    "an encoding nobody asked for": (reply(b"\x00noise", b"content-encoding: br"),),
    "a bomb": (reply(BOMB, b"content-encoding: gzip"),),
    "50 MB": (reply(b'{"x":"' + b"a" * 50_000_000),),
    "no choice": (reply(b'{"id":"c","choices":[]' + USAGE),),
    "brackets a million deep": (reply(b"[" * 1_000_000),),
    "an empty success": (reply(b""),),
}
"""Nobody could read an answer in these."""

MOST_MEMORY = 600 * 1024
"""KiB. Two replies of 32 MiB, the most that is read of each, and what unpacks of a bomb at a time."""


class Service:
    """Sends what a prompt names, a good answer for any other, and counts."""

    def __init__(self, replies: dict[str, Pieces]) -> None:
        self._replies = replies
        self.asked: Counter[str] = Counter()

    def __call__(self, body: bytes) -> Iterable[bytes | float]:
        prompt = json.loads(body)["messages"][0]["content"]
        self.asked[prompt] += 1
        return self._replies.get(prompt, (reply(WHOLE),))


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BASE_SECONDS", 0.01)


def mixed_with_good_rows(place: Place, prompts: Iterable[str]) -> None:
    """Each prompt, a good row before it and one after it."""
    rows = [row for prompt in prompts for row in (f"before {prompt}", prompt, f"after {prompt}")]
    place.write({"id": prompt, "prompt": prompt} for prompt in rows)


@pytest.mark.parametrize("concurrency", [1, 8])
async def test_odd_answers_are_taken_as_they_are_and_never_bought_again(place: Place, servers: Servers, concurrency: int) -> None:
    service = Service(ODD)
    url = servers.in_bytes(service)
    mixed_with_good_rows(place, ODD)

    first = await run_file(place.prompts, endpoint=url, concurrency=concurrency)
    again = await run_file(place.prompts, endpoint=url, concurrency=concurrency)

    assert {row["id"]: row["failure"] for row in place.rows() if row["status"] != "ok"} == {}
    assert (first.exit_status, again.exit_status) == (0, 0)
    assert set(service.asked.values()) == {1}
    assert len(service.asked) == 3 * len(ODD) == 72


@pytest.mark.parametrize("name", ODD)
async def test_an_odd_answer_alone_is_taken_too(place: Place, servers: Servers, name: str) -> None:
    service = Service(ODD)
    place.write([{"id": "a", "prompt": name}])

    report = await run_file(place.prompts, endpoint=servers.in_bytes(service))

    assert report.exit_status == 0, place.rows()
    assert service.asked[name] == 1


async def test_hostile_answers_cost_their_rows_and_nothing_else(place: Place, servers: Servers) -> None:
    service = Service(HOSTILE)
    mixed_with_good_rows(place, HOSTILE)

    report = await run_file(place.prompts, endpoint=servers.in_bytes(service), concurrency=2, max_completion_tokens=100)

    rows = place.by_id()
    assert report.exit_status == 10
    assert {name for name, row in rows.items() if row["status"] == "failed"} == set(HOSTILE)
    assert len(HOSTILE) == 19
    assert max(service.asked[name] for name in HOSTILE) <= 2
    assert all(service.asked[name] == 1 for name in rows if name not in HOSTILE)
    owed = {name: rows[name]["maybe_billed"]["completion_tokens"] for name in HOSTILE}
    told = "no choice"  # which tells what it cost
    assert owed == {name: 100 * service.asked[name] for name in HOSTILE} | {told: 0}
    assert rows[told]["spent"]["total_tokens"] == service.asked[told] * 12
    assert all(len(rows[name]["message"]) <= 1000 for name in HOSTILE)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_alone_ends_in_a_line_and_bounded_memory(place: Place, servers: Servers, name: str) -> None:
    place.write([{"id": "a", "prompt": name}])
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss

    end = place.run("run", place.prompts, "--endpoint", servers.in_bytes(Service(HOSTILE)), "--max-attempts", "1")

    assert end.status == 10, end.err
    assert "Traceback" not in end.err
    assert place.rows()[0]["status"] == "failed"
    assert max(before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) < MOST_MEMORY
