import json
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from batch_runner.advice import ADVICE
from batch_runner.exits import ExitStatus
from batch_runner.failures import FailureKind
from batch_runner.pricing import Price, Prices, Rates
from batch_runner.progress import RunReport
from batch_runner.records import Bill, Status, Usage
from batch_runner.reporters.summary import next_command, standing_in_words, summary_document, summary_lines
from batch_runner.spending import CapReached
from batch_runner.totals import UNATTEMPTED, Totals

OUTPUT = Path("/data/my out.jsonl")
COMMAND = ["batch-runner", "run", "my in.jsonl"]


def a_report(status: ExitStatus = ExitStatus.OK, why: str = "", **rows: int) -> RunReport:
    job = Totals(rows=Counter(rows), attempts=5)
    failures = Counter({FailureKind.TIMEOUT.value: rows["failed"]}) if "failed" in rows else Counter[str]()
    run = Totals(rows=Counter(rows), attempts=5, wall_ms=60_000, failures=failures)
    for totals in (job, run):
        totals.bill("o1", Bill(Usage(1000, 100, 3000, 2000, 4000)))
        totals.answered("o1", "gpt-4o", 2.0, usage_known=False)
    return RunReport(job, run, status, why, OUTPUT, "r", {"timeout": "no answer within 600 s"})


def told(report: RunReport) -> str:
    return "\n".join(summary_lines(report, COMMAND, "my out.jsonl"))


def test_the_summary_tells_rows_tokens_pace_and_what_to_do_next() -> None:
    text = told(a_report(ok=3))

    assert "3 rows: 3 ok" in text
    assert "1,000 prompt (100 cached), 3,000 completion (2,000 reasoning)" in text
    assert "1 row came without a usage" in text
    assert "3 rows/min" in text
    assert "1 request to o1" in text
    assert "answered by gpt-4o" in text
    assert text.splitlines()[-1] == "next     batch-runner status 'my out.jsonl'"


def test_the_cost_is_told_with_whose_prices_it_is_made_of() -> None:
    report = a_report(ok=3)
    mine = replace(report, prices=Prices({"o1": Price(Rates(Decimal(0), Decimal(0), Decimal(1000)))}, source="mine.toml"))

    assert "cost     at least $0.194, $0.0648 for each answered row (list-price equivalent, genai-prices" in told(report)
    assert "cost     at least $3.00" in told(mine)
    cost = summary_document(report, COMMAND, OUTPUT)["cost"]["run"]
    assert (cost["usd"], cost["maybe_billed_usd"], cost["at_least"], cost["unpriced"]) == (0.19425, 0.0, True, [])
    assert cost["usd_per_answered_row"] == 0.19425 / 3


def test_an_unknown_price_is_never_told_as_nothing() -> None:
    report = a_report(ok=3)
    report.run.bill("nobody's", Bill(Usage(10, 0, 10, 0, 20)))
    only = a_report(ok=1)
    only.run.bills = {f"model {number}": Bill(Usage(1, 0, 1, 0, 2)) for number in range(7)}

    assert "besides nobody's, whose price isn't known: --prices FILE gives one" in told(report)
    assert summary_document(report, COMMAND, OUTPUT)["cost"]["run"]["usd"] is None
    assert "cost     unknown: no price of model 0, model 1, model 2, model 3, model 4 and 2 more, --prices" in told(only)


def test_what_killed_runs_and_lost_answers_may_have_cost_is_told() -> None:
    report = a_report(ok=3)
    report.totals.unclosed = Usage(0, 0, 2_000_000, 0, 2_000_000)
    report.run.bill("o1", Bill(maybe_billed=Usage(0, 0, 1_000_000, 0, 1_000_000)))

    assert "up to $60.00 more for answers that never came" in told(report)
    assert "all runs at least $0.194" in told(report)
    assert "up to $120.00 more that killed runs left open, at the price of the dearest model asked" in told(report)


def test_all_runs_of_an_output_are_told_where_this_one_is_not_all() -> None:
    report = a_report(ok=3)
    assert "all runs" not in told(report)
    report.totals.attempts += 10
    report.totals.bill("o1", Bill(Usage(0, 0, 1_000_000, 0, 1_000_000)))

    assert "all runs at least $60.19" in told(report)


def test_what_is_left_is_projected_from_what_was_answered() -> None:
    report = a_report(ExitStatus.INTERRUPTED, ok=2, unattempted=10, unfinished=2)

    assert "about $1.17 for the other 12 rows, if they cost as much" in told(report)
    assert "for the other" not in told(a_report(ok=3))


def test_failures_are_told_with_an_example_and_advice() -> None:
    text = told(a_report(ExitStatus.ROWS_NOT_OK, ok=3, failed=2))

    assert "2 timeout: no answer within 600 s" in text
    assert ADVICE[FailureKind.TIMEOUT] in text


def test_why_a_run_ended_stands_first() -> None:
    assert told(a_report(ExitStatus.STOPPED_BY_SERVICE, "invalid_key: no", unattempted=3)).startswith("invalid_key: no\n")


def test_what_may_have_been_billed_is_told() -> None:
    report = a_report(ok=1)
    report.run.bill("o1", Bill(maybe_billed=Usage(500, 0, 65_536, 0, 66_036)))

    assert "at most 500 prompt, 65,536 completion" in told(report)


@pytest.mark.parametrize(
    ("status", "rows", "command"),
    [
        pytest.param(ExitStatus.OK, {"ok": 3}, ["batch-runner", "status", "out"], id="all ok"),
        pytest.param(ExitStatus.ROWS_NOT_OK, {"ok": 3, "failed": 1}, ["batch-runner", "retry", "out"], id="failed"),
        pytest.param(ExitStatus.ROWS_NOT_OK, {"unfinished": 1}, ["batch-runner", "retry", "out"], id="unfinished"),
        pytest.param(ExitStatus.OK, {"ok": 99, "failed": 1}, ["batch-runner", "retry", "out"], id="few failed"),
        pytest.param(ExitStatus.ROWS_NOT_OK, {"ok": 3, "refused": 1}, ["batch-runner", "status", "out"], id="refused"),
        pytest.param(ExitStatus.ROWS_NOT_OK, {"ok": 3, "invalid": 1}, COMMAND, id="lines to be fixed"),
        pytest.param(ExitStatus.STOPPED_BY_SERVICE, {"ok": 3, "failed": 1}, COMMAND, id="stopped"),
        pytest.param(ExitStatus.INTERRUPTED, {"ok": 3, "unfinished": 1}, COMMAND, id="interrupted"),
        pytest.param(ExitStatus.ROWS_NOT_OK, {"ok": 3, UNATTEMPTED: 1}, COMMAND, id="rows left"),
    ],
)
def test_the_end_names_the_one_command_that_makes_sense_now(status: ExitStatus, rows: dict[str, int], command: list[str]) -> None:
    assert next_command(a_report(status, "", **rows), COMMAND, "out") == command


def test_rows_whose_cap_was_too_small_are_sent_again_with_a_larger_one() -> None:
    command = next_command(a_report(ExitStatus.ROWS_NOT_OK, ok=3, truncated=1), COMMAND, "out")

    assert command[:6] == ["batch-runner", "retry", "out", "--only", "truncated", "--max-completion-tokens"]
    assert int(command[6]) >= 4096


def at_a_cap(flag: str, limit: str, used: str, asked: str, **rows: int) -> RunReport:
    cap = CapReached(flag, Decimal(limit), Decimal(used), Decimal(asked), in_dollars=flag == "--max-cost")
    return replace(a_report(ExitStatus.SPEND_CAP, str(cap), **rows), cap=cap)


@pytest.mark.parametrize(
    ("flags", "amounts", "more"),
    [
        (("--max-cost", "5"), ("5", "4.9", "0.2"), "10"),
        (("--max-cost", "$0.5"), ("0.5", "0.4", "0.2"), "1"),
        (("--max-cost", "$1_000"), ("1000", "999", "2"), "2000"),
        (("--max-cost", "0.0001"), ("0.0001", "0", "0.29"), "0.32"),
        (("--max-total-tokens", "3000"), ("3000", "2900", "513"), "6000"),
        (("--max-total-tokens", "10k"), ("10000", "8986", "1158"), "20000"),
        (("--max-total-tokens", "10"), ("10", "0", "65600"), "72160"),
    ],
)
def test_after_a_cap_the_same_command_has_a_cap_that_goes_on(
    flags: tuple[str, str], amounts: tuple[str, str, str], more: str
) -> None:
    report = at_a_cap(flags[0], *amounts, ok=3, unattempted=3)

    assert next_command(report, [*COMMAND, *flags], "out") == [*COMMAND, flags[0], more]


@pytest.mark.parametrize(
    ("called", "again"),
    [
        (["job", "run", "x.toml"], ["job", "run", "x.toml", "--max-cost", "0.1"]),
        (["run", "--max-cost=0.05", "x"], ["run", "--max-cost=0.1", "x"]),
        (["run", "--", "-x"], ["run", "--max-cost", "0.1", "--", "-x"]),
    ],
)
def test_a_cap_said_elsewhere_or_otherwise_is_raised_too(called: list[str], again: list[str]) -> None:
    report = at_a_cap("--max-cost", "0.05", "0.0319", "0.0182", ok=3, unattempted=3)

    assert next_command(report, called, "out") == again


def test_a_budget_of_a_job_is_raised_in_its_file_alone() -> None:
    report = at_a_cap("max_cost_per_night", "5", "4.9", "0.2", ok=3, unattempted=3)

    assert next_command(report, ["job", "run", "x.toml"], "out") == ["job", "run", "x.toml"]


def test_where_only_larger_answers_were_left_to_buy_a_retry_goes_on() -> None:
    report = at_a_cap("--max-total-tokens", "3000", "2900", "513", ok=3, truncated=3)

    assert next_command(report, [*COMMAND, "--max-total-tokens", "3000"], "out") == [
        "batch-runner", "retry", "out", "--only", "truncated", "--max-total-tokens", "6000",
    ]  # fmt: skip


def test_a_status_that_no_row_has_is_not_told() -> None:
    job = Totals(rows=Counter({Status.OK: 35, Status.TRUNCATED: 1, Status.INVALID: 1, UNATTEMPTED: 0}))

    assert standing_in_words(job) == "37 rows: 35 ok, 1 truncated, 1 invalid"
    assert standing_in_words(Totals()) == "no rows"


def test_the_document_says_the_same_for_a_program() -> None:
    document = json.loads(orjson.dumps(summary_document(a_report(ExitStatus.ROWS_NOT_OK, ok=3, failed=2), COMMAND, OUTPUT)))

    assert (document["schema"], document["exit_status"], document["output"], document["run_id"]) == (1, 10, str(OUTPUT), "r")
    assert document["rows"] == {**dict.fromkeys(document["rows"], 0), "ok": 3, "failed": 2}
    assert document["failures"] == [
        {"kind": "timeout", "rows": 2, "example": "no answer within 600 s", "advice": ADVICE[FailureKind.TIMEOUT]}
    ]
    assert document["next"] == "batch-runner retry '/data/my out.jsonl'"


def test_there_is_advice_for_every_kind_of_failure() -> None:
    assert set(ADVICE) == set(FailureKind)
