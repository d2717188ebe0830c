from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.chat import Defaults, build_request
from batch_runner.failures import CannotStart, FailureKind
from batch_runner.files import PIECE
from batch_runner.forms import Shape
from batch_runner.identity import Action, Again, line_fingerprint
from batch_runner.loader import InputFile, InputFiles, Line, draft
from batch_runner.output.history import History
from batch_runner.output.lines import Run, row_line, run_line
from batch_runner.plan import Plan
from batch_runner.planner import ToSend, make_plan
from batch_runner.records import PromptRow, Rejected, Result, Status
from batch_runner.selection import Selection
from batch_runner.totals import NOT_IN_INPUT, UNATTEMPTED, Totals

AT = "2026-01-01T00:00:00.000Z"
RUN = Defaults("o1-mini", None, {})
AS_USUAL = Again()
REAL, FAKE = "api.example.com", "fake"


@dataclass
class Bench:
    """An input and an output, and runs that answer without sending."""

    folder: Path
    run: Defaults = RUN

    @property
    def output(self) -> Path:
        return self.folder / "out.jsonl"

    @property
    def source(self) -> InputFiles:
        return InputFiles.of([InputFile(self.folder / "in.jsonl", "in.jsonl")])

    def write(self, *lines: str | bytes) -> None:
        """Make these lines the input."""
        data = b"\n".join(line.encode() if isinstance(line, str) else line for line in lines)
        (self.folder / "in.jsonl").write_bytes(data + b"\n")

    def plan(self, again: Again = AS_USUAL, *, real: bool = True, limit: int | None = None) -> Plan:
        """Plan a run of the input over the output."""
        with History(self.output) as records:
            return make_plan(self.source, records, run=self.run, again=again, selection=Selection(limit=limit), real=real)

    def sent(self, again: Again = AS_USUAL, *, real: bool = True, limit: int | None = None) -> list[str]:
        """The ids of the rows that a run would send."""
        plan = self.plan(again, real=real, limit=limit)
        ids = [row.id for row, _ in plan.items(self.source) if isinstance(row, PromptRow)]
        assert len(ids) == plan.to_send
        return ids

    def answer(self, *statuses: Status, kind: FailureKind | None = None, endpoint: str = REAL) -> list[str]:
        """Record every row of the input, the first with the first of `statuses` and so on; returns their ids."""
        ids = []
        with self.output.open("ab") as out:
            out.write(run_line(Run(f"run-at-{endpoint}", AT, endpoint), Totals()))
            for number, (row, _) in enumerate(self.plan(real=endpoint != FAKE).items(self.source)):
                status = statuses[min(number, len(statuses) - 1)] if statuses else Status.OK
                out.write(row_line(self._result(row, status, kind)))
                ids.append(row.id)
        return ids

    def _result(self, row: PromptRow | Rejected, status: Status, kind: FailureKind | None) -> Result:
        if isinstance(row, Rejected):
            return Result(row.id, Status.INVALID, line_fingerprint(row.line, row.reason), row.source, AT, "r")
        asked = build_request(row, self.run).fingerprint
        return Result(row.id, status, asked, row.source, AT, "r", model=self.run.model, failure=kind)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def prompts(*texts: str) -> list[str]:
    return [f'{{"prompt":"{text}"}}' for text in texts]


# what the input does


def test_a_first_run_sends_every_row(bench: Bench) -> None:
    bench.write(*prompts("a", "b", "c"))

    plan = bench.plan()

    assert (plan.rows, plan.to_send, plan.new, plan.again, plan.changed, plan.rejected) == (3, 3, 3, 0, 0, 0)
    assert plan.standing == Counter({UNATTEMPTED: 3})
    assert not plan.nothing_to_do


def test_a_second_run_sends_nothing(bench: Bench) -> None:
    bench.write(*prompts("a", "b"), '{"id":"x","prompt":"a"}', '{"id":7,"prompt":"a"}')
    bench.answer()

    plan = bench.plan()

    assert plan.nothing_to_do
    assert list(plan.items(bench.source)) == []
    assert plan.standing == Counter(ok=4)


def test_only_appended_rows_are_sent(bench: Bench) -> None:
    bench.write(*prompts("a", "b"))
    bench.answer()
    bench.write(*prompts("a", "b"), '{"id":"c","prompt":"c"}')

    assert bench.sent() == ["c"]


@pytest.mark.parametrize("with_ids", [pytest.param(True, id="with ids"), pytest.param(False, id="without ids")])
def test_reordered_rows_are_not_bought_again(bench: Bench, *, with_ids: bool) -> None:
    lines = [f'{{"id":"{text}","prompt":"{text}"}}' if with_ids else f'{{"prompt":"{text}"}}' for text in "abcd"]
    bench.write(*lines)
    bench.answer()
    bench.write(*reversed(lines))

    assert bench.sent() == []


def test_removed_rows_leave_the_others_alone_and_stay_on_record(bench: Bench) -> None:
    bench.write(*prompts("a", "b", "c"))
    bench.answer()
    bench.write(*prompts("b"))

    plan = bench.plan()

    assert plan.nothing_to_do
    assert plan.standing == Counter({"ok": 1, NOT_IN_INPUT: 2})


def test_an_edited_label_buys_nothing(bench: Bench) -> None:
    bench.write('{"prompt":"a","label":"old"}', '{"id":"x","prompt":"a","label":"old"}')
    bench.answer()
    bench.write('{"label":"new","prompt":"a"}', '{"id":"x","prompt":"a","label":"new"}')

    assert bench.sent() == []


def test_an_edited_text_without_an_id_is_a_new_row(bench: Bench) -> None:
    bench.write(*prompts("a", "b"))
    bench.answer()
    bench.write(*prompts("a", "B"))

    plan = bench.plan()

    assert (plan.new, plan.changed) == (1, 0)
    assert plan.standing == Counter({"ok": 1, UNATTEMPTED: 1, NOT_IN_INPUT: 1})


def test_an_edited_text_under_an_id_is_a_changed_row(bench: Bench) -> None:
    bench.write('{"id":"x","prompt":"a"}', '{"id":"y","prompt":"b"}')
    bench.answer()
    bench.write('{"id":"x","prompt":"A"}', '{"id":"y","prompt":"b"}')

    plan = bench.plan()

    assert (plan.new, plan.changed) == (0, 1)
    assert plan.standing == Counter(ok=2)


def test_a_file_may_be_split_and_renamed_between_runs(bench: Bench) -> None:
    bench.write(*prompts("a", "b", "a"))
    bench.answer()
    parts = []
    for name, texts in (("1", ("a",)), ("2", ("b", "a"))):
        (bench.folder / name).write_text("\n".join(prompts(*texts)))
        parts.append(InputFile(bench.folder / name, name))

    with History(bench.output) as records:
        plan = make_plan(InputFiles.of(parts), records, run=RUN, again=AS_USUAL)

    assert plan.nothing_to_do


# what the settings do


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(Defaults("o3", None, {}), id="model"),
        pytest.param(Defaults("o1-mini", "Be brief.", {}), id="system text"),
        pytest.param(Defaults("o1-mini", None, {"temperature": 0.5}), id="temperature"),
        pytest.param(Defaults("o1-mini", None, {"reasoning_effort": "low"}), id="effort"),
        pytest.param(Defaults("o1-mini", None, {"seed": 1}), id="param"),
    ],
)
def test_asking_something_else_makes_changed_rows_of_answered_ones(bench: Bench, run: Defaults) -> None:
    bench.write(*prompts("a", "b"))
    bench.answer()
    bench.run = run

    plan = bench.plan()

    assert (plan.new, plan.again, plan.changed, plan.to_send) == (0, 0, 2, 2)


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"max_completion_tokens": 9}, id="cap"),
        pytest.param({"max_tokens": 9}, id="cap by its old name"),
        pytest.param({"user": "anna"}, id="user"),
        pytest.param({"metadata": {"run": "2"}}, id="metadata"),
        pytest.param({"store": True, "service_tier": "flex"}, id="storage and tier"),
    ],
)
def test_nothing_is_bought_again_for_what_changes_no_answer(bench: Bench, params: dict[str, object]) -> None:
    bench.write(*prompts("a", "b"))
    bench.answer()
    bench.run = replace(RUN, params=params)

    assert bench.plan().nothing_to_do


def test_rows_that_name_their_model_stay_when_the_runs_model_changes(bench: Bench) -> None:
    bench.write('{"prompt":"a","model":"o1"}', '{"prompt":"b"}')
    bench.answer()
    bench.run = replace(RUN, model="o3")

    assert bench.plan().changed == 1


# what the record says


@pytest.mark.parametrize(
    ("status", "unchanged", "changed"),
    [
        pytest.param(Status.OK, "kept", "changed", id="ok"),
        pytest.param(Status.TRUNCATED, "kept", "changed", id="truncated"),
        pytest.param(Status.REFUSED, "kept", "changed", id="refused"),
        pytest.param(Status.FAILED, "kept", "again", id="failed"),
        pytest.param(Status.UNFINISHED, "again", "again", id="unfinished"),
    ],
)
@pytest.mark.parametrize("edited", [pytest.param(False, id="unchanged"), pytest.param(True, id="edited")])
def test_the_last_record_of_a_row_decides(bench: Bench, status: Status, unchanged: str, changed: str, *, edited: bool) -> None:
    bench.write('{"id":"x","prompt":"a"}')
    bench.answer(status)
    if edited:
        bench.write('{"id":"x","prompt":"b"}')

    plan = bench.plan()

    expected = changed if edited else unchanged
    assert {"again": plan.again, "changed": plan.changed} == {"again": expected == "again", "changed": expected == "changed"}
    assert plan.to_send == (expected != "kept")
    assert plan.standing == Counter({status: 1})


def test_a_row_that_is_sent_again_is_known_to_have_a_record(bench: Bench) -> None:
    bench.write('{"id":"x","prompt":"a"}', '{"id":"y","prompt":"a"}')
    bench.answer(Status.UNFINISHED)
    bench.write('{"id":"x","prompt":"a"}', '{"id":"z","prompt":"a"}')

    items = list(bench.plan().items(bench.source))

    assert [(row.id, recorded) for row, recorded in items] == [("x", True), ("z", False)]


def test_failed_rows_are_sent_when_asked_for(bench: Bench) -> None:
    bench.write(*[f'{{"id":"{text}","prompt":"{text}"}}' for text in "abc"])
    bench.answer(Status.OK, Status.FAILED, Status.TRUNCATED)

    assert bench.sent(Again(failed=True)) == ["b"]


def test_only_sends_the_states_it_names(bench: Bench) -> None:
    bench.write(*[f'{{"id":"{text}","prompt":"{text}"}}' for text in "abcde"])
    bench.answer(Status.OK, Status.FAILED, Status.TRUNCATED, Status.UNFINISHED, Status.REFUSED)
    bench.write(*[f'{{"id":"{text}","prompt":"{text}"}}' for text in "abcdef"])

    assert bench.sent(Again(only=True, states=frozenset({Status.TRUNCATED, Status.REFUSED}))) == ["c", "e"]


def test_only_sends_the_failure_kinds_it_names(bench: Bench) -> None:
    bench.write('{"id":"a","prompt":"a"}')
    bench.answer(Status.FAILED, kind=FailureKind.TIMEOUT)
    bench.write('{"id":"a","prompt":"a"}', '{"id":"b","prompt":"b"}')
    bench.answer(Status.FAILED, kind=FailureKind.BAD_REQUEST)

    assert bench.sent(Again(only=True, kinds=frozenset({FailureKind.TIMEOUT}))) == ["a"]


def test_the_last_line_of_an_id_counts(bench: Bench) -> None:
    bench.write('{"id":"x","prompt":"a"}')
    bench.answer(Status.UNFINISHED)
    bench.answer(Status.FAILED)

    assert bench.plan().standing == Counter(failed=1)


# made-up answers


def test_answers_of_the_embedded_endpoint_are_never_kept_by_a_real_run(bench: Bench) -> None:
    bench.write(*prompts("a", "b"))
    ids = bench.answer(endpoint=FAKE)

    plan = bench.plan()

    assert (plan.new, plan.again, plan.changed) == (2, 0, 0)
    assert plan.standing == Counter({UNATTEMPTED: 2})
    assert [(row.id, recorded) for row, recorded in plan.items(bench.source)] == [(row_id, False) for row_id in ids]


def test_answers_of_the_embedded_endpoint_are_kept_by_another_fake_run(bench: Bench) -> None:
    bench.write(*prompts("a", "b"))
    bench.answer(endpoint=FAKE)

    assert bench.plan(real=False).nothing_to_do


def test_real_answers_after_made_up_ones_are_kept(bench: Bench) -> None:
    bench.write(*prompts("a", "b"))
    bench.answer(endpoint=FAKE)
    bench.answer(endpoint=REAL)

    assert bench.plan().nothing_to_do


# ids


def test_repeated_texts_are_rows_of_their_own(bench: Bench) -> None:
    bench.write(*prompts("a", "b", "a", "a"))

    ids = bench.sent()

    first = ids[0]
    assert [ids[0], ids[2], ids[3]] == [first, f"{first}-2", f"{first}-3"]
    assert len(set(ids)) == 4


def test_repeated_texts_are_not_bought_again(bench: Bench) -> None:
    bench.write(*prompts("a", "b", "a", "a"))
    bench.answer()

    assert bench.sent() == []


def test_one_more_repeat_is_one_more_row(bench: Bench) -> None:
    bench.write(*prompts("a", "a"))
    ids = bench.answer()
    bench.write(*prompts("a", "b", "a", "a"))

    assert f"{ids[0]}-3" in bench.sent()
    assert bench.plan().to_send == 2


def test_repeats_are_numbered_across_blocks(bench: Bench) -> None:
    many = PIECE // len('{"prompt":"0"}')
    texts = [*(str(number) for number in range(many)), "0", "1"]
    bench.write(*prompts(*texts))

    ids = bench.sent()

    assert ids[many:] == [f"{ids[0]}-2", f"{ids[1]}-2"]


def test_only_the_repeat_that_has_no_record_is_sent(bench: Bench) -> None:
    bench.write(*prompts("a", "a", "a"))
    ids = bench.answer(Status.OK, Status.UNFINISHED, Status.OK)

    assert bench.sent() == [ids[1]]


def test_a_row_may_carry_the_id_that_another_would_get(bench: Bench) -> None:
    bench.write(*prompts("a"))
    made = bench.sent()[0]
    bench.write(f'{{"id":"{made}","prompt":"a"}}', *prompts("a"))

    assert bench.sent() == [made, f"{made}-2"]


def test_an_integer_id_and_its_text_are_the_same_id(bench: Bench) -> None:
    bench.write('{"id":7,"prompt":"a"}')
    bench.answer()
    bench.write('{"id":"7","prompt":"a"}')

    assert bench.sent() == []


def test_a_row_whose_id_has_a_wrong_type_is_recorded_and_not_sent(bench: Bench) -> None:
    bench.write('{"id":1.5,"prompt":"a"}', '{"id":"b","prompt":"b"}')

    plan = bench.plan()

    assert (plan.rejected, plan.to_send) == (1, 1)


def test_repeated_ids_refuse_naming_both_lines(bench: Bench) -> None:
    bench.write('{"id":"x","prompt":"a"}', "", '{"id":"y","prompt":"b"}', '{"id":"x","prompt":"c"}')

    with pytest.raises(CannotStart, match=r"'x' at in\.jsonl:1 and in\.jsonl:4") as raised:
        bench.plan()

    assert "nothing was sent" in str(raised.value)


def test_an_integer_id_repeats_its_text(bench: Bench) -> None:
    bench.write('{"id":7,"prompt":"a"}', '{"id":"7","prompt":"b"}')

    with pytest.raises(CannotStart, match=r"'7' at in\.jsonl:1 and in\.jsonl:2"):
        bench.plan()


def test_an_id_on_record_may_not_repeat_either(bench: Bench) -> None:
    bench.write('{"id":"x","prompt":"a"}')
    bench.answer()
    bench.write('{"id":"x","prompt":"a"}', '{"id":"x","prompt":"a"}')

    with pytest.raises(CannotStart, match=r"'x' at in\.jsonl:1 and in\.jsonl:2"):
        bench.plan()


def test_a_broken_line_may_not_repeat_an_id_either(bench: Bench) -> None:
    bench.write('{"id":"x","prompt":"a"}', '{"id":"x","prompt":3}')

    with pytest.raises(CannotStart, match=r"'x' at in\.jsonl:1 and in\.jsonl:2"):
        bench.plan()


def test_many_repeated_ids_are_named_in_part(bench: Bench) -> None:
    bench.write(*[f'{{"id":{number},"prompt":"a"}}' for number in [*range(9), *range(9)]])

    with pytest.raises(CannotStart, match="and 4 more"):
        bench.plan()


# broken lines


def test_a_broken_line_is_recorded_once(bench: Bench) -> None:
    bench.write("{", *prompts("a"))

    first = bench.plan()
    bench.answer()
    second = bench.plan()

    assert (first.rejected, first.to_send) == (1, 1)
    assert second.nothing_to_do
    assert second.standing == Counter(ok=1, invalid=1)


def test_a_line_that_was_fixed_is_sent(bench: Bench) -> None:
    bench.write('{"id":"x","prompt":3}')
    bench.answer()
    bench.write('{"id":"x","prompt":"3"}')

    plan = bench.plan()

    assert (plan.again, plan.rejected) == (1, 0)
    assert bench.sent() == ["x"]


def test_a_line_that_is_broken_otherwise_is_recorded_again(bench: Bench) -> None:
    bench.write('{"id":"x","prompt":3}')
    bench.answer()
    bench.write('{"id":"x","prompt":4}')

    assert bench.plan().rejected == 1


@pytest.mark.parametrize("status", [Status.OK, Status.TRUNCATED, Status.REFUSED])
def test_a_paid_answer_stays_when_its_line_breaks(bench: Bench, status: Status) -> None:
    bench.write('{"id":"x","prompt":"a"}')
    bench.answer(status)
    bench.write('{"id":"x","prompt":3}')

    plan = bench.plan()

    assert plan.nothing_to_do
    assert plan.standing == Counter({status: 1})


# limit


def test_a_limit_takes_the_first_rows_done_or_not(bench: Bench) -> None:
    bench.write('{"id":"a","prompt":"a"}', '{"id":"b","prompt":"b"}')
    bench.answer()
    bench.write(*[f'{{"id":"{text}","prompt":"{text}"}}' for text in "abcd"])

    assert bench.sent(limit=3) == ["c"]
    assert bench.plan(limit=2).nothing_to_do
    assert bench.plan(limit=3).rows == 3


@pytest.mark.parametrize(
    ("limit", "unattempted"),
    [pytest.param(None, 2, id="no limit"), pytest.param(2, 0, id="limit"), pytest.param(3, 1, id="larger")],
)
def test_rows_beyond_a_limit_are_not_known_to_be_unattempted(bench: Bench, limit: int | None, unattempted: int) -> None:
    bench.write(*prompts("a", "b", "c", "d"))
    rows = [row for row, _ in bench.plan().items(bench.source)][:2]
    standing = bench.plan(limit=limit).standing
    opening = run_line(Run("r", AT, REAL), Totals(rows=standing))
    bench.output.write_bytes(opening + b"".join(row_line(bench._result(row, Status.OK, None)) for row in rows))

    with History(bench.output) as history:
        assert history.unattempted == unattempted


def test_a_limit_looks_no_further(bench: Bench) -> None:
    bench.write('{"id":"a","prompt":"a"}', '{"id":"a","prompt":"b"}', "{")

    assert bench.sent(limit=1) == ["a"]


# the two passes


def test_a_line_that_changes_between_plan_and_run_stops_before_it_is_sent(bench: Bench) -> None:
    bench.write('{"id":"a","prompt":"a"}', '{"id":"b","prompt":"b"}')
    source, plan = bench.source, bench.plan()
    bench.write('{"id":"a","prompt":"a"}', '{"id":"b","prompt":"B"}')

    items = plan.items(source)

    assert next(items)[0].id == "a"
    with pytest.raises(CannotStart, match=r"in\.jsonl:2 was changed"):
        next(items)


def test_lines_that_vanish_between_plan_and_run_stop_it(bench: Bench) -> None:
    bench.write('{"id":"a","prompt":"a"}', '{"id":"b","prompt":"b"}')
    source, plan = bench.source, bench.plan()
    bench.write('{"id":"a","prompt":"a"}')

    with pytest.raises(CannotStart):
        list(plan.items(source))


def test_lines_that_are_added_between_plan_and_run_wait(bench: Bench) -> None:
    bench.write('{"id":"a","prompt":"a"}')
    source, plan = bench.source, bench.plan()
    bench.write('{"id":"a","prompt":"a"}', '{"id":"b","prompt":"b"}')

    assert [row.id for row, _ in plan.items(source)] == ["a"]


def test_the_plan_knows_the_worst_of_what_it_sends(bench: Bench) -> None:
    bench.write(
        '{"id":"a","prompt":"a","max_completion_tokens":70}',
        '{"id":"b","prompt":"much longer","max_completion_tokens":50}',
        '{"id":"c","prompt":"c","max_completion_tokens":90}',
    )
    bench.answer(Status.UNFINISHED, Status.UNFINISHED, Status.OK)

    plan = bench.plan()

    longest = build_request(_row('{"id":"b","prompt":"much longer","max_completion_tokens":50}'), RUN)
    assert plan.weighing.largest.completion == 70
    assert plan.weighing.largest.prompt == longest.worst.prompt
    assert plan.weighing.uncapped == 0


def test_rows_without_a_cap_are_counted(bench: Bench) -> None:
    bench.write(*prompts("a", "b"), '{"prompt":"c","max_completion_tokens":50}')

    assert bench.plan().weighing.uncapped == 2


# laws


def _row(line: str) -> PromptRow:
    row = draft(Line(line.encode(), "in.jsonl:1")).row
    assert isinstance(row, PromptRow)
    return row


@dataclass(frozen=True)
class Given:
    """A row source of lines at hand."""

    texts: Sequence[bytes]

    def lines(self) -> Iterator[Line]:
        for number, text in enumerate(self.texts, start=1):
            yield Line(text, f"in.jsonl:{number}")


def ids_by_request(texts: Sequence[bytes], nowhere: Path) -> Counter[tuple[bytes, str]]:
    plan = make_plan(Given(texts), History(nowhere), run=RUN, again=AS_USUAL)
    rows = [row for row, _ in plan.items(Given(texts))]
    return Counter((row.line if isinstance(row, Rejected) else orjson.dumps(row.asks), row.id) for row in rows)


EVERY_FORM = [
    b'{"prompt":"a"}',
    b'{"prompt":"b"}',
    b'{"text":"c"}',
    b'"a"',
    b'{"messages":[{"role":"user","content":"a"}]}',
    b'{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}]}',
    b'{"body":{"messages":[{"role":"user","content":"a"}]}}',
    b"{",
    b'{"prompt":3}',
    b"NaN",
    b"\xff\0",
]
some_lines = st.lists(st.sampled_from(EVERY_FORM), max_size=9)


@given(data=st.data(), texts=some_lines)
@settings(max_examples=60, deadline=None)
def test_ids_do_not_depend_on_the_order_of_lines(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, texts: list[bytes]
) -> None:
    nowhere = tmp_path_factory.getbasetemp() / "nowhere"

    assert ids_by_request(data.draw(st.permutations(texts)), nowhere) == ids_by_request(texts, nowhere)


@given(texts=some_lines, more=some_lines)
@settings(max_examples=60, deadline=None)
def test_ids_do_not_depend_on_lines_that_are_appended(
    tmp_path_factory: pytest.TempPathFactory, texts: list[bytes], more: list[bytes]
) -> None:
    nowhere = tmp_path_factory.getbasetemp() / "nowhere"

    assert ids_by_request(texts, nowhere) <= ids_by_request([*texts, *more], nowhere)


@given(texts=some_lines)
@settings(max_examples=60, deadline=None)
def test_no_line_is_lost_and_no_id_given_twice(tmp_path_factory: pytest.TempPathFactory, texts: list[bytes]) -> None:
    named = ids_by_request(texts, tmp_path_factory.getbasetemp() / "nowhere")

    assert named.total() == len(texts)
    assert all(count == 1 for count in named.values())


@given(texts=st.lists(st.binary(max_size=30).filter(bytes.strip), max_size=6))
@settings(max_examples=100, deadline=None)
def test_any_lines_can_be_planned(tmp_path_factory: pytest.TempPathFactory, texts: list[bytes]) -> None:
    nowhere = tmp_path_factory.getbasetemp() / "nowhere"

    plan = make_plan(Given(texts), History(nowhere), run=RUN, again=AS_USUAL)

    assert plan.rows == len(texts)
    assert plan.to_send + plan.rejected == len(texts)


def test_a_batch_line_can_be_planned_beside_plain_ones(bench: Bench) -> None:
    body = {"messages": [{"role": "user", "content": "a"}]}
    batch = orjson.dumps({"custom_id": "x", "method": "POST", "url": "/v1/chat/completions", "body": body})
    bench.write(batch, *prompts("a"))
    bench.answer()

    assert bench.sent() == []


def test_a_line_that_can_not_be_sent_for_another_reason_now_is_recorded_again(bench: Bench) -> None:
    bench.write('{"question":"a"}')
    missing = make_plan_with(bench, Shape(prompt_field="q"))
    assert missing.rejected == 1
    with bench.output.open("ab") as out:
        out.write(run_line(Run("r", AT, REAL), Totals()))
        out.writelines(row_line(bench._result(row, Status.INVALID, None)) for row, _ in missing.items(bench.source))

    assert make_plan_with(bench, Shape(prompt_field="q")).nothing_to_do
    assert make_plan_with(bench, Shape(prompt_field="Question")).rejected == 1
    assert make_plan_with(bench, Shape()).new == 1


def make_plan_with(bench: Bench, shape: Shape) -> Plan:
    with History(bench.output) as records:
        return make_plan(bench.source, records, run=RUN, again=AS_USUAL, shape=shape)


# an observer


def observed(bench: Bench) -> list[ToSend]:
    seen: list[ToSend] = []
    with History(bench.output) as records:
        make_plan(bench.source, records, run=bench.run, again=AS_USUAL, observe=seen.append)
    return seen


def test_an_observer_sees_every_row_to_be_sent_in_order_with_what_becomes_of_it(bench: Bench) -> None:
    bench.write(*prompts("a", "b", "d"))
    bench.answer(Status.OK, Status.UNFINISHED, Status.OK)
    bench.write(*prompts("a", "b"), "{", '{"prompt":"c","params":{"max_tokens":5}}')

    unfinished, new = observed(bench)

    assert [each.line.source for each in (unfinished, new)] == ["in.jsonl:2", "in.jsonl:4"]
    assert [(action, entry is not None) for action, entry in unfinished.copies + new.copies] == [
        (Action.SEND, True),
        (Action.SEND, False),
    ]
    assert (unfinished.refused, new.refused) == (False, True)


def test_repeated_ids_pass_where_only_a_look_is_taken(bench: Bench) -> None:
    bench.write('{"id":"x","prompt":"a"}', '{"id":"x","prompt":"b"}', '{"id":"x","prompt":"c"}', *prompts("c", "c"))

    with History(bench.output) as records:
        plan = make_plan(bench.source, records, run=bench.run, again=AS_USUAL, repeats_pass=True)

    assert (plan.doubled, plan.doubled_rows) == ({"x": "in.jsonl:2"}, 2)
    with pytest.raises(CannotStart, match="ids must not repeat"):
        observed(bench)


@given(
    statuses=st.lists(st.sampled_from([*Status, None]), min_size=1, max_size=30),
    count=st.integers(1, 40),
    seed=st.integers(0, 3),
)
@settings(max_examples=25, deadline=None)
def test_a_plan_is_parted_into_some_of_its_rows_and_everything_else(
    tmp_path_factory: pytest.TempPathFactory, statuses: list[Status | None], count: int, seed: int
) -> None:
    bench = Bench(tmp_path_factory.mktemp("parted"))
    bench.write(*(f'{{"id":"r{number}","prompt":"{number}"}}' for number in range(len(statuses))), "{")
    with bench.output.open("ab") as out:
        out.write(run_line(Run("r", AT, REAL), Totals()))
        for number, status in enumerate(statuses):
            if status is not None:
                row = draft(Line(f'{{"id":"r{number}","prompt":"{number}"}}'.encode(), "in.jsonl:1")).row
                assert isinstance(row, PromptRow)
                out.write(row_line(bench._result(row, status, None)))
    plan = bench.plan()

    first, rest = plan.parted(count, seed)
    sent = [[row.id for row, _ in part.items(bench.source) if isinstance(row, PromptRow)] for part in (plan, first, rest)]

    assert first.to_send == len(sent[1]) == min(count, plan.to_send)
    assert rest.to_send == len(sent[2]) == plan.to_send - first.to_send
    assert sorted(sent[1] + sent[2]) == sorted(sent[0])
    assert (first.rejected, rest.rejected) == (0, plan.rejected)
    assert first.rows == rest.rows == plan.rows
    assert plan.parted(count, seed)[0].actions == first.actions
