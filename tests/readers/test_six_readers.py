"""People read an output with what they have. Odd values stand at the very end, where a guessed schema meets them last."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from batch_runner.admission import Ceiling
from batch_runner.failures import FailureKind
from batch_runner.output.lines import Run, row_line, run_line, totals_line
from batch_runner.records import UNTOLD_USAGE, Attempt, Bill, Result, Status, Usage
from batch_runner.totals import Totals

pytestmark = pytest.mark.readers

AT = "2026-01-01T00:00:00.000Z"
ORDINARY = 60_000
OWED = Usage(100, 0, 65_536, 0, 65_636)
ANSWER = "晚上好！ \"quoted\" \\ \u2028 😀 {'a': 1}"
BODY = '{"id":"chatcmpl-1","n":123456789012345678901234567890,"s":"\\ud83d"}'
EXTRA = '{"label":"猫","score":0.5,"tags":["a",1,null]}'
PAGE = "<html>\n<title>502</title>\n</html>"

LATE: dict[str, dict[str, object]] = {
    "refused slowly": {"status": "failed", "failure": "rate_limited", "message": "slow down 慢", "http_status": 429},
    "cut off": {"status": "unfinished", "failure": "connection_lost", "message": "reset by peer", "http_status": None},
    "capped": {"status": "truncated", "max_completion_tokens": 1688, "cost_usd": 0.25, "extra": EXTRA},
    "broken": {"status": "failed", "failure": "server_error", "message": "HTTP 502", "http_status": 502, "body": PAGE},
    "no row": {"status": "invalid", "failure": "invalid_line", "message": "not JSON", "input": "{"},
    "last": {"status": "ok", "answer": ANSWER, "body": BODY, "latency_s": 3599.999},
}
"""The last rows, and what a reader must find in each."""

MESSAGES = [str(facts["message"]) for facts in LATE.values() if facts["status"] == "failed"]
LINES = 1 + ORDINARY + len(LATE) + 1


def an_ordinary_row(number: int) -> Result:
    usage = Usage(number % 97, 0, number % 89, number % 13, number % 97 + number % 89)
    return Result(
        f"row-{number}",
        Status.OK,
        f"v1:{number:032x}",
        f"prompts.jsonl:{number + 1}",
        AT,
        "20260101T000000Z-abcdef",
        model="o1-mini",
        bill=Bill(usage),
        answer="晚上好",
        finish_reason="stop",
        http_status=200,
        model_answered="gpt-4o-2024-05-13",
        request_id="req_1",
        usage=usage,
        attempts=(Attempt(AT, 1.5, "ok"),),
        latency_s=1.5,
        body='{"id":"chatcmpl-1"}',
    )


def late_rows() -> Iterator[Result]:
    told = {name: {**facts} for name, facts in LATE.items()}
    common = {"fingerprint": "v1:" + "ab" * 16, "source": "more.jsonl:1", "finished_at": AT, "run_id": "r"}
    odd: dict[str, dict[str, object]] = {
        "refused slowly": {"usage": UNTOLD_USAGE, "attempts": (Attempt(AT, 0.1, "rate_limited", 40),)},
        "cut off": {"usage": UNTOLD_USAGE, "bill": Bill(maybe_billed=OWED), "model": "o1"},
        "capped": {"other_bills": {"o1": Bill(OWED)}, "usage": Usage(1, None, 2, None, 3), "model": "o1-mini"},
        "broken": {"usage": UNTOLD_USAGE},
        "no row": {"attempts": ()},
        "last": {"attempts": (Attempt(AT, 1.0, "timeout", 2), Attempt(AT, 2.0, "ok")), "usage": OWED},
    }
    for name, facts in told.items():
        fields = {**common, **facts, **odd[name]}
        fields["status"] = Status(str(fields["status"]))
        fields["extra"] = json.loads(str(fields.get("extra", "{}")))
        fields["failure"] = FailureKind(str(fields["failure"])) if "failure" in fields else None
        yield Result(id=name, **fields)  # type: ignore[arg-type]  # by name


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output of 60,000 ordinary rows, with everything odd in the last lines."""
    path = tmp_path_factory.mktemp("readers") / "out.results.jsonl"
    run = Run(
        "r", AT, "api.example.com", "batch-runner 1", settings={"model": "o1"}, inputs=("a.jsonl",), ceiling=Ceiling(1, 2, 3)
    )
    totals = Totals(attempts=ORDINARY + 45, wall_ms=1500)
    totals.failures["rate_limited"] = 1
    totals.answered("o1-mini", "gpt-4o", 1.5, usage_known=True)
    with path.open("wb") as out:
        out.write(run_line(run, Totals()))
        out.writelines(row_line(an_ordinary_row(number)) for number in range(ORDINARY))
        out.writelines(row_line(result) for result in late_rows())
        out.write(totals_line("r", AT, totals, totals))
    return path


def assert_right(rows: list[dict[str, object]]) -> None:
    """The last rows as a reader gave them are what was written."""
    by_name = {str(row["id"]): row for row in rows}
    for name, facts in LATE.items():
        found = by_name[name]
        assert {key: found[key] for key in facts} == facts, name
    totals = rows[-1]["totals"]
    assert isinstance(totals, dict)
    assert totals["job"]["attempts"] == ORDINARY + 45
    assert json.loads(totals["job"]["by_kind"]) == {"rate_limited": 1}


def test_pandas_reads_it_right(output: Path) -> None:
    import pandas as pd

    frame = pd.read_json(output, lines=True)
    late = frame.tail(len(LATE) + 1).astype(object)

    assert len(frame) == LINES
    assert list(frame[frame.status == "failed"].message) == MESSAGES
    assert_right([{key: None if value != value else value for key, value in row.items()} for row in late.to_dict("records")])  # noqa: PLR0124 - NaN


def test_polars_reads_it_right(output: Path) -> None:
    import polars as pl

    frame = pl.read_ndjson(output)

    assert len(frame) == LINES
    assert frame.filter(pl.col("status") == "failed")["message"].to_list() == MESSAGES
    assert_right(frame.tail(len(LATE) + 1).to_dicts())


def test_duckdb_reads_it_right(output: Path) -> None:
    import duckdb

    table = duckdb.read_json(str(output))
    failed = table.filter("status = 'failed'").project("message").fetchall()
    late = table.limit(LINES, offset=1 + ORDINARY)

    assert table.count("*").fetchall() == [(LINES,)]
    assert [message for (message,) in failed] == MESSAGES
    assert_right([dict(zip(late.columns, row, strict=True)) for row in late.fetchall()])


def test_pyarrow_reads_it_right(output: Path) -> None:
    from pyarrow import json as arrow

    rows = arrow.read_json(output).to_pylist()

    assert len(rows) == LINES
    assert [row["message"] for row in rows if row["status"] == "failed"] == MESSAGES
    assert_right(rows)


def test_datasets_reads_it_right(output: Path, tmp_path: Path) -> None:
    import datasets

    rows = datasets.load_dataset("json", data_files=str(output), split="train", cache_dir=str(tmp_path))

    assert len(rows) == LINES
    assert [message for message, status in zip(rows["message"], rows["status"], strict=True) if status == "failed"] == MESSAGES
    assert_right([rows[number] for number in range(1 + ORDINARY, LINES)])


def test_jq_reads_it_right(output: Path) -> None:
    import jq

    text = output.read_text(encoding="utf-8")
    failed = jq.compile('select(.status == "failed") | .message').input_text(text).all()
    rows = jq.compile(".").input_text(text).all()

    assert len(rows) == LINES
    assert failed == MESSAGES
    assert_right(rows)
