"""What `check` finds, without a process around it."""

import gzip
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batch_runner.chat import Defaults, build_request
from batch_runner.check import sections as sections_module
from batch_runner.check.document import inspection_document
from batch_runner.check.forecast import ASSUMED_LATENCY_S, forecast
from batch_runner.check.inspection import Inspection, inspect
from batch_runner.check.remarks import room_for
from batch_runner.check.sections import last_line, sections
from batch_runner.exits import ExitStatus
from batch_runner.failures import CannotStart, UsageMistake
from batch_runner.intent import Order
from batch_runner.loader import Line, draft
from batch_runner.models import family_of
from batch_runner.output.lines import Run, row_line, run_line
from batch_runner.pricing import Price, Prices, Rates
from batch_runner.records import PromptRow, Result, Status, Usage
from batch_runner.settings import read_settings
from batch_runner.settings.groups import LimitSettings
from batch_runner.totals import Totals

AT = "2026-01-01T00:00:00.000Z"
HOST = "api.example.com"
URL = f"https://{HOST}/v1"
ENOUGH = {"max_completion_tokens": 30_000}
PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


class Bench:
    """A folder with an input, perhaps an output, and the check of both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.input = folder / "in.jsonl"
        self.out = folder / "in.results.jsonl"

    def write(self, *rows: Mapping[str, Any] | str) -> None:
        lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
        self.input.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def answer(self, status: Status = Status.OK, endpoint: str = HOST, **asked: Any) -> None:
        """Record every row of the input as a run with `asked` would."""
        run = Defaults(asked.pop("model", "o1-mini"), None, asked)
        lines = [run_line(Run("r", AT, endpoint), Totals())]
        for number, text in enumerate(self.input.read_bytes().splitlines(), start=1):
            row = draft(Line(text, f"in.jsonl:{number}")).row
            assert isinstance(row, PromptRow)
            request = build_request(row, run)
            lines.append(row_line(Result(row.id, status, request.fingerprint, row.source, AT, "r", model=request.model)))
        self.out.write_bytes(b"".join(lines))

    def check(self, *, named: int = 5, inputs: tuple[str, ...] | None = None, **values: Any) -> Inspection:
        settings = read_settings({"endpoint": URL} | values)
        return inspect(Order(settings, inputs or (str(self.input),)), named=named, environment={})

    def told(self, **values: Any) -> str:
        return in_words(self.check(**values))


def in_words(seen: Inspection, width: int = 80) -> str:
    told = [line for heading, lines in sections(seen, width) for line in (heading, *lines)]
    return "\n".join([*told, last_line(seen)])


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    return Bench(tmp_path)


def prompt(text: str = "hi", **more: Any) -> dict[str, Any]:
    return {"prompt": text, **ENOUGH, **more}


# rows


def test_good_rows_stand_in_nobodys_way(bench: Bench) -> None:
    bench.write(prompt("a"), prompt("b"))

    seen = bench.check()

    assert seen.exit_status is ExitStatus.OK
    assert (seen.plan.rows, seen.plan.new, seen.plan.bad, seen.refused_rows) == (2, 2, 0, 0)
    assert last_line(seen) == "2 rows: nothing stands in the way"


def test_bad_lines_are_named_with_their_reasons(bench: Bench) -> None:
    bench.write(prompt(), "{", '{"prompt":""}', "[]")

    seen = bench.check(named=2)

    assert seen.exit_status is ExitStatus.ROWS_NOT_OK
    assert seen.plan.bad == 3
    assert "in.jsonl:3: prompt is empty" in in_words(seen, 300)
    assert "and 1 more (--show 3 names them)" in in_words(seen)


def test_max_failed_moves_the_line(bench: Bench) -> None:
    bench.write(*(prompt(str(number)) for number in range(9)), "{")

    assert bench.check(max_failed="10%").exit_status is ExitStatus.OK
    assert bench.check(max_failed="9%").exit_status is ExitStatus.ROWS_NOT_OK


def test_every_repeated_id_is_found_and_the_first_are_named(bench: Bench) -> None:
    bench.write(*(prompt(str(number), id=f"r{number % 20}") for number in range(50)))

    seen = bench.check(named=3)

    assert seen.exit_status is ExitStatus.CANNOT_START
    assert seen.plan.doubled_rows == 30
    assert seen.first_places == {f"r{number}": f"{bench.input}:{number + 1}" for number in range(3)}
    assert f"'r0' at {bench.input}:1 and {bench.input}:21" in in_words(seen, 300)


def test_rows_that_ask_the_same_are_counted_whatever_their_ids(bench: Bench) -> None:
    bench.write(prompt("a", id="x"), prompt("a", id="y"), prompt("a"), prompt("b"), prompt("b"))

    seen = bench.check()

    assert (seen.survey.same_requests.rows, seen.plan.doubled_rows, seen.exit_status) == (3, 0, ExitStatus.OK)


def test_the_same_is_found_again_a_thousand_rows_later(bench: Bench) -> None:
    bench.write(*(prompt(str(number % 1500), id=str(number)) for number in range(3000)))

    assert bench.check().survey.same_requests.rows == 1500


def test_rows_already_answered_are_done(bench: Bench) -> None:
    bench.write(prompt("a"), prompt("b"))
    bench.answer()
    bench.write(prompt("a"), prompt("b"), prompt("c"))

    seen = bench.check()

    assert (seen.plan.kept, seen.plan.new, seen.survey.tokens.count) == (2, 1, 1)
    assert "1 new, 2 done" in in_words(seen)


@pytest.mark.parametrize(
    ("status", "asked", "settings", "why"),
    [
        (Status.OK, {}, {"model": "o3"}, "answered by o1-mini, now asking o3"),
        (Status.OK, {}, {"param": {"seed": 7}}, "answered, now asking something else"),
        (Status.FAILED, {}, {"retry_failed": True}, "failed"),
        (Status.UNFINISHED, {}, {}, "unfinished"),
    ],
)
def test_rows_bought_again_come_with_the_reason(
    bench: Bench, status: Status, asked: dict[str, Any], settings: dict[str, Any], why: str
) -> None:
    bench.write(prompt("a"))
    bench.answer(status, **asked)

    seen = bench.check(**settings)

    assert seen.survey.again == {why: 1}
    assert f"1 row bought again: {why}" in in_words(seen)


def test_what_the_embedded_endpoint_answered_is_new_to_a_real_one(bench: Bench) -> None:
    bench.write(prompt("a"))
    bench.answer(endpoint="fake")

    with pytest.raises(CannotStart, match="was made by fake"):
        bench.check()
    assert bench.check(accept_other_endpoint=True).plan.new == 1


# what would be refused


def test_what_a_model_refuses_is_told_with_line_words_and_fix(bench: Bench) -> None:
    bench.write(prompt(), prompt(params={"temperature": 0.5}), prompt("x", model="o1"))

    seen = bench.check()

    assert (seen.exit_status, seen.refused_rows) == (ExitStatus.ROWS_NOT_OK, 1)
    told = in_words(seen, 300)
    assert "1 row by o1-mini for temperature" in told
    assert "'temperature' does not support 0.5 with this model" in told
    assert f"at    {bench.input}:2" in told


def test_a_row_with_two_faults_is_one_row(bench: Bench) -> None:
    bench.write(prompt(params={"temperature": 0.5, "max_tokens": 5}))

    seen = bench.check()

    assert (seen.refused_rows, len(seen.refused)) == (1, 2)


def test_what_fix_mends_is_not_refused_any_more(bench: Bench) -> None:
    bench.write({"prompt": "hi", "params": {"max_tokens": 30_000}})

    assert bench.check().exit_status is ExitStatus.ROWS_NOT_OK
    assert bench.check(fix=True).exit_status is ExitStatus.OK
    assert "1 row: max_tokens is sent as max_completion_tokens" in bench.told(fix=True)


def test_a_cap_that_is_too_large_is_seen_behind_its_old_name(bench: Bench) -> None:
    bench.write({"prompt": "hi", "params": {"max_tokens": 100_000}})

    (finding,) = bench.check(fix=True).refused

    assert finding.refusal.message.startswith("max_tokens is too large: 100000.")


def test_a_prompt_longer_than_the_model_reads_is_refused(bench: Bench) -> None:
    bench.write(prompt("word " * 130_000), prompt("word " * 120_000), prompt("word"))

    seen = bench.check()

    assert seen.refused_rows == 1
    assert "This model's maximum context length is 128000 tokens" in in_words(seen, 300)
    assert "1 row with a prompt over 90 % of what o1-mini can read" in in_words(seen, 300)


def test_an_estimate_refuses_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "toktok", None)
    bench.write(prompt("word " * 130_000))

    seen = bench.check()

    assert (seen.refused_rows, seen.exit_status) == (0, ExitStatus.OK)
    assert "an estimate; pip install 'batch-runner[tokens]' counts" in in_words(seen)


# remarks


@pytest.mark.parametrize(
    ("row", "remark"),
    [
        (prompt(max_completion_tokens=24_999), "small_cap"),
        (prompt(max_completion_tokens=25_000), None),
        ({"prompt": "hi"}, "no_cap"),
        ({"prompt": "hi", "model": "gpt-4o", "max_completion_tokens": 10}, None),
        (prompt("word " * 100_000), "little_room"),
        (prompt("word " * 116_000), "near_window"),
        ({"messages": [{"role": "user", "content": [PICTURE]}], "model": "o1", **ENOUGH}, "images"),
    ],
)
def test_what_is_worth_a_look_is_remarked(bench: Bench, row: dict[str, Any], remark: str | None) -> None:
    bench.write(row)

    seen = bench.check()

    assert [each["what"] for each in inspection_document(seen)["remarks"]] == ([remark] if remark else [])
    assert seen.exit_status is ExitStatus.OK


def test_a_model_that_openai_ends_is_told_at_openai_only(bench: Bench) -> None:
    bench.write(prompt())

    assert "OpenAI ended o1-mini on 2025-10-27" in bench.told(endpoint="openai")
    assert "OpenAI ended" not in bench.told()


def test_the_day_a_model_ends_is_told_with_the_days_that_are_left(bench: Bench) -> None:
    bench.write(prompt(model="gpt-5"))
    seen = bench.check(endpoint="openai")

    before, after = (replace(seen, today=date(2026, 12, day)) for day in (10, 12))

    assert "OpenAI ends gpt-5 on 2026-12-11, in 1 day: from then on, rows that ask it fail" in in_words(before, 100)
    assert "OpenAI ended gpt-5 on 2026-12-11" in in_words(after)


# tokens, money, time


def test_tokens_and_money_are_of_the_rows_to_send(bench: Bench) -> None:
    bench.write({"prompt": "晚上好", "max_completion_tokens": 1000}, {"prompt": "hello world", "max_completion_tokens": 2000})

    seen = bench.check()

    assert (seen.survey.tokens.total, seen.survey.tokens.least, seen.survey.tokens.most) == (18, 9, 9)
    assert seen.forecast.prompts.usd == 18 * Decimal("1.1") / 10**6
    assert seen.forecast.at_caps.usd == (18 * Decimal("1.1") + 3000 * Decimal("4.4")) / 10**6


def test_a_row_without_a_cap_may_use_all_that_its_model_writes(bench: Bench) -> None:
    bench.write({"prompt": "晚上好", "params": {"n": 1}})

    assert bench.check().survey.sums["o1-mini", 0].completion_tokens == 65_536


def test_the_users_prices_count(bench: Bench) -> None:
    (bench.folder / "mine.toml").write_text("[models.o1-mini]\ninput = 1000\noutput = 2000\n", encoding="utf-8")
    bench.write({"prompt": "晚上好", "max_completion_tokens": 1000})

    seen = bench.check(prices="mine.toml")

    assert seen.forecast.at_caps.usd == 9 * Decimal(1000) / 10**6 + 2
    assert "(prices of mine.toml)" in in_words(seen)


def test_an_unknown_price_is_told_as_unknown(bench: Bench) -> None:
    bench.write(prompt(model="nobody/x"))

    seen = bench.check()

    assert "unknown  for nobody/x: no price is known, --prices FILE gives one" in in_words(seen)
    assert inspection_document(seen)["cost"]["at_caps_usd"] is None


def test_a_cap_on_cost_is_held_against_what_whole_caps_come_to(bench: Bench) -> None:
    bench.write({"prompt": "晚上好", "max_completion_tokens": 1000}, {"prompt": "hello world", "max_completion_tokens": 2000})

    enough, little = bench.check(max_cost="1", max_total_tokens=3018), bench.check(max_cost="0.01", max_total_tokens=3017)

    assert [enough.may_reach(cap) for cap in enough.caps] == [False, False]
    assert [little.may_reach(cap) for cap in little.caps] == [True, True]
    assert "--max-cost $0.0100, of which $0.0000 is spent or may have been: whole caps would stop the run" in in_words(
        little, 200
    )
    assert inspection_document(little)["cost"]["limits"][0] == {
        "flag": "--max-total-tokens", "limit": 3017, "used": 0, "may_be_reached": True,
    }  # fmt: skip


def test_a_cap_that_can_not_be_kept_ends_a_check_as_it_would_a_run(bench: Bench) -> None:
    bench.write(prompt(model="nobody/x"))

    with pytest.raises(CannotStart, match="nobody here knows what 'nobody/x' costs"):
        bench.check(max_cost="1")


def test_long_prompts_are_priced_row_by_row() -> None:
    rates, long_rates = (Rates(Decimal(n), Decimal(n), Decimal(n)) for n in (1, 2))
    prices = Prices({"m": Price(rates, ((1000, long_rates),), listed=False)})
    sums = {("m", 0): Usage(1_000_000, 0, 0, 0, 0), ("m", 1): Usage(1_000_000, 0, 0, 0, 0)}

    assert forecast(sums, prices, LimitSettings(concurrency=1), rows=2, latency_s=None).prompts.usd == 3


def test_time_is_the_longer_of_pace_and_answers() -> None:
    told = forecast({}, Prices(), LimitSettings(concurrency=10, rpm=100), rows=1000, latency_s=None)
    quick = forecast({}, Prices(), LimitSettings(concurrency=10, rpm=100), rows=1000, latency_s=1.0)

    assert (told.at_rpm_s, told.in_flight_s, told.seconds) == (600, 100 * ASSUMED_LATENCY_S, 100 * ASSUMED_LATENCY_S)
    assert (quick.in_flight_s, quick.seconds, quick.measured) == (100, 600, True)


def test_tokens_per_minute_take_as_long_as_prompts_and_at_most_as_caps() -> None:
    sums = {("o1", 0): Usage(6_000, 0, 54_000, 0, 60_000), ("o3", 0): Usage(4_000, 0, 0, 0, 4_000)}

    told = forecast(sums, Prices(), LimitSettings(concurrency=1, tpm=1000), rows=2, latency_s=1.0)

    assert (told.at_tpm_s, told.seconds) == ((600, 3840), 600)


def test_room_ends_with_the_window() -> None:
    assert room_for(100_000, family_of("o1-mini")) == 28_000
    assert room_for(10, family_of("o1-mini")) == 65_536
    assert room_for(200_000, family_of("o1-mini")) == 0
    assert room_for(10**9, family_of("x")) == 272_000


# how it is told


def test_everything_fits_a_terminal(bench: Bench) -> None:
    bench.write(
        *(prompt("word " * (2**number), id=str(number), params={"temperature": 0.1}) for number in range(16)),
        *(prompt(str(number), id="x" * 200) for number in range(3)),
        "{" * 300,
        {"prompt": "hi", "model": "nobody"},
    )
    bench.input = Path("in.jsonl")

    seen = bench.check(rpm=10)

    assert [line for line in in_words(seen, 80).splitlines() if len(line) > 80] == []
    assert {heading for heading, _ in sections(seen, 80)} >= {"Rows", "Can't be sent", "Would be refused", "Worth a look", "Cost"}


def test_the_document_tells_all_of_it(bench: Bench) -> None:
    bench.write(prompt("a"), prompt("a", id="q"), prompt("b", id="q"), "{", prompt(params={"stop": "x"}, model="o3"))

    document = json.loads(json.dumps(inspection_document(bench.check(rpm=60))))

    assert document["schema"] == 1
    assert document["exit_status"] == 3
    assert document["rows"] == {
        "input": 5, "new": 4, "again": 0, "changed": 0, "invalid": 1, "refused": 1, "done": 0, "to_send": 4, "left_out": 0,
    }  # fmt: skip
    assert document["repeated_ids"] == [{"id": "q", "first": f"{bench.input}:2", "again": f"{bench.input}:3"}]
    assert document["same_request_rows"] == 1
    assert [(each["what"], each["rows"], each["at"]) for each in document["refused"]] == [("stop", 1, [f"{bench.input}:5"])]
    assert document["prompt_tokens"]["exact"] is True
    assert sum(bar["rows"] for bar in document["prompt_tokens"]["histogram"]) == document["prompt_tokens"]["rows"] == 4
    assert document["cost"]["at_caps_usd"] > document["cost"]["prompts_usd"] > 0
    assert document["time"] == {
        "at_rpm_s": 4.0,
        "at_tpm_s": None,
        "in_flight_s": 20.0,
        "latency_s": 20.0,
        "latency_measured": False,
        "deadline_s": None,
    }


def test_a_run_that_would_not_be_done_in_time_is_foretold(bench: Bench) -> None:
    bench.write(*(prompt(id=f"r{number}") for number in range(20)))

    late, early = bench.check(max_duration="60s", concurrency=1), bench.check(max_duration="8h", concurrency=1)

    assert "s  are there before nothing new is sent (--max-duration 60s); the rest would be left for later" in in_words(late, 200)
    assert "before nothing new is sent (--max-duration 28800s)" in in_words(early, 200)
    assert "left for later" not in in_words(early, 200)
    assert 0 < inspection_document(late)["time"]["deadline_s"] <= 30


def test_a_bar_is_never_nothing_for_something() -> None:
    assert sections_module._bar(1) == "█" * 40
    assert sections_module._bar(0.0001) == "▏"
    assert sections_module._bar(0) == ""


# other forms and choices of rows: the same as in a run


def test_what_a_template_makes_of_a_row_is_what_is_counted(bench: Bench) -> None:
    bench.input = bench.folder / "in.csv"
    bench.input.write_text("id,word\na,hello\nb,hello\n", encoding="utf-8")

    seen = bench.check(template="{word} world", id_field="id")
    lacking = bench.check(template="{world}", max_completion_tokens=30_000)

    assert (seen.plan.new, seen.survey.tokens.least, seen.survey.same_requests.rows) == (2, 9, 1)
    assert lacking.plan.bad == 2
    assert "world" in lacking.plan.bad_lines[0].what


def test_rows_left_out_are_told_and_not_counted(bench: Bench) -> None:
    bench.write(*(prompt(str(number), lang="zh" if number % 2 else "en") for number in range(10)))

    seen = bench.check(where='lang == "zh"')

    assert (seen.plan.rows, seen.survey.models) == (5, {"o1-mini": 5})
    assert "5 rows of the input left out by --where" in in_words(seen)
    assert bench.check(sample=3, seed=1).plan.rows == 3
    assert bench.check(limit=4).survey.tokens.count == 4


def test_copies_count_as_often_as_they_are_sent(bench: Bench) -> None:
    bench.write(prompt("hello world"), prompt("x", params={"temperature": 0.5}))

    once, thrice = bench.check(), bench.check(repeat=3)

    assert (thrice.plan.rows, thrice.refused_rows, thrice.survey.same_requests.rows) == (6, 3, 0)
    assert thrice.survey.tokens.total == 3 * once.survey.tokens.total
    assert thrice.forecast.at_caps.usd == 3 * once.forecast.at_caps.usd


def test_a_strict_run_would_not_begin(bench: Bench) -> None:
    bench.write(prompt(), "{")

    assert bench.check().exit_status is ExitStatus.ROWS_NOT_OK
    assert bench.check(strict=True).exit_status is ExitStatus.CANNOT_START
    assert "Can't be sent: with --strict a run won't begin" in bench.told(strict=True)


def test_the_bytes_of_an_image_are_no_tokens(bench: Bench) -> None:
    picture = bench.folder / "cat.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100_000))
    part = {"type": "image_url", "image_url": {"url": "cat.png"}}
    bench.write({"messages": [{"role": "user", "content": [{"type": "text", "text": "hello world"}, part]}], "model": "o1"})

    seen = bench.check(images_from=str(bench.folder))

    assert (seen.plan.bad, seen.survey.tokens.most) == (0, 9)


# inputs and outputs


def test_nothing_is_written_and_nothing_left(bench: Bench) -> None:
    bench.write(prompt("a"))
    bench.answer()
    before = {path: path.read_bytes() for path in bench.folder.iterdir()}

    bench.check()

    assert {path: path.read_bytes() for path in bench.folder.iterdir()} == before


def test_several_inputs_need_no_output(bench: Bench) -> None:
    bench.write(prompt("a"))
    (bench.folder / "more.jsonl.gz").write_bytes(gzip.compress(b'{"prompt":"b"}\n'))

    seen = bench.check(inputs=("in.jsonl", "more.jsonl.gz"))

    assert (seen.output, seen.plan.rows) == (None, 2)


def test_standard_input_can_be_checked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"id":"a","prompt":"x"}\n{"id":"a","prompt":"y"}\n')))

    seen = bench.check(inputs=("-",))

    assert seen.first_places == {"a": "stdin:1"}
    assert list(bench.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("inputs", "settings", "told"),
    [
        (("gone.jsonl",), {}, "there is no such file"),
        (("empty.jsonl",), {}, "there is no row in empty.jsonl"),
        (("in.results.jsonl",), {}, "is an output of batch-runner"),
        (("in.jsonl",), {"prices": "gone.toml"}, "can't be read"),
    ],
)
def test_what_ends_a_run_ends_a_check(bench: Bench, inputs: tuple[str, ...], settings: dict[str, Any], told: str) -> None:
    bench.write(prompt())
    bench.answer()
    (bench.folder / "empty.jsonl").touch()

    with pytest.raises(CannotStart, match=told):
        bench.check(inputs=inputs, **settings)


def test_a_check_of_nothing_is_a_mistake() -> None:
    with pytest.raises(UsageMistake, match="no input is named"):
        inspect(Order(read_settings({}), ()), named=1)
