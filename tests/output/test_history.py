from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from batch_runner.admission import Ceiling
from batch_runner.failures import FailureKind, OutputBusy
from batch_runner.output.history import History, hold
from batch_runner.output.lines import Run, row_line, run_line, totals_line
from batch_runner.records import NO_PAST, Attempt, Bill, Past, Result, Status, Usage
from batch_runner.totals import NOT_IN_INPUT, UNATTEMPTED, Totals

NONE = Ceiling()
AT = "2026-01-01T00:00:00.000Z"
TEN = Usage(10, 2, 5, 3, 15)
OWED = Usage(100, 0, 900, 0, 1000)


def a_run(run_id: str = "r1", endpoint: str = "api.example.com", job: Totals | None = None, ceiling: Ceiling = NONE) -> bytes:
    return run_line(Run(run_id, AT, endpoint, ceiling=ceiling), job or Totals())


def a_result(row_id: str, status: Status = Status.OK, **changes: Any) -> Result:
    facts: dict[str, Any] = {"model": "o1", "bill": Bill(TEN), "attempts": (Attempt(AT, 1.5, status),)} | changes
    return Result(row_id, status, "v1:" + "ab" * 16, "in.jsonl:1", AT, "r1", **facts)


def an_answer(row_id: str, **changes: Any) -> bytes:
    told: dict[str, Any] = {"http_status": 200, "latency_s": 1.5, "model_answered": "o1-2024", "usage": TEN} | changes
    return row_line(a_result(row_id, **told))


def written(folder: Path, *lines: bytes) -> Path:
    path = folder / "out.jsonl"
    path.write_bytes(b"".join(lines))
    return path


def damaged(line: bytes) -> bytes:
    """A line whose head and end are well, and whose inside isn't."""
    return line.replace(b'"answer":"', b'"answer":,"')


def rows_known(**rows: int) -> Totals:
    return Totals(rows=Counter(rows))


def some_totals() -> Totals:
    totals = Totals(attempts=4, wall_ms=2500)
    totals.bill("o1", Bill(TEN))
    return totals


def test_a_new_output_knows_nothing(tmp_path: Path) -> None:
    with History(tmp_path / "gone.jsonl") as history:
        assert history.past("a") is NO_PAST
        assert history.job_so_far(real=True) == Totals()


def test_a_rows_past_is_read_from_its_last_line(tmp_path: Path) -> None:
    first = row_line(a_result("a", Status.UNFINISHED))
    last = row_line(a_result("a", Status.FAILED, other_bills={"o3": Bill(maybe_billed=OWED)}))

    with History(written(tmp_path, a_run(), first, an_answer("b"), last)) as history:
        past = history.past("a")

    assert past.status is Status.FAILED
    assert past.bills == {"o1": Bill(TEN), "o3": Bill(maybe_billed=OWED)}
    assert past.attempts == (Attempt(AT, 1.5, "failed"),)


def test_the_line_behind_an_entry_is_found(tmp_path: Path) -> None:
    with History(written(tmp_path, a_run(), an_answer("a"), an_answer("b", answer="这里"))) as history:
        entry = history.index.lookup("b")
        assert entry is not None

        line = history.line_of(entry)
        assert line is not None
        assert line["answer"] == "这里"


def test_lines_of_any_length_are_read_by_several_threads_at_once(tmp_path: Path) -> None:
    answers = {f"r{number}": "long " * (number * 997 % 5000) for number in range(60)}
    path = written(tmp_path, a_run(), *(an_answer(name, answer=text) for name, text in answers.items()))

    with History(path) as history, ThreadPoolExecutor(8) as pool:
        entries = [history.index.lookup(name) for name in answers]
        lines = list(pool.map(history.line_of, [entry for entry in entries if entry is not None]))

    assert {line["id"]: line["answer"] for line in lines if line is not None} == answers


def test_a_made_up_run_after_a_real_one_counts_every_line(tmp_path: Path) -> None:
    lines = [a_run(endpoint="fake"), an_answer("a"), a_run("r2"), an_answer("b"), totals_line("r2", AT, some_totals(), Totals())]

    with History(written(tmp_path, *lines)) as history:
        assert (history.job_so_far(real=False).spent, history.job_so_far(real=True).spent) == (TEN + TEN, TEN)


def test_a_held_output_is_kept_from_others_and_cleared_of_remains(tmp_path: Path) -> None:
    path = written(tmp_path, a_run(), an_answer("a"))
    remains = path.with_name("out.jsonl.compacting")
    remains.write_bytes(b"half")

    with hold(path) as history:
        with pytest.raises(OutputBusy), hold(path):
            pass
        assert history.index.living() == {"ok": 1}
        assert not remains.exists()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        pytest.param(Status.FAILED, FailureKind.TIMEOUT, id="failed"),
        pytest.param(Status.UNFINISHED, FailureKind.INTERRUPTED, id="unfinished"),
        pytest.param(Status.OK, None, id="ok"),
    ],
)
def test_the_kind_of_a_failure_is_known(tmp_path: Path, status: Status, kind: FailureKind | None) -> None:
    with History(written(tmp_path, a_run(), row_line(a_result("a", status, failure=kind)))) as history:
        entry = history.index.lookup("a")
        assert entry is not None

        assert history.kind_of(entry) is kind


def test_a_run_that_ended_tells_what_the_job_came_to(tmp_path: Path) -> None:
    path = written(tmp_path, a_run(), an_answer("a"), totals_line("r1", AT, some_totals(), Totals()))

    with History(path) as history:
        assert history.job_so_far(real=True) == some_totals()


def test_a_run_that_was_killed_is_charged_up_to_its_ceiling(tmp_path: Path) -> None:
    path = written(tmp_path, a_run(ceiling=Ceiling(2, 300, 4000)), an_answer("a"), an_answer("b"))

    with History(path) as history:
        job = history.job_so_far(real=True)

    assert job.spent == TEN + TEN
    assert job.attempts == 2
    assert job.unclosed == Usage(300, 0, 4000, 0, 4300)
    assert job.maybe_billed == job.unclosed
    assert job.answered_as == {("o1", "o1-2024"): 2}
    assert job.usage_missing == 0


def test_of_the_ceilings_of_a_killed_run_the_last_counts(tmp_path: Path) -> None:
    path = written(tmp_path, a_run(ceiling=Ceiling(2, 300, 4000)), an_answer("a"), a_run(ceiling=Ceiling(4, 600, 8000)))

    with History(path) as history:
        assert history.job_so_far(real=True).unclosed == Usage(600, 0, 8000, 0, 8600)


def test_runs_that_were_killed_one_after_the_other_are_charged_together(tmp_path: Path) -> None:
    first = [a_run(ceiling=Ceiling(1, 100, 1000)), an_answer("a")]
    with History(written(tmp_path, *first)) as history:
        so_far = history.job_so_far(real=True)
    second = [a_run("r2", job=so_far, ceiling=Ceiling(1, 7, 70)), an_answer("b")]

    with History(written(tmp_path, *first, *second)) as history:
        job = history.job_so_far(real=True)

    assert job.unclosed == Usage(107, 0, 1070, 0, 1177)
    assert job.spent == TEN + TEN


def test_a_killed_run_keeps_the_time_that_earlier_ones_took(tmp_path: Path) -> None:
    path = written(
        tmp_path, a_run(), an_answer("a"), totals_line("r1", AT, some_totals(), Totals()), a_run("r2", job=some_totals())
    )

    with History(path) as history:
        job = history.job_so_far(real=True)

    assert job.wall_ms == some_totals().wall_ms
    assert job.spent == TEN


def test_rows_that_failed_before_a_run_was_killed_are_told_by_kind(tmp_path: Path) -> None:
    path = written(tmp_path, a_run(), row_line(a_result("a", Status.FAILED, failure=FailureKind.TIMEOUT)))

    with History(path) as history:
        assert history.job_so_far(real=True).failures == {"timeout": 1}


def test_what_may_have_been_billed_stays_on_the_bill_of_a_killed_run(tmp_path: Path) -> None:
    path = written(tmp_path, a_run(), row_line(a_result("a", Status.UNFINISHED, bill=Bill(maybe_billed=OWED))))

    with History(path) as history:
        assert history.job_so_far(real=True).maybe_billed == OWED


@pytest.mark.parametrize(("real", "attempts"), [pytest.param(True, 0, id="real"), pytest.param(False, 4, id="fake")])
def test_a_real_job_does_not_count_what_was_made_up(tmp_path: Path, *, real: bool, attempts: int) -> None:
    path = written(tmp_path, a_run(endpoint="fake"), an_answer("a"), totals_line("r1", AT, some_totals(), Totals()))

    with History(path) as history:
        assert history.job_so_far(real=real).attempts == attempts


def test_made_up_rows_do_not_count_for_a_real_run_that_was_killed(tmp_path: Path) -> None:
    fake = [a_run(endpoint="fake"), an_answer("a"), totals_line("r1", AT, some_totals(), Totals())]
    path = written(tmp_path, *fake, a_run("r2"), an_answer("b"))

    with History(path) as history:
        assert history.job_so_far(real=True).spent == TEN


def test_a_real_run_after_a_made_up_one_keeps_what_the_real_ones_before_it_cost(tmp_path: Path) -> None:
    real = [a_run(), an_answer("a"), totals_line("r1", AT, some_totals(), Totals())]
    fake = [a_run("r2", "fake"), an_answer("b"), totals_line("r2", AT, Totals(attempts=1), Totals())]

    with History(written(tmp_path, *real, *fake)) as history:
        job = history.job_so_far(real=True)

    assert (job.spent, job.attempts) == (TEN, 1)


def test_a_real_run_after_a_made_up_one_that_was_killed_is_not_charged_for_its_ceiling(tmp_path: Path) -> None:
    real = [a_run(), an_answer("a"), totals_line("r1", AT, some_totals(), Totals())]
    fake = [a_run("r2", "fake", ceiling=Ceiling(2, 300, 4000)), an_answer("b")]

    with History(written(tmp_path, *real, *fake)) as history:
        job = history.job_so_far(real=True)

    assert (job.spent, job.maybe_billed) == (TEN, Usage())


def test_a_line_that_is_damaged_inside_has_a_status_only_and_breaks_nothing(tmp_path: Path) -> None:
    broken = damaged(an_answer("a", other_bills={"o3": Bill(maybe_billed=OWED)}))

    with History(written(tmp_path, a_run(), broken, an_answer("b"))) as history:
        entry = history.index.lookup("a")
        assert entry is not None

        assert (entry.status, history.index.unreadable_lines) == (Status.OK, 0)
        assert history.line_of(entry) is None
        assert history.past("a") == Past(Status.OK)
        assert history.past("b").status is Status.OK
        assert [line["id"] for line in history.living_lines()] == ["b"]
        assert history.job_so_far(real=True).spent == TEN


def test_the_kind_of_a_failure_whose_line_is_damaged_inside_is_not_known(tmp_path: Path) -> None:
    broken = damaged(row_line(a_result("a", Status.FAILED, failure=FailureKind.TIMEOUT)))

    with History(written(tmp_path, a_run(), broken)) as history:
        entry = history.index.lookup("a")
        assert entry is not None

        assert (entry.status, history.kind_of(entry)) == (Status.FAILED, None)


def test_a_new_output_knows_of_no_rows_to_be_sent(tmp_path: Path) -> None:
    with History(tmp_path / "gone.jsonl") as history:
        assert history.unattempted == 0


@pytest.mark.parametrize(
    ("known", "unattempted"),
    [
        pytest.param({"ok": 2}, 0, id="all sent"),
        pytest.param({"ok": 2, UNATTEMPTED: 5}, 5, id="some left"),
        pytest.param({"ok": 1, UNATTEMPTED: 5, NOT_IN_INPUT: 1}, 5, id="some gone from the input"),
    ],
)
def test_of_a_run_that_ended_rows_it_did_not_come_to_are_unattempted(
    tmp_path: Path, known: dict[str, int], unattempted: int
) -> None:
    end = totals_line("r1", AT, rows_known(**known), Totals())

    with History(written(tmp_path, a_run(job=rows_known(unattempted=7)), an_answer("a"), an_answer("b"), end)) as history:
        assert history.unattempted == unattempted


@pytest.mark.parametrize(
    ("known", "unattempted"),
    [
        pytest.param({UNATTEMPTED: 7}, 5, id="a first run"),
        pytest.param({UNATTEMPTED: 3, NOT_IN_INPUT: 1}, 1, id="some gone from the input"),
        pytest.param({"unfinished": 2}, 0, id="a second try"),
    ],
)
def test_of_a_run_that_was_killed_rows_without_a_line_are_unattempted(
    tmp_path: Path, known: dict[str, int], unattempted: int
) -> None:
    with History(written(tmp_path, a_run(job=rows_known(**known)), an_answer("a"), an_answer("b"))) as history:
        assert history.unattempted == unattempted


def test_of_a_killed_run_only_rows_it_was_the_first_to_send_are_attempted_by_it(tmp_path: Path) -> None:
    earlier = [a_run(), *(an_answer(name) for name in "abcdef")]
    limited = [a_run("r2", job=rows_known(ok=2, unattempted=3)), an_answer("b"), an_answer("g")]

    with History(written(tmp_path, *earlier, *limited)) as history:
        assert history.unattempted == 2


def test_of_a_killed_real_run_made_up_rows_it_sent_again_were_unattempted(tmp_path: Path) -> None:
    made_up = [a_run(endpoint="fake"), an_answer("a"), an_answer("b"), an_answer("c")]
    killed = [a_run("r2", job=rows_known(unattempted=3)), an_answer("a")]

    with History(written(tmp_path, *made_up, *killed)) as history:
        assert history.unattempted == 2


def test_a_raised_ceiling_does_not_begin_a_run_anew(tmp_path: Path) -> None:
    began = a_run(job=rows_known(unattempted=3))

    with History(written(tmp_path, began, an_answer("a"), began, an_answer("b"))) as history:
        assert history.unattempted == 1


def test_what_a_killed_real_run_may_have_cost_outlives_a_made_up_run_in_between(tmp_path: Path) -> None:
    killed = [a_run(ceiling=Ceiling(2, 300, 4000)), an_answer("a")]
    path = written(tmp_path, *killed)
    with History(path) as history:
        before = history.job_so_far(real=False)
    fake = [a_run("r2", "fake", before, Ceiling(9, 9, 9)), an_answer("b")]

    for end in ([], [totals_line("r2", AT, before, Totals())]):
        with History(written(tmp_path, *killed, *fake, *end)) as history:
            job = history.job_so_far(real=True)

        assert (job.unclosed, job.spent) == (Usage(300, 0, 4000, 0, 4300), TEN), end


def test_a_row_that_was_sent_twice_is_attempted_once(tmp_path: Path) -> None:
    lines = [a_run(job=rows_known(unattempted=3)), row_line(a_result("a", Status.UNFINISHED)), an_answer("a")]

    with History(written(tmp_path, *lines)) as history:
        assert history.unattempted == 2


def test_of_a_limited_run_that_ended_its_own_rows_are_unattempted_whatever_lies_beyond(tmp_path: Path) -> None:
    lines = [a_run(), *(an_answer(name) for name in "abcdef"), a_run("r2", job=rows_known(ok=2, unattempted=1))]

    with History(written(tmp_path, *lines, totals_line("r2", AT, rows_known(ok=2, unattempted=1), Totals()))) as history:
        assert history.unattempted == 1


def test_a_limited_run_knows_of_no_rows_beyond_its_limit(tmp_path: Path) -> None:
    limited = [a_run(job=rows_known(unattempted=2)), an_answer("a"), an_answer("b")]

    with History(written(tmp_path, *limited)) as history:
        assert history.unattempted == 0
    with History(written(tmp_path, *limited, a_run("r2", job=rows_known(ok=1)), an_answer("a"))) as history:
        assert history.unattempted == 0


def test_what_earlier_runs_came_to_is_told_for_any_moment(tmp_path: Path) -> None:
    """Each run line opens with what had been spent before it."""
    opened = [(1, 0), (2, 5), (3, 9)]
    lines = [
        run_line(Run(f"r{day}", f"2026-01-0{day}T00:00:00.000Z", "api.example.com"), Totals(attempts=attempts))
        for day, attempts in opened
    ]
    now = Totals(attempts=12)

    with History(written(tmp_path, *lines)) as history:
        before = [history.job_before(datetime(2026, 1, day, 12, tzinfo=UTC).timestamp(), now).attempts for day in (1, 2, 3)]
        start = history.job_before(datetime(2025, 12, 31, tzinfo=UTC).timestamp(), now)

    assert before == [5, 9, 12]
    assert start.attempts == 0
