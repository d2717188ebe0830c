"""Slow down, this row can't, this run can't: what each costs, as the service's own books tell."""

from __future__ import annotations

import socket
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from batch_runner import run_file
from batch_runner.fake_server import (
    BrokenGzip,
    Canned,
    Cut,
    Empty,
    Fault,
    Fixed,
    Hang,
    Html,
    Latency,
    Redirect,
    Scenario,
    Status,
    WrongLength,
)
from tests.end_to_end.conftest import KEY, lies_between

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Place, Served, Servers

CAP = 700
ANSWER = {
    "id": "chatcmpl-1",
    "model": "o1-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
}


def playing(servers: Servers, *faults: Fault, seconds: float = 0.005) -> Served:
    return servers.gateway(Scenario(faults=faults, latency=Latency(seconds=Fixed(seconds))))


def outcomes(row: dict[str, Any]) -> list[tuple[str, int]]:
    return [(attempt["outcome"], attempt["n"]) for attempt in row["attempts"]]


# Everyone slow down


async def test_retry_after_holds_everyone_back_and_costs_no_row_an_attempt(place: Place, servers: Servers) -> None:
    prompts = place.write_questions(12)
    limited = Fault(Canned("rate_limit_exceeded", headers={"retry-after": "1"}), first_request=5, last_request=8)
    gateway = playing(servers, limited)

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=4, max_attempts=1)

    books = gateway.books()
    times = sorted(at for prompt in prompts for at in books.times(prompt))
    assert report.exit_status == 0
    assert {row["status"] for row in place.rows()} == {"ok"}
    assert books.requests == 16
    assert max(later - earlier for earlier, later in pairwise(times)) >= 0.9
    assert sum(n for row in place.rows() for outcome, n in outcomes(row) if outcome == "rate_limited") == 4


async def test_a_wait_told_in_milliseconds_or_in_words_is_obeyed(place: Place, servers: Servers) -> None:
    place.write_questions(2)
    gateway = playing(
        servers,
        Fault(Canned("rate_limit_exceeded", headers={"retry-after-ms": "250"}), first_request=1, last_request=1),
        Fault(Canned("token_limit_exceeded"), first_request=2, last_request=2),  # try again in 1.574s
    )

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=1)

    times = sorted(at for prompt in ("question 0", "question 1") for at in gateway.books().times(prompt))
    assert report.exit_status == 0
    assert 0.25 <= times[1] - times[0] < 1.0
    assert 1.574 <= times[2] - times[1] < 2.3


@pytest.mark.parametrize("headers", [{"retry-after": "0"}, {"retry-after": "-5"}, {"retry-after-ms": "1"}], ids=str)
async def test_a_wait_of_nothing_is_not_taken_at_its_word(place: Place, servers: Servers, headers: dict[str, str]) -> None:
    place.write_questions(8)
    gateway = playing(servers, Fault(Canned("slow_down", headers=headers), until=0.8))

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=4)

    assert report.exit_status == 0
    assert gateway.books().requests <= 100


# This run can't


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("insufficient_quota", "quota_exhausted"),
        ("invalid_api_key", "invalid_key"),
        ("model_not_found", "model_not_found"),
        ("gateway_user_quota", "quota_exhausted"),
        ("gateway_invalid_token", "invalid_key"),
    ],
)
async def test_a_no_to_the_whole_run_stops_it_at_once_and_leaves_the_rest_unattempted(
    place: Place, servers: Servers, error: str, kind: str
) -> None:
    place.write_questions(200)
    gateway = playing(servers, Fault(Canned(error)))

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=4)

    assert report.exit_status == 4
    assert report.reason.startswith(kind)
    assert gateway.books().requests <= 8
    assert report.totals.rows["unattempted"] >= 192
    assert report.totals.rows["failed"] == 0
    assert not report.totals.spent


def test_a_dead_key_stops_with_one_line_and_the_same_command_goes_on_with_a_good_one(place: Place, servers: Servers) -> None:
    place.write_questions(30)
    gateway = servers.gateway(Scenario(keys=("sk-good-one-123",)))
    command = ("run", place.prompts, "--endpoint", gateway.url)

    dead = place.run(*command)
    alive = place.run(*command, env={"BATCH_RUNNER_API_KEY": "sk-good-one-123"})

    assert dead.status == 4
    assert dead.err.count("invalid_key") >= 1
    assert f"next     batch-runner run {place.prompts} --endpoint {gateway.url}" in dead.err
    assert alive.status == 0
    assert gateway.books().outcomes["ok"] == 30
    assert {row["status"] for row in place.rows()} == {"ok"}


@pytest.mark.parametrize("error", ["insufficient_quota", "invalid_api_key"])
async def test_money_or_a_key_that_ends_in_the_midst_of_a_run_stops_it_and_keeps_what_was_answered(
    place: Place, servers: Servers, error: str
) -> None:
    place.write_questions(300)
    gateway = playing(servers, Fault(Canned(error), first_request=21))

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=4)

    assert report.exit_status == 4
    assert report.totals.rows["ok"] == 20
    assert report.totals.rows["failed"] == 0
    before_the_streak = 3 * 4  # three answers may still be on their way, each after four refusals at most
    assert gateway.books().requests <= 20 + before_the_streak + 5 + 3
    assert lies_between(gateway.books(), place.totals()["job"])


@pytest.mark.parametrize("error", ["insufficient_quota", "gateway_user_quota"])
async def test_a_no_inside_a_200_is_a_no(place: Place, servers: Servers, error: str) -> None:
    place.write_questions(50)
    gateway = playing(servers, Fault(Canned(error, status=200)))

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=4)

    assert report.exit_status == 4
    assert report.totals.rows["ok"] == 0
    assert gateway.books().requests <= 8


async def test_a_web_page_where_an_api_should_be_stops_the_run(place: Place, servers: Servers) -> None:
    place.write_questions(50)
    gateway = playing(servers, Fault(Html(status=200, title="Welcome to nginx")))

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=4)

    assert report.exit_status == 4
    assert "Welcome to nginx" in report.reason
    assert gateway.books().requests <= 8


async def test_a_redirect_is_never_followed_and_the_key_never_reaches_the_other_host(place: Place, servers: Servers) -> None:
    place.write_questions(10)
    seen: list[str] = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("authorization", ""))
        return web.json_response(ANSWER)

    other = servers.by_hand(elsewhere).replace("127.0.0.1", "localhost")
    gateway = playing(servers, Fault(Redirect(to=f"{other}/v1/chat/completions"), at_door=True))

    report = await run_file(place.prompts, endpoint=gateway.url)

    assert report.exit_status == 4
    assert f"{other}/v1" in report.reason
    assert seen == []


async def test_when_nobody_is_there_the_run_ends_and_the_same_call_finishes_it_later(place: Place, servers: Servers) -> None:
    place.write_questions(5)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"

        report = await run_file(place.prompts, endpoint=nobody)
    gateway = servers.gateway()
    later = await run_file(place.prompts, endpoint=gateway.url)

    assert report.exit_status == 4
    assert report.reason.startswith("unreachable")
    assert not report.totals.maybe_billed
    assert later.exit_status == 0
    assert gateway.books().requests == 5


async def test_a_service_that_refuses_every_row_from_the_start_is_asked_no_further(place: Place, servers: Servers) -> None:
    place.write_questions(200)
    complaint = {"error": {"message": "no such field: stream", "type": "invalid_request_error"}}
    gateway = playing(servers, Fault(Status(400, complaint)))

    report = await run_file(place.prompts, endpoint=gateway.url, concurrency=4)

    assert report.exit_status == 4
    assert gateway.books().requests <= 20 + 4
    assert report.totals.rows["unattempted"] >= 170


# This row can't


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        ("context_length_exceeded", "failed", "context_too_long"),
        ("unprocessable", "failed", "bad_request"),
        ("invalid_prompt", "refused", "policy"),
        ("request_too_large_for_limit", "failed", "too_large"),
    ],
)
async def test_a_no_to_a_row_is_final_after_one_attempt_and_the_others_go_on(
    place: Place, servers: Servers, error: str, status: str, kind: str
) -> None:
    place.write([{"id": "a", "prompt": "one"}, {"id": "b", "prompt": "the culprit"}, {"id": "c", "prompt": "three"}])
    gateway = playing(servers, Fault(Canned(error), prompt="culprit"))

    report = await run_file(place.prompts, endpoint=gateway.url)

    assert report.exit_status == 10
    assert gateway.books().attempts == Counter(["one", "the culprit", "three"])
    row = place.by_id()["b"]
    assert (row["status"], row["failure"]) == (status, kind)
    assert row["message"]
    assert row["input"] == '{"id": "b", "prompt": "the culprit"}'
    assert not row["spent"]["total_tokens"]
    assert not row["maybe_billed"]["total_tokens"]


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(Canned("server_error"), id="500"),
        pytest.param(Canned("overloaded"), id="503"),
        pytest.param(Canned("server_error", status=200), id="an error inside a 200"),
        pytest.param(Html(status=502), id="a proxy's page"),
        pytest.param(Empty(500), id="500 and nothing more"),
    ],
)
async def test_a_passing_failure_is_tried_again_and_costs_nothing(place: Place, servers: Servers, action: Any) -> None:
    place.write([{"id": "a", "prompt": "one"}])
    gateway = playing(servers, Fault(action, attempts=(1,)))

    report = await run_file(place.prompts, endpoint=gateway.url)

    (row,) = place.rows()
    assert report.exit_status == 0
    assert gateway.books().attempts == Counter({"one": 2})
    assert [n for _, n in outcomes(row)] == [1, 1]
    assert not row["maybe_billed"]["total_tokens"]
    assert row["spent"]["total_tokens"] == gateway.books().billed["total_tokens"]


async def test_a_failing_service_is_tried_as_often_as_told(place: Place, servers: Servers) -> None:
    place.write([{"id": "a", "prompt": "the culprit"}, {"id": "b", "prompt": "two"}])
    gateway = playing(servers, Fault(Canned("server_error"), prompt="culprit"))

    report = await run_file(place.prompts, endpoint=gateway.url, max_attempts=3)

    row = place.by_id()["a"]
    assert report.exit_status == 10
    assert gateway.books().attempts == Counter({"the culprit": 3, "two": 1})
    assert (row["status"], row["failure"], row["http_status"]) == ("failed", "server_error", 500)
    assert outcomes(row) == [("server_error", 3)]


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        pytest.param(Cut(), "connection_lost", id="cut before the first byte"),
        pytest.param(Cut(inside=True), "connection_lost", id="cut inside the answer"),
        pytest.param(Cut(reset=True), "connection_lost", id="reset"),
        pytest.param(WrongLength(), "connection_lost", id="a length that isn't true"),
        pytest.param(BrokenGzip(), "connection_lost", id="broken gzip"),
        pytest.param(Hang(), "timeout", id="silence"),
        pytest.param(Hang(inside=True), "timeout", id="silence inside the answer"),
        pytest.param(Empty(200), "unreadable_reply", id="200 and nothing more"),
    ],
)
async def test_an_answer_that_is_lost_may_have_been_billed_and_is_bought_twice_at_most(
    place: Place, servers: Servers, action: Any, kind: str
) -> None:
    place.write([{"id": "a", "prompt": "one"}])
    gateway = playing(servers, Fault(action))

    report = await run_file(place.prompts, endpoint=gateway.url, max_completion_tokens=CAP, timeout=0.3, max_attempts=5)

    (row,) = place.rows()
    books = gateway.at_rest()
    assert report.exit_status == 10
    assert books.attempts == Counter({"one": 2})
    assert (row["status"], row["failure"]) == ("failed", kind)
    assert row["maybe_billed"]["completion_tokens"] == 2 * CAP
    assert row["spent"]["total_tokens"] == 0
    assert lies_between(books, place.totals()["job"])
    assert len(place.lines()) == 3


async def test_an_answer_lost_once_is_bought_again_and_both_stay_in_the_bill(place: Place, servers: Servers) -> None:
    place.write_questions(10)
    gateway = playing(servers, Fault(Cut(inside=True), attempts=(1,)))

    report = await run_file(place.prompts, endpoint=gateway.url, max_completion_tokens=CAP)

    assert report.exit_status == 0
    assert gateway.books().attempts == Counter({f"question {number}": 2 for number in range(10)})
    assert [row["maybe_billed"]["completion_tokens"] for row in place.rows()] == [CAP] * 10
    assert len(place.rows()) == 10
    assert lies_between(gateway.books(), place.totals()["job"])


# Keys and ways


def test_a_netrc_never_replaces_the_key(place: Place, servers: Servers) -> None:
    place.write_questions(1)
    seen: list[str | None] = []

    async def look(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("authorization"))
        return web.json_response(ANSWER)

    url = servers.by_hand(look)
    (place.folder / ".netrc").write_text("machine 127.0.0.1 login somebody password secret\n")
    (place.folder / ".netrc").chmod(0o600)

    with_key = place.run("run", place.prompts, "--endpoint", f"{url}/v1")
    without = place.run("run", place.prompts, "--endpoint", f"{url}/v1", "--fresh", env={"BATCH_RUNNER_API_KEY": ""})

    assert (with_key.status, without.status) == (0, 0)
    assert list(dict.fromkeys(seen)) == [f"Bearer {KEY}", None]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_a_proxy_named_in_the_environment_is_used(place: Place, servers: Servers, name: str) -> None:
    place.write_questions(1)
    seen: list[tuple[str, str]] = []

    async def pass_on(request: web.Request) -> web.StreamResponse:
        seen.append((request.host, request.path))
        return web.json_response(ANSWER)

    proxy = servers.by_hand(pass_on)

    end = place.run("run", place.prompts, "--endpoint", "http://gateway.invalid/v1", env={name: proxy})

    assert end.status == 0, end.err
    assert seen == [("gateway.invalid", "/v1/chat/completions")]


def test_no_proxy_is_obeyed(place: Place, servers: Servers, gateway: Served) -> None:
    place.write_questions(1)
    seen: list[str] = []

    async def pass_on(request: web.Request) -> web.StreamResponse:
        seen.append(request.path)
        return web.json_response(ANSWER)

    proxy = servers.by_hand(pass_on)

    end = place.run("run", place.prompts, "--endpoint", gateway.url, env={"HTTP_PROXY": proxy, "NO_PROXY": "127.0.0.1"})

    assert end.status == 0, end.err
    assert seen == []
    assert gateway.books().requests == 1
