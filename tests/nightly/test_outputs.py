from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest

from batch_runner.nightly.outputs import Begun, Outputs, glance
from batch_runner.output.lines import Run, run_line, totals_line
from batch_runner.totals import Totals

if TYPE_CHECKING:
    from pathlib import Path

AT = "2026-11-24T21:00:00.000Z"


def made(path: Path, *lines: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(lines))
    return path


def begun(job: str = "nightly", at: str = AT) -> bytes:
    return run_line(Run("r1", at, "api.example.com", job=job), Totals())


def ended(**rows: int) -> bytes:
    totals = Totals(rows=Counter(rows))
    return totals_line("r1", AT, totals, totals)


def test_each_night_has_an_output_with_its_date(tmp_path: Path) -> None:
    outputs = Outputs(f"{tmp_path}/results/{{date}}/nightly-{{date}}.jsonl")

    assert outputs.dated
    assert outputs.on(date(2026, 11, 24)) == tmp_path / "results/2026-11-24/nightly-2026-11-24.jsonl"
    assert outputs.home == tmp_path / "results"


def test_an_output_without_a_date_is_every_nights(tmp_path: Path) -> None:
    outputs = Outputs(f"{tmp_path}/results/all.jsonl")

    assert not outputs.dated
    assert outputs.on(date(2026, 11, 24)) == tmp_path / "results/all.jsonl"
    assert outputs.home == tmp_path / "results"
    assert list(outputs.nights()) == []


def test_a_date_in_the_name_of_a_file_leaves_its_folder_the_home(tmp_path: Path) -> None:
    assert Outputs(f"{tmp_path}/night-{{date}}.jsonl").home == tmp_path


def test_the_nights_that_are_there_are_told_the_latest_first(tmp_path: Path) -> None:
    outputs = Outputs(f"{tmp_path}/[a]/{{date}}/x-{{date}}.jsonl")
    for name in ("2026-11-22/x-2026-11-22", "2026-11-24/x-2026-11-24", "2026-11-24/x-2026-11-23", "2026-13-01/x-2026-13-01"):
        made(tmp_path / "[a]" / f"{name}.jsonl")

    assert [day.isoformat() for day, _ in outputs.nights()] == ["2026-11-24", "2026-11-22"]


@pytest.mark.parametrize(
    ("rows", "finished"),
    [
        pytest.param({"ok": 3}, True, id="all ok"),
        pytest.param({"ok": 3, "failed": 2, "invalid": 1}, True, id="some failed"),
        pytest.param({"ok": 3, "unfinished": 1}, False, id="a row without a last word"),
        pytest.param({"ok": 3, "unattempted": 1}, False, id="a row that was never sent"),
    ],
)
def test_an_output_is_finished_when_nothing_is_left_to_do(tmp_path: Path, rows: dict[str, int], *, finished: bool) -> None:
    path = made(tmp_path / "out.jsonl", begun(), ended(**rows))

    at = datetime(2026, 11, 24, 21, tzinfo=UTC).timestamp()
    assert glance(path) == Begun("nightly", at, finished, Totals(rows=Counter(rows)))


@pytest.mark.parametrize("end", [b"", b'{"id":"a","status":"ok"}\n', b'{"id":"","status":"to'], ids=["bare", "a row", "torn"])
def test_an_output_whose_run_was_killed_is_not_finished(tmp_path: Path, end: bytes) -> None:
    found = glance(made(tmp_path / "out.jsonl", begun(), end))

    assert found is not None
    assert (found.finished, found.spent) == (False, None)


@pytest.mark.parametrize("content", [None, b"", b"hello\n", b'{"prompt":"x"}\n', b"\xff\xff\n", b"[1]\n"])
def test_what_is_no_output_of_ours_is_none(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "out.jsonl"
    if content is not None:
        made(path, content)

    assert glance(path) is None
