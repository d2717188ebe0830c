import os
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from batch_runner.exits import ExitStatus
from batch_runner.failures import Failure, FailureKind, Scope
from batch_runner.output.heartbeat import heartbeat_path
from batch_runner.output.journal import Stall
from batch_runner.pricing import Prices
from batch_runner.progress import RunReport, Snapshot
from batch_runner.records import Bill, Usage
from batch_runner.reporters.heartbeat import KEYS, Heartbeat
from batch_runner.totals import Totals


def a_snapshot(seconds: float, recorded: int = 2, *, draining: bool = False) -> Snapshot:
    return Snapshot(
        seconds=seconds,
        recorded=recorded,
        to_record=8,
        standing=Counter(ok=4),
        totals=Totals(attempts=3),
        in_flight=4,
        pause_left=1.26,
        outage_seconds=0.0,
        held_by="",
        trouble="",
        draining=draining,
    )


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def beat(output: Path) -> dict[str, Any]:
    told: dict[str, Any] = orjson.loads(heartbeat_path(output).read_bytes())
    return told


def test_it_stands_beside_the_output(output: Path) -> None:
    Heartbeat(output, Prices()).started("r", 8)

    assert [path.name for path in output.parent.iterdir()] == ["out.jsonl.status.json"]


def test_it_tells_who_is_at_work(output: Path) -> None:
    Heartbeat(output, Prices()).started("r", 8)

    told = beat(output)
    assert (told["schema"], told["pid"], told["run_id"], told["state"]) == (1, os.getpid(), "r", "running")
    assert (told["to_record"], told["recorded"]) == (8, 0)


def test_it_tells_how_far_the_run_is(output: Path) -> None:
    heartbeat = Heartbeat(output, Prices())
    heartbeat.started("r", 8)

    heartbeat.update(a_snapshot(30.0))
    heartbeat.settle()

    told = beat(output)
    assert (told["recorded"], told["in_flight"], told["pause_left_s"]) == (2, 4, 1.3)
    assert (told["rows_per_minute"], told["seconds_left"]) == (4.0, 90)
    assert (told["rows"]["ok"], told["totals"]["attempts"], told["run_id"]) == (4, 3, "r")


def test_it_is_written_every_two_seconds_at_most(output: Path) -> None:
    heartbeat = Heartbeat(output, Prices())
    heartbeat.started("r", 8)

    seen = list[int]()
    for number in range(10):
        heartbeat.update(a_snapshot(number / 2, recorded=number))
        heartbeat.settle()
        seen.append(beat(output)["recorded"])

    assert seen == [0, 0, 0, 0, 4, 4, 4, 4, 8, 8]


def test_it_tells_that_the_run_is_leaving(output: Path) -> None:
    heartbeat = Heartbeat(output, Prices())
    heartbeat.started("r", 8)

    heartbeat.update(a_snapshot(1.0, draining=True))
    heartbeat.settle()

    assert beat(output)["state"] == "draining"


def test_it_keeps_why_the_service_ended_the_run(output: Path) -> None:
    heartbeat = Heartbeat(output, Prices())
    heartbeat.started("r", 8)
    before = beat(output)

    heartbeat.stopping("invalid_key: no")
    heartbeat.update(a_snapshot(1.0, draining=True))
    heartbeat.settle()
    during = beat(output)
    heartbeat.ended(RunReport(Totals(), Totals(), ExitStatus.STOPPED_BY_SERVICE, "no key", output, run_id="r"))

    assert "stopping" not in before
    assert (during["state"], during["stopping"]) == ("draining", "invalid_key: no")
    assert (beat(output)["state"], beat(output)["stopping"]) == ("ended", "invalid_key: no")


def test_it_tells_how_the_run_ended(output: Path) -> None:
    heartbeat = Heartbeat(output, Prices())
    heartbeat.started("r", 8)

    heartbeat.ended(RunReport(Totals(), Totals(attempts=3), ExitStatus.STOPPED_BY_SERVICE, "no key", output, run_id="r"))

    told = beat(output)
    assert (told["state"], told["exit_status"], told["reason"]) == ("ended", 4, "no key")
    assert "in_flight" not in told


def test_a_run_that_had_nothing_to_send_says_so(output: Path) -> None:
    Heartbeat(output, Prices(), job="nightly").ended(RunReport(Totals(), Totals(), ExitStatus.OK, "nothing to send", output))

    told = beat(output)
    assert (told["state"], told["exit_status"], told["reason"], told["run_id"], told["job"]) == (
        "ended",
        0,
        "nothing to send",
        "",
        "nightly",
    )


def test_it_tells_when_the_run_will_be_over_what_it_costs_and_what_it_waits_for(output: Path) -> None:
    heartbeat = Heartbeat(output, Prices())
    heartbeat.started("r", 8)
    snapshot = a_snapshot(30.0)
    snapshot.totals.bill("o1-mini", Bill(Usage(1_000_000, 0, 1_000_000, 0, 2_000_000)))

    heartbeat.update(snapshot)
    heartbeat.settle()

    told = beat(output)
    assert told["eta"] > told["updated"]
    assert told["cost"]["usd"] > 0
    assert told["waiting_for"] == "pause"


def test_it_tells_the_last_attempt_that_failed(output: Path) -> None:
    heartbeat = Heartbeat(output, Prices())
    heartbeat.started("r", 8)
    heartbeat.attempt_failed("a\x1b[2J", Failure(FailureKind.SERVER_ERROR, Scope.ROW, "x" * 1000, http_status=500), 1.0, 1)

    heartbeat.update(a_snapshot(30.0))
    heartbeat.settle()

    error = beat(output)["last_error"]
    assert (error["row"], error["kind"], error["http_status"], len(error["message"])) == ("a\\x1b[2J", "server_error", 500, 300)


def test_it_tells_for_how_long_nothing_has_come_back(output: Path) -> None:
    heartbeat = Heartbeat(output, Prices(), timeout=60.0)
    heartbeat.started("r", 8)

    silences = []
    for seconds, recorded in ((10.0, 1), (70.0, 1), (140.0, 1), (150.0, 2)):
        heartbeat.update(a_snapshot(seconds, recorded))
        heartbeat.settle()
        silences.append(beat(output)["silent_s"])

    assert silences == [0.0, 60.0, 130.0, 0.0]
    assert beat(output)["timeout_s"] == 60.0


def test_every_key_it_writes_has_a_meaning(output: Path) -> None:
    heartbeat = Heartbeat(output, Prices())
    heartbeat.started("r", 8)
    heartbeat.stopping("no key")
    heartbeat.update(a_snapshot(30.0))
    heartbeat.settle()
    running = beat(output)
    heartbeat.ended(RunReport(Totals(), Totals(), ExitStatus.OK, "", output, run_id="r"))

    assert {*running, *beat(output)} == set(KEYS)


def test_one_that_can_not_be_written_stops_nothing(tmp_path: Path) -> None:
    heartbeat = Heartbeat(tmp_path / "gone" / "out.jsonl", Prices())

    heartbeat.started("r", 8)
    heartbeat.update(a_snapshot(1.0))
    heartbeat.settle()
    heartbeat.stopping("invalid_key: no")

    assert list(tmp_path.iterdir()) == []


def test_where_no_new_file_can_be_made_the_old_one_is_written_over(output: Path) -> None:
    heartbeat = Heartbeat(output, Prices())
    heartbeat.started("r", 8)
    heartbeat_path(output).with_name("out.jsonl.status.json.new").mkdir()  # in the way, as a full disk is

    heartbeat.update(a_snapshot(5.0))
    heartbeat.settle()

    assert beat(output)["recorded"] == 2


def test_a_slow_disk_skips_beats_and_holds_up_nobody(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    replaced = Path.replace

    def slowly(path: Path, target: Path) -> Path:
        go_on.wait(10)
        return replaced(path, target)

    heartbeat = Heartbeat(output, Prices())
    heartbeat.started("r", 8)
    monkeypatch.setattr(Path, "replace", slowly)

    heartbeat.update(a_snapshot(5.0, recorded=3))
    heartbeat.update(a_snapshot(9.0, recorded=4))
    during = beat(output)["recorded"]
    go_on.set()
    heartbeat.settle()

    assert (during, beat(output)["recorded"]) == (0, 3)


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        pytest.param({"pause_left": 0.0}, "", id="rows are sent"),
        pytest.param({"pause_left": 0.0, "in_flight": 0}, "turn", id="nothing is on its way"),
        pytest.param({"held_by": "--max-cost", "pause_left": 0.0}, "cap", id="a cap"),
        pytest.param({}, "pause", id="a pause"),
        pytest.param({"outage_seconds": 3.0}, "service", id="an outage"),
        pytest.param({"outage_seconds": 3.0, "draining": True}, "answers", id="leaving"),
        pytest.param({"draining": True, "stall": Stall("the disk is full", 3, 60.0)}, "space", id="the disk before all"),
    ],
)
def test_what_is_waited_for_has_one_word(changes: dict[str, Any], waits: str) -> None:
    assert replace(a_snapshot(30.0), **changes).waiting_for == waits
