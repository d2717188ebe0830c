"""Who is told of a run, with real servers that are there, slow, or dead."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from batch_runner import CannotStart, run_file_sync
from batch_runner.fake_server import Canned, Fault, Fixed, Latency, Scenario
from tests.end_to_end.conftest import KEY, until
from tests.end_to_end.test_upkeep import here

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.end_to_end.conftest import Ended, Place, ServedHere, Servers

SECRET = "s3cr3t-uuid"


class Box:
    """A server that keeps what it is sent."""

    def __init__(self, servers: Servers, *, status: int = 200, seconds: float = 0.0) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self._status = status
        self._seconds = seconds
        self.url = servers.by_hand(self._handle) + f"/{SECRET}"

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.got.append((request.path.removeprefix(f"/{SECRET}"), dict(request.query), await request.read()))
        await asyncio.sleep(self._seconds)
        return web.Response(status=self._status)

    @property
    def paths(self) -> list[str]:
        """In the order they came."""
        return [path for path, _, _ in self.got]


@pytest.fixture
def box(servers: Servers) -> Box:
    return Box(servers)


def run(place: Place, gateway: ServedHere, *more: str | Path) -> Ended:
    return here(place, "run", place.prompts, "--endpoint", gateway.url, *more)


def test_a_ping_is_told_of_start_and_end_as_a_pair_with_the_summary(place: Place, gateway: ServedHere, box: Box) -> None:
    place.write_questions(3)

    end = run(place, gateway, "--ping", box.url)

    assert (end.status, box.paths) == (0, ["/start", ""])
    assert len({query["rid"] for _, query, _ in box.got}) == 1
    assert b"3 rows: 3 ok" in box.got[1][2]


def test_a_ping_is_told_how_a_run_failed(place: Place, servers: Servers, box: Box) -> None:
    place.write_questions(3)
    gateway = servers.gateway(Scenario(faults=(Fault(Canned("insufficient_quota")),)))

    end = run(place, gateway, "--ping", box.url, "-q")

    assert (end.status, box.paths) == (4, ["/start", "/4"])
    assert b"quota_exhausted" in box.got[1][2]


def test_an_end_that_is_called_fine_is_a_success_for_all_who_are_told(place: Place, servers: Servers, box: Box) -> None:
    place.write_questions(3)
    gateway = servers.gateway(Scenario(faults=(Fault(Canned("insufficient_quota")),)))
    hooks = ("--on-success", f"touch {place.folder}/good", "--on-failure", f"touch {place.folder}/bad")

    end = run(place, gateway, "--ping", box.url, "--fine", "4,5", "--metrics", "m.prom", *hooks)

    assert (end.status, box.paths) == (4, ["/start", ""])
    assert b"quota_exhausted" in box.got[1][2]
    assert [(place.folder / name).exists() for name in ("good", "bad")] == [True, False]
    assert "batch_runner_last_success_timestamp_seconds" in (place.folder / "m.prom").read_text()
    assert here(place, "run", "x.jsonl", "--fine", "5,twelve").status == 2


def test_a_ping_is_told_of_a_run_that_could_not_begin(place: Place, box: Box) -> None:
    end = here(place, "run", "gone.jsonl", "--endpoint", "fake", "--ping", box.url)

    assert (end.status, box.paths) == (3, ["/3"])
    assert b"gone.jsonl" in box.got[0][2]


def test_a_second_run_that_finds_the_output_held_tells_nobody(place: Place, servers: Servers, box: Box) -> None:
    place.write_questions(2)
    gateway = servers.gateway(Scenario(latency=Latency(seconds=Fixed(60))))
    first = place.start("run", place.prompts, "--endpoint", gateway.url)
    until(lambda: gateway.books(rows=False).open >= 2)

    second = run(place, gateway, "--ping", box.url, "--after", f"touch {place.folder}/after")
    first.kill()

    assert (second.status, box.got) == (75, [])
    assert not (place.folder / "after").exists()


def test_a_run_that_is_told_to_leave_says_so(place: Place, servers: Servers, box: Box) -> None:
    place.write_questions(2)
    gateway = servers.gateway(Scenario(latency=Latency(seconds=Fixed(60))))
    started = place.start("run", place.prompts, "--endpoint", gateway.url, "--ping", box.url, "--drain-timeout", "1s")
    until(lambda: gateway.books(rows=False).open >= 2)

    started.signal(signal.SIGTERM)

    assert started.ended().status == 143
    assert box.paths == ["/start", "/143"]


def test_a_webhook_gets_what_json_prints(place: Place, gateway: ServedHere, box: Box) -> None:
    place.write_questions(3)

    end = run(place, gateway, "--webhook", box.url, "--json", "-q")

    ((_, _, body),) = box.got
    document = json.loads(body)
    assert document["summary"] | {"pilot": None} == end.document  # which the command alone knows of
    assert (document["state"], document["name"]) == ("success", "prompts.results.jsonl")


def test_a_service_of_apprise_is_told(place: Place, gateway: ServedHere, box: Box) -> None:
    place.write_questions(3)

    end = run(place, gateway, "--notify", box.url.replace("http://", "json://"))

    ((_, _, body),) = box.got
    assert end.status == 0
    assert json.loads(body)["title"] == "prompts.results.jsonl: 3 rows ok"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(lambda servers: Box(servers, status=404).url, "HTTP 404", id="one that says no"),
        pytest.param(lambda servers: Box(servers, seconds=1.5).url, "no answer within", id="a slow one"),
        pytest.param(lambda _servers: f"http://127.0.0.1:9/{SECRET}", "no connection with 127.0.0.1:9", id="nobody there"),
    ],
)
def test_whoever_can_not_be_told_is_named_in_a_line_and_the_run_is_what_it_is(
    place: Place, servers: Servers, gateway: ServedHere, make: Callable[[Servers], str], why: str
) -> None:
    place.write_questions(2)
    url = make(servers)

    end = run(place, gateway, "--ping", url, "--webhook", url, "--notify-timeout", "0.5s")

    told = [line for line in end.err.splitlines() if why in line]
    assert end.status == 0
    assert [line.split()[0] for line in told][-2:] == ["--ping", "--webhook"]
    assert SECRET not in end.err


def test_what_is_secret_in_an_address_stands_nowhere(place: Place, gateway: ServedHere, servers: Servers) -> None:
    place.write_questions(2)
    url = Box(servers, status=500).url
    secrets = ["--ping", url, f"--webhook={url}", "--notify", url.replace("http://", "json://"), "--notify-timeout", "0.5s"]

    end = run(place, gateway, *secrets, "--json", "--log", "run.log", "--summary", "s.md", "--log-level", "debug")

    everything = end.out + end.err + "".join(path.read_text() for path in place.folder.iterdir() if path.is_file())
    assert end.status == 0
    assert SECRET not in everything
    assert "***" in end.err


def test_an_address_can_stand_in_a_file_or_in_the_environment(place: Place, gateway: ServedHere, box: Box) -> None:
    place.write_questions(2)
    (place.folder / "ping.url").write_text(box.url + "\n", encoding="utf-8")

    place.run("run", place.prompts, "--endpoint", gateway.url, "--ping", "@ping.url", env={"BATCH_RUNNER_WEBHOOK": box.url})

    assert sorted(box.paths) == ["", "", "/start"]


def test_a_wrong_address_is_refused_without_repeating_it(place: Place) -> None:
    end = here(place, "run", "x.jsonl", "--ping", f"htps:/{SECRET}")

    assert end.status == 2
    assert "https://" in end.err
    assert SECRET not in end.err


def test_commands_are_run_by_how_it_ended(place: Place, servers: Servers) -> None:
    place.write_questions(2)
    gateway = servers.gateway()
    note = f"sh -c 'echo $0 $BATCH_RUN_EXIT_STATUS $BATCH_RUN_ROWS_OK >> {place.folder}/notes'"
    hooks = [part for name in ("before", "on-success", "on-failure", "after") for part in (f"--{name}", f"{note} {name}")]

    good = run(place, gateway, *hooks)
    gateway.plays(Scenario(faults=(Fault(Canned("insufficient_quota")),)))
    bad = run(place, gateway, *hooks, "-o", "other.jsonl")

    assert (good.status, bad.status) == (0, 4)
    assert (place.folder / "notes").read_text().splitlines() == [
        "before",
        "on-success 0 2",
        "after 0 2",
        "before",
        "on-failure 4 0",
        "after 4 0",
    ]


def test_a_command_before_that_fails_keeps_the_run_from_beginning_and_that_is_told(
    place: Place, gateway: ServedHere, box: Box
) -> None:
    place.write_questions(2)

    end = run(place, gateway, "--before", "false", "--ping", box.url)

    assert (end.status, box.paths, gateway.books().requests) == (3, ["/3"], 0)
    assert "--before false: ended with exit status 1; nothing was sent" in end.err


def test_a_command_after_that_fails_changes_nothing(place: Place, gateway: ServedHere) -> None:
    place.write_questions(2)

    end = run(place, gateway, "--after", "no-such-command x", "--on-success", "sleep 60", "--command-timeout", "0.2s")

    assert end.status == 0
    assert "--after no-such-command: can't be run: No such file or directory" in end.err
    assert "--on-success sleep: took longer than 0.2 s and was ended" in end.err


def test_a_command_before_can_make_the_input_and_one_after_can_use_the_output(place: Place, gateway: ServedHere) -> None:
    make = f"""sh -c 'echo "{{\\"prompt\\": \\"made\\"}}" > {place.prompts}'"""
    use = "sh -c 'flock -n $BATCH_RUN_OUT.lock cp $BATCH_RUN_OUT used.jsonl'"

    end = run(place, gateway, "--before", make, "--on-success", use)

    assert end.status == 0, end.err
    assert (place.folder / "used.jsonl").read_bytes() == place.out.read_bytes()


def test_a_signal_cuts_the_telling_short_and_the_exit_status_stays(place: Place, gateway: ServedHere) -> None:
    place.write_questions(2)
    started = place.start(
        "run", place.prompts, "--endpoint", gateway.url, "--after", f"sh -c 'touch {place.folder}/at-it; sleep 60'"
    )
    until((place.folder / "at-it").exists)

    started.signal(signal.SIGINT)
    end = started.ended()

    assert end.status == 0
    assert "told to leave: not everybody was told how it ended" in end.err


def test_metrics_and_summary_are_files_of_the_last_run(place: Place, servers: Servers) -> None:
    place.write_questions(2)
    gateway = servers.gateway()
    files = ("--metrics", "node/m.prom", "--summary", "morning.md")

    run(place, gateway, *files)
    good = (place.folder / "node/m.prom").read_text()
    gateway.plays(Scenario(faults=(Fault(Canned("insufficient_quota")),)))
    run(place, gateway, *files, "--fresh")
    bad = (place.folder / "node/m.prom").read_text()

    success = [line for line in good.splitlines() if line.startswith("batch_runner_last_success")]
    assert success == [line for line in bad.splitlines() if line.startswith("batch_runner_last_success")]
    assert 'batch_runner_rows{name="prompts.results.jsonl",status="ok"} 2.0' in good
    assert 'batch_runner_rows{name="prompts.results.jsonl",status="ok"} 0.0' in bad
    assert (place.folder / "morning.md").read_text().startswith("# prompts.results.jsonl: 2 of 2 rows not ok (exit status 4)")


def test_a_log_on_standard_error_is_nothing_but_events(place: Place, gateway: ServedHere) -> None:
    place.write_questions(2)

    end = run(place, gateway, "--log", "-", "--log-format", "json", "--ping", "http://127.0.0.1:9/x", "--notify-timeout", "0.2s")

    events = [json.loads(line) for line in end.err.splitlines()]
    assert [event["event"] for event in events] == ["notice_failed", "run_started", "run_ended", "notice_failed"]
    assert KEY not in end.err


def test_not_even_a_fault_of_ours_makes_a_good_run_a_bad_one(
    place: Place, gateway: ServedHere, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write_questions(2)
    monkeypatch.setattr("batch_runner.notices.announcer.write_summary", _faulty)
    first = run(place, gateway, "--summary", "s.md", "--ping", box.url)
    monkeypatch.setattr("batch_runner.notices.ping.end_url", _faulty)
    second = run(place, gateway, "--ping", box.url)

    assert (first.status, second.status) == (0, 0)
    assert box.paths == ["/start", "", "/start"]
    assert "--summary s.md: 'out of order'" in first.err
    assert "a fault in batch-runner kept others from being told (KeyError: 'out of order')" in second.err


def _faulty(*_arguments: object) -> str:
    raise KeyError("out of order")


def test_no_run_is_lost_for_a_log_that_can_not_be_opened(place: Place, gateway: ServedHere) -> None:
    place.write_questions(2)

    end = run(place, gateway, "--log", place.folder)

    assert end.status == 0
    assert f"--log {place.folder}: can't be written: Is a directory; the run goes on without it" in end.err


def test_a_log_tells_why_a_run_did_not_begin(place: Place) -> None:
    here(place, "run", "gone.jsonl", "--endpoint", "fake", "--log", "run.log", "--log-format", "json")

    (event,) = map(json.loads, (place.folder / "run.log").read_text().splitlines())
    assert (event["event"], event["exit_status"]) == ("run_refused", 3)


def test_a_program_has_the_same_told(place: Place, gateway: ServedHere, box: Box, caplog: pytest.LogCaptureFixture) -> None:
    place.write_questions(2)
    hook = ["sh", "-c", f"echo $BATCH_RUN_EXIT_STATUS > {place.folder}/note"]

    run_file_sync(
        place.prompts, endpoint=gateway.url, ping=box.url, after=hook, webhook="http://127.0.0.1:9/x", notify_timeout=0.2
    )
    with pytest.raises(CannotStart):
        run_file_sync(place.folder / "gone.jsonl", endpoint="fake", ping=box.url)

    assert box.paths == ["/start", "", "/3"]
    assert (place.folder / "note").read_text() == "0\n"
    assert "--webhook http://127.0.0.1:9/***" in caplog.text


def test_a_later_retry_tells_nobody_unless_asked(place: Place, servers: Servers, box: Box) -> None:
    place.write_questions(1)
    gateway = servers.gateway(Scenario(faults=(Fault(Canned("context_length_exceeded")),)))
    run(place, gateway, "--ping", box.url, "--after", f"touch {place.folder}/after")
    (place.folder / "after").unlink()

    here(place, "retry", place.out)

    assert box.paths == ["/start", "/10"]
    assert not (place.folder / "after").exists()
