from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from batch_runner.exits import ExitStatus
from batch_runner.nightly.diary import Diary, Entry, entry_of, refused_entry
from batch_runner.progress import RunReport
from batch_runner.records import Bill, Usage
from batch_runner.totals import UNATTEMPTED, Totals
from tests.notices.examples import a_report

AT = "2026-11-25T06:30:00.000Z"


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    return Diary(tmp_path / "nights" / "nightly.history.jsonl")


def an_entry(night: str, status: ExitStatus = ExitStatus.OK, **rows: Any) -> Entry:
    return entry_of(a_report(status, **(rows or {"ok": 30})), night, f"{night}T23:00:00.000Z", None, dated=True)


def test_a_night_tells_its_shares_tokens_cost_and_latency() -> None:
    entry = an_entry("2026-11-24", ExitStatus.ROWS_NOT_OK, ok=27, truncated=2, failed=1)

    assert (entry.judged, entry.answered) == (30, 29)
    assert (entry.ok_share, entry.truncated_share, entry.slow_down_share) == (0.9, 2 / 29, 0.25)
    assert entry.tokens_per_answer == 2000 / 29
    assert entry.models == {"o1-mini": 30}
    assert (entry.cost_usd or 0) > 0
    assert entry.complete


def test_a_line_is_read_as_it_was_written(diary: Diary) -> None:
    entry = replace(an_entry("2026-11-24", ok=29, truncated=1), drift=("odd",))

    diary.add(entry)

    assert Diary(diary.path)["2026-11-24"] == entry
    assert Diary(diary.path).entries == [entry]


def test_the_last_line_of_a_night_counts(diary: Diary) -> None:
    for status in (ExitStatus.STOPPED_BY_SERVICE, ExitStatus.OK):
        diary.add(an_entry("2026-11-24", status))

    assert len(diary.path.read_bytes().splitlines()) == 2
    assert [entry.exit_status for entry in Diary(diary.path).entries] == [0]


def test_nights_stand_in_their_order_and_those_before_one_can_be_asked_for(diary: Diary) -> None:
    for night in ("2026-11-24", "2026-11-22", "2026-11-23"):
        diary.add(an_entry(night))

    assert [entry.night for entry in Diary(diary.path).before("2026-11-24")] == ["2026-11-22", "2026-11-23"]
    diary.add(an_entry("2026-11-25", ExitStatus.SPEND_CAP))
    assert diary.last_good_end() == "2026-11-24T23:00:00.000Z"
    assert diary.last_good_end((5, 7)) == "2026-11-25T23:00:00.000Z"


@pytest.mark.parametrize(
    "damage", [b"", b'{"night":', b"\n\nnonsense\n", b'{"schema":1}\n'], ids=["none", "torn", "odd", "short"]
)
def test_what_can_not_be_read_is_passed_over_and_the_next_line_is_whole(diary: Diary, damage: bytes) -> None:
    diary.add(an_entry("2026-11-23"))
    diary.path.write_bytes(diary.path.read_bytes() + damage)

    again = Diary(diary.path)
    again.add(an_entry("2026-11-24"))

    assert [entry.night for entry in Diary(diary.path).entries] == ["2026-11-23", "2026-11-24"]


def a_part(**rows: Any) -> RunReport:
    """Of one run in an output that all nights share: what the whole output came to is more."""
    report = a_report(ExitStatus.OK, **rows)
    job = Totals().merge(report.run)
    job.bill("o1-mini", Bill(Usage(10**6, 0, 10**6, 0, 2 * 10**6)))
    job.rows[UNATTEMPTED] = 7
    return replace(report, totals=job)


def test_a_night_in_a_shared_output_is_what_its_own_runs_came_to() -> None:
    first = entry_of(a_part(ok=20), "2026-11-24", AT, None, dated=False)
    both = entry_of(a_part(ok=10), "2026-11-24", AT, first, dated=False)

    assert (both.judged, both.totals.attempts, both.totals.spent.total_tokens) == (30, 80, 6000)
    assert both.totals.rows[UNATTEMPTED] == 7
    assert first.totals.attempts == 40  # adding to it changed nothing in it


def test_a_run_that_could_not_begin_is_written_down_and_hides_nothing() -> None:
    fresh = refused_entry("2026-11-24", AT, ExitStatus.CANNOT_START, "no key", None)
    after = refused_entry("2026-11-24", AT, ExitStatus.CANNOT_START, "no key", an_entry("2026-11-24"))

    assert (fresh.exit_status, fresh.reason, fresh.judged, fresh.complete) == (3, "no key", 0, False)
    assert (after.exit_status, after.judged) == (3, 30)


def test_a_program_finds_the_numbers_by_name() -> None:
    line = orjson.loads(orjson.dumps(an_entry("2026-11-24", ok=29, truncated=1).as_json()))

    assert (line["night"], line["exit_status"], line["truncated_share"]) == ("2026-11-24", 0, 0.033333)
    assert 2.0 <= line["latency_p50_s"] <= 2.5
    assert line["totals"]["ok"] == 29
    assert line["models"] == {"o1-mini": 30}
