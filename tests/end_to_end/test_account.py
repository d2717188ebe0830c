"""The key's account, asked by the commands and looked at by a run: it costs nothing, stops nothing and shows no key."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from click.testing import CliRunner

from batch_runner import CannotStart, run_file
from batch_runner.commands.main import cli
from batch_runner.endpoint import Endpoint
from batch_runner.exchange import MOST_BYTES
from batch_runner.fake_server import Account, Scenario
from batch_runner.inquiry import Account as Told
from batch_runner.inquiry import look
from batch_runner.leaving import Waits
from batch_runner.transport import HttpTransport
from tests.end_to_end.conftest import KEY, until
from tests.end_to_end.test_on_the_wire import REPLY

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.end_to_end.conftest import Place, Servers

DIALECTS = ("openai", "one-api", "new-api")
TOKEN_USAGE = {"code": True, "data": {"total_granted": 9, "total_used": 4, "total_available": 5, "unlimited_quota": False}}

ODD: dict[str, Callable[[], web.Response]] = {
    "a page": lambda: web.Response(text="<!DOCTYPE html><title>Welcome</title>", content_type="text/html"),
    "nothing there": lambda: web.Response(status=404, text="404 page not found"),
    "an error": lambda: web.json_response({"error": {"message": "oops", "type": "server_error"}}, status=500),
    "an error in a success": lambda: web.json_response({"error": {"message": "record not found", "type": "new_api_error"}}),
    "no JSON": lambda: web.Response(body=b'{"data": ["\xff'),
    "no list": lambda: web.json_response({"data": {"o1": True, "total_granted": None}, "hard_limit_usd": []}),
    "too many calls": lambda: web.Response(status=429),
    "another place": lambda: web.Response(status=302, headers={"Location": "http://localhost:9/login"}),
    "too much": lambda: web.Response(body=b"[" + b"0," * (MOST_BYTES // 2) + b"0]"),
}


@dataclass(frozen=True)
class Asked:
    """How a command ended that ran in the test's own process."""

    status: int
    out: str
    err: str


def asked(*words: str) -> Asked:
    """Run a command that sends no row."""
    result = CliRunner().invoke(cli, words, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    assert KEY not in result.output
    return Asked(result.return_value, result.stdout, result.stderr)


class Gateway:
    """Answers rows as it should and everything else as told, and keeps what it was asked."""

    def __init__(self, tell: Callable[[], web.Response] | dict[str, Any]) -> None:
        self._tell = tell
        self.asked: list[str] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        if request.method == "POST":
            return web.Response(text=REPLY, content_type="application/json")
        if callable(self._tell):
            return self._tell()
        told = self._tell.get(request.path)
        return web.Response(status=404) if told is None else web.json_response(told)


class Silent:
    """Never answers anybody, however long they stay."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.method)
        while request.transport is not None:
            await asyncio.sleep(0.01)
        return web.Response()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_models_of_every_dialect_are_listed(servers: Servers, dialect: Any) -> None:
    gateway = servers.gateway(Scenario(dialect=dialect, models=("o1", "o1-mini", "gpt-4o")))

    end = asked("models", "O1", "--endpoint", gateway.url)
    document = json.loads(asked("models", "--endpoint", gateway.url, "--json", "-m", "gpt-5").out)

    assert end.status == 0
    assert end.out.splitlines() == ["   o1", "*  o1-mini"]
    assert end.err == "2 of 3 models with 'O1' in the name at 127.0.0.1; o1-mini is among them\n"
    assert [model["id"] for model in document["models"]] == ["gpt-4o", "o1", "o1-mini"]
    assert (document["schema"], document["count"], document["listed"], document["nearest"]) == (1, 3, False, ["gpt-4o"])
    assert gateway.books().requests == 0


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_quota_of_every_dialect_is_told(servers: Servers, dialect: Any) -> None:
    gateway = servers.gateway(Scenario(dialect=dialect, account=Account(granted_usd=2.0)))

    end = asked("quota", "--endpoint", gateway.url)
    document = json.loads(asked("quota", "--endpoint", gateway.url, "--json").out)

    assert end.status == 0
    assert "left     1,000,000 units (about 2 USD)" in end.out
    assert (document["schema"], document["unit"], document["left"], document["route"]) == (
        1,
        "quota",
        1_000_000,
        "/api/usage/token/",
    )


def test_a_gateway_that_is_tired_of_its_own_route_still_tells_its_bill(servers: Servers) -> None:
    gateway = servers.gateway(Scenario(dialect="new-api", account=Account(granted_usd=2.0)))
    for _ in range(20):
        asked("quota", "--endpoint", gateway.url, "--json")

    document = json.loads(asked("quota", "--endpoint", gateway.url, "--json").out)

    assert (document["route"], document["unit"], document["left"]) == ("/v1/dashboard/billing", "as_counted", 2)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("command", ["models", "quota"])
def test_a_dead_key_ends_with_4_its_cause_and_the_next_step(servers: Servers, dialect: Any, command: str) -> None:
    gateway = servers.gateway(Scenario(dialect=dialect, keys=("sk-another-4711",)))

    end = asked(command, "--endpoint", gateway.url)
    document = json.loads(asked(command, "--endpoint", gateway.url, "--json").out)

    assert end.status == document["exit_status"] == 4
    assert "127.0.0.1 refuses the key: " in end.err
    assert "set another one" in end.err
    assert (document["schema"], document["failure"]["kind"]) == (1, "invalid_key")


@pytest.mark.parametrize("command", ["models", "quota"])
def test_a_service_of_this_machine_that_wants_a_key_and_got_none_is_told_with_where_to_say_it(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    gateway = servers.gateway(Scenario(dialect="new-api", keys=("sk-another-4711",)))
    monkeypatch.setenv("BATCH_RUNNER_API_KEY", "")

    end = asked(command, "--endpoint", gateway.url)

    assert end.status == 4
    assert "no key was sent: set BATCH_RUNNER_API_KEY (or name another variable with --api-key-env" in end.err


@pytest.mark.parametrize("command", ["models", "quota"])
def test_without_a_key_nobody_is_asked(command: str) -> None:
    with pytest.raises(CannotStart, match="set OPENAI_API_KEY"):
        asked(command, "--endpoint", "openai")


@pytest.mark.parametrize("command", ["models", "quota"])
def test_the_embedded_endpoint_answers_without_a_key(command: str) -> None:
    assert asked(command, "--endpoint", "fake").status == 0


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_answer_ends_the_commands_with_4_and_one_line(servers: Servers, odd: str) -> None:
    url = f"{servers.by_hand(Gateway(ODD[odd]))}/v1"

    ends = [asked(command, "--endpoint", url) for command in ("models", "quota")]

    assert [end.status for end in ends] == [4, 4]
    assert [end.err.count("\n") for end in ends] == [1, 1], ends
    assert [end.out for end in ends] == ["", ""]


@pytest.mark.parametrize("odd", ["a page", "an error in a success", "another place", "too much"])
def test_an_odd_answer_keeps_no_row_from_being_sent_and_is_not_told(place: Place, servers: Servers, odd: str) -> None:
    gateway = Gateway(ODD[odd])
    place.write_questions(1)

    looked = place.run("run", place.prompts, "--preflight", "--endpoint", f"{servers.by_hand(gateway)}/v1", "--max-tokens", "9")

    assert looked.status == 0, looked.err
    assert gateway.asked.count("POST /v1/chat/completions") == 1
    assert len(looked.err.splitlines()) == 1 + len(SUMMARY), looked.err
    assert KEY not in looked.err + looked.out


SUMMARY = ("1 row: 1 ok", "tokens", "cost", "time", "model", "output", "next")


def test_a_service_that_never_answers_is_waited_for_as_long_as_told(servers: Servers) -> None:
    url = f"{servers.by_hand(Silent())}/v1"

    ends = [asked(command, "--endpoint", url, "--timeout", "0.05") for command in ("models", "quota")]

    assert [end.status for end in ends] == [4, 4]
    assert all("a longer --timeout waits longer" in end.err for end in ends)


async def test_a_look_at_a_service_that_never_answers_ends_in_time(servers: Servers) -> None:
    endpoint = Endpoint(f"{servers.by_hand(Silent())}/v1", "127.0.0.1", KEY)

    async with HttpTransport(endpoint, timeout=5, sends=Waits()) as asker:
        assert await look(asker, endpoint, seconds=0.05) == Told()


async def test_a_key_is_never_fetched_with_from_another_host(servers: Servers) -> None:
    endpoint = Endpoint(f"{servers.by_hand(Gateway({}))}/v1", "127.0.0.1", KEY)

    async with HttpTransport(endpoint, timeout=5, sends=Waits()) as asker:
        with pytest.raises(AssertionError, match="a key stays"):
            await asker.get("http://localhost:9/v1/models")


@pytest.mark.parametrize("more", [(), ("--strict",)])
def test_a_model_that_is_not_listed_is_told_before_the_first_row_and_stops_nothing(
    place: Place, servers: Servers, more: tuple[str, ...]
) -> None:
    gateway = Gateway({"/v1/models": {"data": [{"id": "o3-mini"}, {"id": "gpt-4o"}]}})
    place.write_questions(1)

    end = place.run("run", place.prompts, "--preflight", "--endpoint", f"{servers.by_hand(gateway)}/v1", *more)

    assert end.status == 0
    assert "127.0.0.1 doesn't list o1-mini for this key (2 models; nearest: o3-mini)\n" in end.err
    assert end.err.index("doesn't list") < end.err.index("1 row: 1 ok")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_gateways_difference_stands_beside_our_tokens(place: Place, servers: Servers, dialect: Any) -> None:
    gateway = servers.gateway(Scenario(dialect=dialect, account=Account(granted_usd=2.0, cached_price=1.10)))
    place.write_questions(3)

    end = place.run("run", place.prompts, "--preflight", "--endpoint", gateway.url, "--max-completion-tokens", "4096", "--json")

    billed = gateway.books().billed
    spent = (billed["prompt_tokens"] * 1.10 + billed["completion_tokens"] * 4.40) / 2
    account = end.document["account"]
    assert gateway.books().requests == 3
    assert account["used_before"] == 0
    assert account["difference"] == account["left_before"] - account["left_after"] == pytest.approx(spent, abs=1)
    assert f"gateway  {account['difference']:,} units" in end.err
    assert "left on this key: 1,000,000 units (about 2 USD)" in end.err
    assert end.err.index("left on this key") < end.err.index("3 rows: 3 ok")


def test_a_run_asks_once_before_and_once_after(place: Place, servers: Servers) -> None:
    gateway = Gateway({"/v1/models": {"data": [{"id": "o1-mini"}]}, "/api/usage/token/": TOKEN_USAGE})
    place.write_questions(2)
    url = f"{servers.by_hand(gateway)}/v1"

    first = place.run("run", place.prompts, "--preflight", "--endpoint", url)
    asked_first = list(gateway.asked)
    place.run("run", place.prompts, "--preflight", "--endpoint", url)

    assert "as much left as before" in first.err
    assert sorted(asked_first[:2]) == ["GET /api/usage/token/", "GET /v1/models"]
    assert asked_first[2:] == ["POST /v1/chat/completions"] * 2 + ["GET /api/usage/token/"]
    assert gateway.asked == asked_first, "nothing to send, nothing to ask"


@pytest.mark.parametrize(
    ("more", "env"),
    [
        ((), {"BATCH_RUNNER_PREFLIGHT": "0"}),
        (("--no-preflight",), {"BATCH_RUNNER_PREFLIGHT": "1"}),
        (("--preflight", "-q"), {}),
        (("--preflight",), {"BATCH_RUNNER_API_KEY": ""}),
    ],
)
def test_nobody_looks_where_it_is_not_asked_to_or_unheard_or_free(
    place: Place, servers: Servers, more: tuple[str, ...], env: dict[str, str]
) -> None:
    gateway = Gateway({"/v1/models": {"data": []}, "/api/usage/token/": TOKEN_USAGE})
    place.write_questions(1)

    end = place.run("run", place.prompts, "--endpoint", f"{servers.by_hand(gateway)}/v1", *more, env=env)

    assert end.status == 0, end.err
    assert gateway.asked == ["POST /v1/chat/completions"]


@pytest.mark.parametrize("more", [(), ("--preflight",)])
def test_a_run_looks_by_itself(place: Place, servers: Servers, more: tuple[str, ...]) -> None:
    gateway = Gateway({"/v1/models": {"data": [{"id": "o1-mini"}]}, "/api/usage/token/": TOKEN_USAGE})
    place.write_questions(1)
    by_default = ("env", "-u", "BATCH_RUNNER_PREFLIGHT")

    end = place.start("run", place.prompts, "--endpoint", f"{servers.by_hand(gateway)}/v1", *more, under=by_default).ended()

    assert end.status == 0, end.err
    assert sorted(gateway.asked[:2]) == ["GET /api/usage/token/", "GET /v1/models"]


@pytest.mark.parametrize(
    ("granted", "said"),
    [
        (0.0001, r"this run needs 0\.0044\d* USD at least, more than is left\n"),
        (0.5, r"this run may need 0\.0044\d* to 0\.8844\d* USD, more than is left\n"),
        (500.0, r"this run may need 0\.0044\d* to 0\.8844\d* USD\n"),
    ],
)
def test_a_quota_below_the_estimate_is_said_before_anything_is_spent(
    place: Place, servers: Servers, granted: float, said: str
) -> None:
    gateway = servers.gateway(Scenario(dialect="new-api", account=Account(granted_usd=granted)))
    place.write([{"prompt": "x" * 4000} for _ in range(4)])

    end = place.run("run", place.prompts, "--preflight", "--endpoint", gateway.url, "--max-completion-tokens", "50000", "-c", "1")

    assert re.search(said, end.err), end.err
    assert end.err.index("left on this key") < end.err.index("4 rows: ", 10)


async def test_a_program_that_asks_to_look_is_told_in_its_report(place: Place, servers: Servers) -> None:
    gateway = servers.gateway(Scenario(dialect="new-api", account=Account(granted_usd=2.0, cached_price=1.10)))
    place.write_questions(2)

    report = await run_file(place.prompts, endpoint=gateway.url, preflight=True, max_completion_tokens=4096)

    assert report.quotas is not None
    assert report.quotas[0].left == 1_000_000
    assert report.quotas[1].left is not None
    assert report.quotas[1].left < report.quotas[0].left
    assert any("left on this key" in note for note in report.notes)


async def test_a_program_asks_for_itself(place: Place, servers: Servers) -> None:
    gateway = Gateway({"/v1/models": {"data": []}})
    place.write_questions(1)

    await run_file(place.prompts, endpoint=f"{servers.by_hand(gateway)}/v1")

    assert gateway.asked == ["POST /v1/chat/completions"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_during_the_look_leaves_at_once_and_nothing_was_sent(
    place: Place, servers: Servers, number: signal.Signals, status: int
) -> None:
    silent = Silent()
    place.write_questions(1)
    started = place.start("run", place.prompts, "--preflight", "--endpoint", f"{servers.by_hand(silent)}/v1")
    until(lambda: len(silent.asked) == 2, what="both questions")

    started.signal(number)
    end = started.ended(seconds=4)

    assert end.status == status
    assert "nothing was sent" in end.err
    assert "Traceback" not in end.err
    assert silent.asked == ["GET", "GET"]
    assert not place.out.exists() or place.rows() == []


def test_whoever_leaves_is_not_held_up_by_a_second_look(place: Place, servers: Servers) -> None:
    gateway = Gateway({"/v1/models": {"data": []}, "/api/usage/token/": TOKEN_USAGE})
    told = threading.Event()

    async def hold(request: web.Request) -> web.StreamResponse:
        answer = await gateway(request)
        while request.method == "POST" and not told.is_set():
            await asyncio.sleep(0.01)
        return answer

    place.write_questions(2)
    started = place.start("run", place.prompts, "--preflight", "-c", "1", "--endpoint", f"{servers.by_hand(hold)}/v1")
    until(lambda: "POST /v1/chat/completions" in gateway.asked, what="the first row")

    started.signal(signal.SIGINT)
    heard = started.process.stderr
    assert heard is not None
    until(lambda: b"leaving" in heard.readline(), what="its answer")
    told.set()
    end = started.ended()

    assert end.status == 130, end.err
    assert gateway.asked.count("GET /api/usage/token/") == 1
    assert len(place.rows()) == 1
