import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.admission import Ceiling
from batch_runner.failures import FailureKind
from batch_runner.output.lines import HEAD, Run, read_bills, read_past, read_result, read_run, row_line, run_line, totals_line
from batch_runner.records import UNTOLD_USAGE, Attempt, Bill, Result, Status, Usage
from batch_runner.totals import Totals

AT = "2026-01-01T00:00:00.000Z"
FIVE = ["prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "total_tokens"]
KEYS = [
    "id",
    "status",
    "fingerprint",
    "model",
    "max_completion_tokens",
    "spent",
    "maybe_billed",
    "spent_other",
    "cost_usd",
    "answer",
    "finish_reason",
    "failure",
    "message",
    "http_status",
    "model_answered",
    "request_id",
    "usage",
    "attempts",
    "latency_s",
    "source",
    "finished_at",
    "run_id",
    "extra",
    "input",
    "body",
]

counts = st.integers(0, 10**12)
usages = st.builds(Usage, counts, counts, counts, counts, counts)
told_usages = st.builds(Usage, *[st.none() | counts] * 5)
bills = st.builds(Bill, usages, usages).filter(bool)
fingerprints = st.binary(min_size=16, max_size=16).map(lambda data: f"v1:{data.hex()}")
attempts = st.builds(
    Attempt, st.just(AT), st.integers(0, 10**7).map(lambda milliseconds: milliseconds / 1000), st.text(), st.integers(1, 99)
)
seconds = st.integers(0, 10**7).map(lambda milliseconds: milliseconds / 1000)
own_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
results = st.builds(
    Result,
    id=st.text(),
    status=st.sampled_from(Status),
    fingerprint=fingerprints,
    source=st.text(),
    finished_at=st.just(AT),
    run_id=st.text(),
    model=st.text(),
    max_completion_tokens=st.none() | counts,
    bill=st.just(Bill()) | bills,
    other_bills=st.dictionaries(st.text(min_size=1), bills, max_size=3),
    cost_usd=st.none() | st.floats(0, 1e6),
    answer=st.text(),
    finish_reason=st.text(),
    failure=st.none() | st.sampled_from(FailureKind),
    message=st.text(),
    http_status=st.none() | st.integers(100, 599),
    model_answered=st.text(),
    request_id=st.text(),
    usage=told_usages,
    attempts=st.lists(attempts, max_size=3).map(tuple),
    latency_s=st.none() | seconds,
    extra=st.dictionaries(st.text(), own_values, max_size=3),
    input=st.text(),
    body=st.text(),
)


def a_result(**changes: Any) -> Result:
    return Result("a", Status.OK, "v1:" + "ab" * 16, "in.jsonl:1", AT, "r", **changes)


def a_run(**changes: Any) -> Run:
    return Run("r", AT, "api.example.com", "batch-runner 1.0", "nightly", {"model": "o1"}, ("a.jsonl",), **changes)


def kinds_of(line: dict[str, Any]) -> dict[str, type]:
    return {key: type(value) for key, value in line.items()}


@given(result=results)
@settings(max_examples=150, deadline=None)
def test_a_result_comes_back_as_it_was_written(result: Result) -> None:
    written = row_line(result)
    others = {model: bill for model, bill in result.other_bills.items() if model != result.model}

    read = read_result(orjson.loads(written))

    if others == result.other_bills:
        assert read == result
    assert read.answer == result.answer
    assert written.endswith(b"\n")
    assert written.count(b"\n") == 1


def test_a_rows_own_fields_are_json_text_only_on_its_line() -> None:
    own = {"label": "好", "n": 2**70, "tree": [1.0, None]}

    line = orjson.loads(row_line(a_result(extra=own)))

    assert line["extra"] == '{"label":"好","n":1180591620717411303424,"tree":[1.0,null]}'
    assert read_result(line).extra == own


@given(result=results)
@settings(max_examples=100, deadline=None)
def test_the_head_of_a_line_tells_what_the_line_says(result: Result) -> None:
    head = HEAD.match(row_line(result))

    assert head is not None
    assert orjson.loads(b'"' + head[1] + b'"') == result.id
    assert head[2].decode() == result.status
    assert head[3].decode() == result.fingerprint


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(a_result(), id="least"),
        pytest.param(
            a_result(
                failure=FailureKind.TIMEOUT,
                message="no answer",
                usage=UNTOLD_USAGE,
                other_bills={"o1": Bill(Usage(1, 0, 2, 0, 3))},
                attempts=(Attempt(AT, 1.5, "timeout", 2),),
                cost_usd=0.25,
                max_completion_tokens=9,
                http_status=500,
                latency_s=1.0,
            ),
            id="most",
        ),
    ],
)
def test_every_row_line_has_the_same_keys_in_the_same_order(result: Result) -> None:
    line = json.loads(row_line(result))

    assert list(line) == KEYS
    assert [list(line[key]) for key in ("spent", "maybe_billed", "usage")] == [FIVE] * 3


def test_a_number_nobody_told_is_null_and_a_text_is_empty() -> None:
    line = json.loads(row_line(a_result()))

    assert [key for key in KEYS if line[key] is None] == ["max_completion_tokens", "cost_usd", "http_status", "latency_s"]
    assert line["usage"] == dict.fromkeys(FIVE)
    assert line["spent"] == line["maybe_billed"] == dict.fromkeys(FIVE, 0)
    assert (line["failure"], line["spent_other"], line["extra"]) == ("", "[]", "{}")


def test_the_run_line_types_the_file_so_nothing_in_it_is_null() -> None:
    line = json.loads(run_line(a_run(), Totals()))

    assert list(line) == [*KEYS, "run", "totals"]
    assert b"null" not in run_line(a_run(), Totals())
    assert [attempt["n"] for attempt in line["attempts"]] == [0]
    assert list(line["totals"]) == ["job", "run"]


def test_no_key_changes_its_type_between_lines() -> None:
    run = json.loads(run_line(a_run(), Totals()))
    totals = json.loads(totals_line("r", AT, Totals(attempts=3, wall_ms=1500), Totals()))
    row = json.loads(
        row_line(a_result(max_completion_tokens=9, cost_usd=0.5, http_status=200, latency_s=1.0, usage=Usage(1, 2, 3, 4, 5)))
    )

    assert kinds_of(row) == {key: type(run[key]) for key in KEYS}
    assert kinds_of(totals) == {key: type(run[key]) for key in [*KEYS, "totals"]}
    assert kinds_of(totals["totals"]["job"]) == kinds_of(run["totals"]["job"])


def test_bookkeeping_lines_are_told_by_their_head() -> None:
    run, totals = HEAD.match(run_line(a_run(), Totals())), HEAD.match(totals_line("r", AT, Totals(), Totals()))

    assert run is not None
    assert totals is not None
    assert (run[1], run[2], totals[1], totals[2]) == (b"", b"run", b"", b"totals")


def test_a_run_comes_back_as_it_was_written() -> None:
    run = a_run(ceiling=Ceiling(3, 400, 5000))

    assert read_run(json.loads(run_line(run, Totals()))) == run


def test_a_run_line_tells_where_the_job_stood() -> None:
    job = Totals(attempts=7)
    job.bill("o1", Bill(Usage(1, 0, 2, 1, 3)))

    line = json.loads(run_line(a_run(), job))

    assert Totals.from_json(line["totals"]["job"]) == job
    assert Totals.from_json(line["totals"]["run"]) == Totals()


def test_bills_are_told_by_the_model_that_was_asked() -> None:
    mine, other = Bill(Usage(1, 0, 2, 0, 3)), Bill(maybe_billed=Usage(5, 0, 6, 0, 11))

    line = json.loads(row_line(a_result(model="o1", bill=mine, other_bills={"o3": other})))

    assert read_bills(line) == {"o1": mine, "o3": other}


def test_a_row_that_cost_nothing_has_no_bills() -> None:
    assert read_bills(json.loads(row_line(a_result(model="o1")))) == {}


def test_a_line_hands_its_attempts_and_bills_on() -> None:
    tried = (Attempt(AT, 1.5, "timeout", 2), Attempt(AT, 0.25, "ok"))

    past = read_past(json.loads(row_line(a_result(model="o1", bill=Bill(Usage(1, 0, 2, 0, 3)), attempts=tried))))

    assert past.status is Status.OK
    assert past.attempts == tried
    assert past.bills == {"o1": Bill(Usage(1, 0, 2, 0, 3))}
