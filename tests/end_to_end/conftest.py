"""What the end-to-end tests stand on: a folder with prompts, the command run in it, and servers on loopback with books."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
import warnings
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from aiohttp import web

from batch_runner.fake_server import FakeGateway, Scenario

if TYPE_CHECKING:
    import signal
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

T = TypeVar("T")

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "batch_runner")
FIVE = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "total_tokens")
KEY = "sk-rehearsal-4711"
PRICES = Path(__file__).parent / "prices.toml"
"""What the models asked here cost, whatever OpenAI's list says."""
LEAKY = ("_PROXY", "_API_KEY", "BATCH_RUNNER_", "OPENAI_")
"""Variables named so would change what a run does."""

SERVE = """
import asyncio, sys
from batch_runner.fake_server import *
from batch_runner.fake_server import FakeGateway, Scenario

async def serve():
    async with FakeGateway(eval(sys.argv[1]), echo=sys.argv[2] == "echo") as gateway:
        print(gateway.url, flush=True)
        await asyncio.Event().wait()

asyncio.run(serve())
"""
"""A gateway as a program of its own; its scenario is written as Python."""


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv(
        "XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache"))
    )  # ports come again, and what is remembered of them
    for name in list(os.environ):
        if any(part in name.upper() for part in LEAKY) or name == "NO_COLOR":
            monkeypatch.delenv(name)
    monkeypatch.setenv("BATCH_RUNNER_API_KEY", KEY)


@pytest.fixture(scope="session", autouse=True)
def _spare_loop() -> Iterator[None]:
    """Close the loop that pytest-asyncio has the main thread make before its own (up to Python 3.13), and then forgets."""
    loop = None
    with warnings.catch_warnings(), suppress(RuntimeError):
        warnings.simplefilter("ignore", DeprecationWarning)
        loop = asyncio.get_event_loop_policy().get_event_loop()
    yield
    if loop is not None:
        loop.close()


def until(condition: Callable[[], T], *, seconds: float = 30.0, what: str = "it") -> T:
    """Look again and again until `condition` holds; its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.01)


@dataclass(frozen=True)
class Books:
    """What a gateway's `/stats` told at one moment."""

    told: Mapping[str, Any]

    @property
    def requests(self) -> int:
        """All that arrived."""
        return int(self.told["totals"]["requests"])

    @property
    def open(self) -> int:
        """Those being served."""
        return int(self.told["totals"]["open"])

    @property
    def outcomes(self) -> dict[str, int]:
        """How they ended."""
        return dict(self.told["totals"]["outcomes"])

    @property
    def billed(self) -> dict[str, int]:
        """Tokens that somebody pays for."""
        billed = self.told["totals"]["billed"]
        return {name: billed.get(name, 0) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}

    @property
    def authorizations(self) -> set[str]:
        """Every Authorization header that came."""
        return set(self.told["totals"]["authorizations"])

    @cached_property
    def attempts(self) -> Counter[str]:
        """Attempts by prompt."""
        counts: Counter[str] = Counter()
        for row in self.told["rows"].values():
            counts[row["prompt"]] += len(row["attempts"])
        return counts

    def times(self, prompt: str) -> list[float]:
        """When the attempts of a prompt came, in seconds."""
        return [each["at"] for row in self.told["rows"].values() if row["prompt"] == prompt for each in row["attempts"]]


class Served:
    """A gateway somewhere on loopback."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def books(self, *, rows: bool = True) -> Books:
        """What its books tell now."""
        with self._direct.open(f"{self.url.removesuffix('/v1')}/stats?rows={int(rows)}") as reply:
            return Books(json.load(reply))

    def at_rest(self) -> Books:
        """The books once nobody is being served any more."""

        def resting() -> Books | None:
            before = self.books(rows=False)
            time.sleep(0.02)
            after = self.books()
            return after if after.open == 0 and after.requests == before.requests else None

        found = until(resting, what="the gateway to come to rest")
        assert found is not None
        return found


class ServedHere(Served):
    """A gateway in a thread of the test's own process: what it plays can be changed."""

    def __init__(self, gateway: FakeGateway, call: Callable[[Callable[[], None]], None]) -> None:
        super().__init__(gateway.url)
        self._gateway = gateway
        self._call = call

    def plays(self, scenario: Scenario) -> None:
        """From now on."""
        self._call(lambda: setattr(self._gateway, "scenario", scenario))

    def forget(self) -> None:
        """Start new books."""
        self._call(self._gateway.books.reset)


class Servers:
    """Starts servers on an event loop in a thread of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, things: AsyncExitStack) -> None:
        self._loop = loop
        self._things = things

    def gateway(self, scenario: Scenario | None = None, *, echo: bool = False) -> ServedHere:
        """A fake gateway."""
        gateway = self.wait(self._things.enter_async_context(FakeGateway(scenario, echo=echo)))
        return ServedHere(gateway, lambda call: self.wait(_call(call)))

    def by_hand(
        self,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
        *,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> str:
        """A server that answers every request with `handler`; its address."""
        return self.wait(self._serve(handler, host, tls))

    def in_bytes(self, reply: Callable[[bytes], Iterable[bytes | float]]) -> str:
        """A server that sends what `reply` makes of a request, byte by byte as it is, and hangs up; numbers are pauses."""
        return self.wait(self._serve_in_bytes(reply))

    def wait(self, waited: Awaitable[T]) -> T:
        """What comes of something awaited on the servers' loop."""

        async def result() -> T:
            return await waited

        return asyncio.run_coroutine_threadsafe(result(), self._loop).result(20)

    async def _serve(
        self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]], host: str, tls: ssl.SSLContext | None
    ) -> str:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await handler(request)

        application = web.Application()
        application.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.05)
        await runner.setup()
        self._things.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, host, 0, ssl_context=tls)
        await site.start()
        return f"{'http' if tls is None else 'https'}://{host}:{runner.addresses[0][1]}"

    async def _serve_in_bytes(self, reply: Callable[[bytes], Iterable[bytes | float]]) -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(re.search(rb"content-length: (\d+)", head.lower())[1])  # type: ignore[index]  # it always says
                for piece in reply(await reader.readexactly(length)):
                    if isinstance(piece, float):
                        await asyncio.sleep(piece)
                    else:
                        writer.write(piece)
                        await writer.drain()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self._things.callback(server.close)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _call(call: Callable[[], None]) -> None:
    call()


@pytest.fixture(scope="session")
def _loop_beside() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="servers")
    thread.start()
    yield loop
    asyncio.run_coroutine_threadsafe(_deserted_ended(), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def _deserted_ended() -> None:
    """End what servers by hand still do for clients that left, as `asyncio.run` would."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@pytest.fixture
def servers(_loop_beside: asyncio.AbstractEventLoop) -> Iterator[Servers]:
    """Servers on loopback that end with the test."""
    things = AsyncExitStack()
    servers = Servers(_loop_beside, things)
    yield servers
    servers.wait(things.aclose())


@pytest.fixture
def gateway(servers: Servers) -> ServedHere:
    """A calm fake gateway."""
    return servers.gateway()


@pytest.fixture
def gateway_program() -> Iterator[Callable[..., Served]]:
    """Starts a fake gateway as a process of its own, whose books survive whatever happens to its clients."""
    started: list[subprocess.Popen[str]] = []

    def start(scenario: str = "Scenario()", *, echo: bool = False) -> Served:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, scenario, "echo" if echo else ""],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        return Served(process.stdout.readline().strip())

    yield start
    for process in started:
        process.kill()
        process.communicate()


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What stands on stdout, as JSON."""
        return json.loads(self.out)


class Started:
    """A command at work."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.pid = process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it as `kill -9` does."""
        self.process.kill()
        self.ended()

    def ended(self, *, seconds: float = 20.0) -> Ended:
        """Wait for its end."""
        out, err = self.process.communicate(timeout=seconds)
        return Ended(self.process.returncode, (out or b"").decode(), (err or b"").decode())

    @property
    def at_work(self) -> bool:
        """True until it has ended."""
        return self.process.poll() is None


class Place:
    """A folder with prompts, and the command run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prompts = folder / "prompts.jsonl"
        self.out = folder / "prompts.results.jsonl"
        self._started: list[Started] = []

    def write(self, rows: Iterable[Mapping[str, Any] | str], name: str = "prompts.jsonl") -> Path:
        """Write an input file: a line for each row, texts as they are."""
        path = self.folder / name
        lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    def write_questions(self, count: int, name: str = "prompts.jsonl") -> list[str]:
        """Write rows `r0` with the prompt `question 0` and so on; their prompts."""
        prompts = [f"question {number}" for number in range(count)]
        self.write(({"id": f"r{number}", "prompt": prompt} for number, prompt in enumerate(prompts)), name)
        return prompts

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """A clean one, that leads to this checkout and holds a key."""
        bare = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.folder),
            "XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"],
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONDONTWRITEBYTECODE": "1",  # under a limit on file sizes, Python writes torn ones without a word
            "LANG": "C.UTF-8",
            "TMPDIR": str(self.folder),
            "BATCH_RUNNER_API_KEY": KEY,
            "BATCH_RUNNER_PRICES": str(PRICES),
            "BATCH_RUNNER_PREFLIGHT": "0",  # no server here is asked about a key unless a test is about that
        }
        return bare | dict(more or {})

    def start(
        self, *arguments: str | Path, env: Mapping[str, str] | None = None, under: Sequence[str] = (), **more: Any
    ) -> Started:
        """Start `batch-runner` with these arguments, as the last words of the command `under`."""
        process = subprocess.Popen(
            [*under, *COMMAND, *(str(argument) for argument in arguments)],
            cwd=self.folder,
            env=self.environment(env),
            stdin=more.pop("stdin", subprocess.DEVNULL),
            stdout=more.pop("stdout", subprocess.PIPE),
            stderr=more.pop("stderr", subprocess.PIPE),
            **more,
        )
        started = Started(process)
        self._started.append(started)
        return started

    def run(
        self, *arguments: str | Path, env: Mapping[str, str] | None = None, text: str | None = None, seconds: float = 30.0
    ) -> Ended:
        """Run `batch-runner` with these arguments to its end, `text` on its standard input."""
        done = subprocess.run(
            [*COMMAND, *(str(argument) for argument in arguments)],
            cwd=self.folder,
            env=self.environment(env),
            input=None if text is None else text.encode(),
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    def on_a_terminal(self, typed: str, *arguments: str | Path, env: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Run `batch-runner` on a terminal where `typed` is typed; its status, and what the terminal showed."""
        outer, inner = pty.openpty()
        started = self.start(*arguments, env=env, stdin=inner, stderr=inner)
        os.close(inner)
        os.write(outer, typed.encode())
        told = b""
        with suppress(OSError):  # how a terminal ends
            while piece := os.read(outer, 65536):
                told += piece
        os.close(outer)
        return started.ended().status, told.decode()

    def lines(self, out: Path | None = None) -> list[dict[str, Any]]:
        """All whole lines of an output."""
        text = (out or self.out).read_bytes()
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith(b"\n")]

    def rows(self, out: Path | None = None) -> list[dict[str, Any]]:
        """The row lines of an output."""
        return [line for line in self.lines(out) if line["status"] not in {"run", "totals"}]

    def by_id(self, out: Path | None = None) -> dict[str, dict[str, Any]]:
        """The last row line of each id."""
        return {row["id"]: row for row in self.rows(out)}

    def recorded(self, out: Path | None = None) -> int:
        """How many row lines stand in an output by now."""
        path = out or self.out
        if not path.exists():
            return 0
        lines = path.read_bytes().splitlines(keepends=True)
        return sum(line.endswith(b"\n") and b'"status":"run"' not in line[:40] for line in lines)

    def totals(self, out: Path | None = None) -> dict[str, Any]:
        """What the totals line at the end of an output tells."""
        last = self.lines(out)[-1]
        assert last["status"] == "totals"
        return dict(last["totals"])

    def end_all(self) -> None:
        """Leave no process behind."""
        for started in self._started:
            with suppress(ProcessLookupError):
                started.process.kill()
            started.process.wait()
            for stream in (started.process.stdout, started.process.stderr, started.process.stdin):
                if stream is not None:
                    stream.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A folder of its own."""
    place = Place(tmp_path)
    yield place
    place.end_all()


def lies_between(books: Books, job: Mapping[str, Any]) -> bool:
    """True when the gateway's bill lies between what a job's totals call spent, and that with what may have been billed."""
    spent, owed = job["tokens"], job["maybe_billed"]
    return all(spent[name] <= billed <= spent[name] + owed[name] for name, billed in books.billed.items())
