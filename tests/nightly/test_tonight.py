from __future__ import annotations

from collections import Counter
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

import pytest

from batch_runner.failures import CannotStart
from batch_runner.nightly.diary import Diary, Entry
from batch_runner.nightly.job_file import read_job
from batch_runner.nightly.tonight import Tonight, order_of, tonight
from batch_runner.output.heartbeat import heartbeat_path
from batch_runner.settings import Settings
from batch_runner.totals import Totals
from tests.nightly.test_outputs import begun, ended, made

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.intent import Order
    from batch_runner.nightly.job_file import Job


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def a_job(
    folder: Path, keys: str = "", inputs: str = 'inputs = "in/{date}.jsonl"', output: str = "results/{date}/x.jsonl"
) -> Job:
    path = folder / "nightly.toml"
    path.write_text(f'{inputs}\noutput = "{output}"\n[job]\nzone = "Europe/Berlin"\n{keys}\n', encoding="utf-8")
    return read_job(str(path))


def left(folder: Path, day: str, *, at: str, job: str = "nightly", **rows: Any) -> Path:
    """An output of an earlier night."""
    began = datetime.fromisoformat(at).astimezone().isoformat().replace("+00:00", "Z")
    return made(folder / f"results/{day}/x.jsonl", begun(job, began), *([ended(**rows)] if rows else []))


def ordered(night: Tonight) -> Order:
    return order_of(night, Settings(), None)


def test_inputs_and_output_carry_the_date_of_the_night(tmp_path: Path) -> None:
    night = tonight(a_job(tmp_path), moment("2026-11-25T01:00+01:00"))

    assert night.inputs == (f"{tmp_path}/in/2026-11-24.jsonl",)
    assert night.output == tmp_path / "results/2026-11-24/x.jsonl"
    assert night.lock == tmp_path / "results/nightly.job"
    assert not night.resumed


@pytest.mark.parametrize(
    ("keys", "now", "rows", "day", "resumed"),
    [
        pytest.param("", "2026-11-25T00:30+01:00", {}, "2026-11-24", False, id="after midnight it is the same night anyway"),
        pytest.param(
            'day_starts = "00:00"', "2026-11-25T00:30+01:00", {}, "2026-11-24", True, id="killed, started after midnight"
        ),
        pytest.param(
            'day_starts = "00:00"',
            "2026-11-25T00:30+01:00",
            {"ok": 1, "unattempted": 9},
            "2026-11-24",
            True,
            id="stopped half-way",
        ),
        pytest.param('day_starts = "00:00"', "2026-11-25T00:30+01:00", {"ok": 10}, "2026-11-25", False, id="finished"),
        pytest.param("", "2026-11-25T13:00+01:00", {}, "2026-11-24", True, id="killed, started after noon"),
        pytest.param("", "2026-11-25T22:00+01:00", {}, "2026-11-25", False, id="older than 18 h"),
        pytest.param('resume_within = "30h"', "2026-11-25T22:00+01:00", {}, "2026-11-24", True, id="resumed for longer"),
    ],
)
def test_an_unfinished_night_is_gone_on_with_first(
    tmp_path: Path, keys: str, now: str, rows: dict[str, Any], day: str, *, resumed: bool
) -> None:
    left(tmp_path, "2026-11-24", at="2026-11-24T22:00+01:00", **rows)

    night = tonight(a_job(tmp_path, keys), moment(now))

    assert (night.night.day.isoformat(), night.resumed) == (day, resumed)
    assert night.inputs == (f"{tmp_path}/in/{day}.jsonl",)


def test_a_night_that_has_begun_goes_before_an_earlier_one(tmp_path: Path) -> None:
    left(tmp_path, "2026-11-24", at="2026-11-24T22:00+01:00")
    left(tmp_path, "2026-11-25", at="2026-11-25T12:30+01:00")

    assert tonight(a_job(tmp_path), moment("2026-11-25T13:00+01:00")).night.day == date(2026, 11, 25)


def test_another_jobs_output_is_not_gone_on_with(tmp_path: Path) -> None:
    left(tmp_path, "2026-11-24", at="2026-11-24T22:00+01:00", job="another")

    assert not tonight(a_job(tmp_path), moment("2026-11-25T13:00+01:00")).resumed


def test_a_night_can_be_named(tmp_path: Path) -> None:
    left(tmp_path, "2026-11-24", at="2026-11-24T22:00+01:00")

    night = tonight(a_job(tmp_path), moment("2026-11-25T13:00+01:00"), date(2026, 11, 20))

    assert (night.night.day, night.resumed) == (date(2026, 11, 20), False)


def test_failed_rows_come_from_the_last_night_there_was(tmp_path: Path) -> None:
    earlier = left(tmp_path, "2026-11-20", at="2026-11-20T22:00+01:00", failed=1)
    left(tmp_path, "2026-11-25", at="2026-11-25T22:00+01:00", failed=1)
    job = a_job(tmp_path, 'retry_failed_from = "previous"')

    assert ordered(tonight(job, moment("2026-11-24T22:00+01:00"))).also_failed_in == earlier


def test_the_first_night_has_none_to_retry(tmp_path: Path) -> None:
    night = tonight(a_job(tmp_path, 'retry_failed_from = "previous"'), moment("2026-11-24T22:00+01:00"))

    assert ordered(night).also_failed_in is None


@pytest.mark.parametrize(
    ("which", "said"), [("previous", "there is no earlier night than 2026-11-24"), ("itself", "there is no such output yet")]
)
def test_a_job_of_failed_rows_alone_says_when_there_are_none_to_take(tmp_path: Path, which: str, said: str) -> None:
    night = tonight(a_job(tmp_path, f'retry_failed_from = "{which}"', inputs=""), moment("2026-11-24T22:00+01:00"))

    with pytest.raises(CannotStart, match=said):
        ordered(night)


def test_a_job_of_failed_rows_alone_takes_those_of_its_output(tmp_path: Path) -> None:
    path = left(tmp_path, "2026-11-24", at="2026-11-24T22:00+01:00", failed=1)
    night = tonight(a_job(tmp_path, 'retry_failed_from = "itself"', inputs=""), moment("2026-11-25T07:00+01:00"))

    order = ordered(night)

    assert (order.inputs, order.output) == (None, path)


@pytest.mark.parametrize(
    ("output", "since"),
    [("results/{date}/x.jsonl", None), ("results/all.jsonl", moment("2026-11-24T12:00+01:00"))],
)
def test_the_budget_of_a_night_counts_from_its_beginning(tmp_path: Path, output: str, since: Any) -> None:
    night = tonight(a_job(tmp_path, "max_cost_per_night = 5", output=output), moment("2026-11-25T01:00+01:00"))

    (cap,) = ordered(night).wider_caps

    assert (cap.name, cap.limit, cap.since) == ("max_cost_per_night", 5.0, since)


def test_the_budget_of_a_job_counts_what_its_other_nights_came_to(tmp_path: Path) -> None:
    for day in ("2026-11-22", "2026-11-23", "2026-11-24"):
        left(tmp_path, day, at=f"{day}T22:00+01:00", ok=7)

    (cap,) = ordered(tonight(a_job(tmp_path, "max_cost_per_job = 5"), moment("2026-11-25T01:00+01:00"))).wider_caps

    assert cap.name == "max_cost_per_job"
    assert cap.elsewhere is not None
    assert cap.elsewhere.rows["ok"] == 14


def test_nights_that_share_an_output_are_over_by_the_beginning_of_their_last_run(tmp_path: Path) -> None:
    out = made(tmp_path / "all.jsonl", begun(at="2026-11-20T21:00:00.000Z"))
    heartbeat_path(out).write_text('{"started": "2026-11-24T21:00:00.000Z"}', encoding="utf-8")
    now = moment("2026-11-25T06:31+01:00")

    night = tonight(a_job(tmp_path, output="all.jsonl"), now)

    assert night.over_since(time(6, 30), now) == moment("2026-11-25T06:30+01:00")


def test_the_budget_of_a_job_counts_nights_whose_outputs_are_gone_by_its_history(tmp_path: Path) -> None:
    night = tonight(a_job(tmp_path, "max_cost_per_job = 5"), moment("2026-11-25T01:00+01:00"))
    there = left(tmp_path, "2026-11-22", at="2026-11-22T22:00+01:00", ok=7)
    for day, output in (("2026-11-21", "/gone/x.jsonl"), ("2026-11-22", str(there))):
        Diary(night.diary).add(Entry(day, "2026-11-25T05:00:00.000Z", 0, output=output, totals=Totals(rows=Counter(ok=7))))

    (cap,) = ordered(night).wider_caps

    assert cap.elsewhere is not None
    assert cap.elsewhere.rows["ok"] == 14


def test_the_zone_is_the_machines_where_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    path = tmp_path / "nightly.toml"
    path.write_text('inputs = "a"\noutput = "{date}.jsonl"\n[job]\nday_starts = "00:00"\n', encoding="utf-8")

    assert tonight(read_job(str(path)), moment("2026-11-24T22:00+01:00")).night.day == date(2026, 11, 25)


@pytest.mark.parametrize(
    ("now", "rows", "over"),
    [
        pytest.param("2026-11-25T06:29+01:00", {}, None, id="still night"),
        pytest.param("2026-11-25T06:30+01:00", {}, "2026-11-25T06:30+01:00", id="killed in its last minute, and started again"),
        pytest.param("2026-11-25T07:29+01:00", {"ok": 1, "unattempted": 1}, "2026-11-25T06:30+01:00", id="stopped in time"),
        pytest.param("2026-11-25T07:30+01:00", {}, None, id="somebody goes on with it by day"),
        pytest.param("2026-11-25T06:31+01:00", {"ok": 2}, None, id="all is done"),
    ],
)
def test_a_night_that_is_over_is_not_gone_on_with_until_the_next_one_ends(
    tmp_path: Path, now: str, rows: dict[str, Any], over: str | None
) -> None:
    left(tmp_path, "2026-11-24", at="2026-11-24T22:00+01:00", **rows)
    night = tonight(a_job(tmp_path), moment(now))

    assert night.over_since(time(6, 30), moment(now)) == (None if over is None else moment(over))
    assert night.over_since(None, moment(now)) is None
