"""The same command again goes on where the last one stopped, and buys nothing twice."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from batch_runner import CannotStart, run_file
from batch_runner.fake_server import AnswerStyle, Canned, Fault, Fixed, Latency, Scenario
from tests.end_to_end.conftest import FIVE, lies_between, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.conftest import Ended, Place, ServedHere, Servers

BAD = Fault(Canned("context_length_exceeded"), prompt="bad")
LONG = AnswerStyle(visible=Fixed(200), reasoning=Fixed(100))


def folder_bytes(out: Path) -> tuple[bytes, int]:
    return out.read_bytes(), out.stat().st_mtime_ns


def command(place: Place, gateway: ServedHere, *more: str) -> Ended:
    return place.run("run", place.prompts, "--endpoint", gateway.url, *more)


def test_the_same_command_again_sends_nothing_and_leaves_the_output_byte_for_byte(place: Place, gateway: ServedHere) -> None:
    place.write_questions(5)
    command(place, gateway)
    before = folder_bytes(place.out)

    end = command(place, gateway)

    assert end.status == 0
    assert "nothing to send" in end.err
    assert folder_bytes(place.out) == before
    assert gateway.books().requests == 5


def test_with_nothing_to_send_the_exit_status_is_still_what_the_rows_deserve(place: Place, servers: Servers) -> None:
    place.write([{"prompt": "bad"}, {"prompt": "good"}])
    gateway = servers.gateway(Scenario(faults=(BAD,)))
    assert command(place, gateway).status == 10
    before = folder_bytes(place.out)

    end = command(place, gateway)

    assert end.status == 10
    assert "next     batch-runner retry" in end.err
    assert folder_bytes(place.out) == before
    assert gateway.books().requests == 2


async def test_appended_rows_are_sent_and_moved_or_removed_ones_are_not(place: Place, gateway: ServedHere) -> None:
    rows = [{"id": f"r{number}", "prompt": f"question {number}"} for number in range(6)]
    place.write(rows)
    await run_file(place.prompts, endpoint=gateway.url)

    place.write([{"id": "new", "prompt": "one more"}, *reversed(rows[:4])])
    report = await run_file(place.prompts, endpoint=gateway.url)

    assert report.exit_status == 0
    assert gateway.books().attempts == Counter([*(f"question {number}" for number in range(6)), "one more"])
    assert set(place.by_id()) == {"new", *(f"r{number}" for number in range(6))}
    assert report.totals.rows["ok"] == 5
    assert report.totals.rows["not_in_input"] == 2
    assert place.totals()["job"]["rows"] == 5


async def test_rows_without_an_id_are_known_by_what_they_ask(place: Place, gateway: ServedHere) -> None:
    place.write([{"prompt": "one", "label": "a"}, {"prompt": "two"}, {"prompt": "two"}])
    await run_file(place.prompts, endpoint=gateway.url)
    place.write([{"prompt": "two"}, {"prompt": "one", "label": "edited"}, {"prompt": "one, edited"}, {"prompt": "two"}])

    report = await run_file(place.prompts, endpoint=gateway.url)

    assert report.exit_status == 0
    assert gateway.books().attempts == Counter({"one": 1, "two": 2, "one, edited": 1})
    assert len(place.rows()) == 4


async def test_the_same_row_in_another_form_is_the_same_row(place: Place, gateway: ServedHere) -> None:
    place.write([{"prompt": "one"}])
    await run_file(place.prompts, endpoint=gateway.url)
    place.write([{"messages": [{"role": "user", "content": "one"}]}])

    await run_file(place.prompts, endpoint=gateway.url)

    assert gateway.books().requests == 1


def test_a_changed_model_is_not_bought_without_a_word(place: Place, gateway: ServedHere) -> None:
    place.write_questions(3)
    command(place, gateway)
    before = folder_bytes(place.out)

    end = command(place, gateway, "-m", "o1")

    assert end.status == 3
    assert "3 answered rows" in end.err
    assert "--rerun-changed" in end.err
    assert folder_bytes(place.out) == before
    assert gateway.books().requests == 3


def test_a_person_at_a_terminal_is_asked_whether_to_buy_changed_rows_again(place: Place, gateway: ServedHere) -> None:
    place.write_questions(3)
    command(place, gateway)
    before = place.out.read_bytes()
    again = ("run", place.prompts, "--endpoint", gateway.url, "-m", "o1")

    no, told = place.on_a_terminal("n\n", *again)
    after_no = place.out.read_bytes()
    yes, _ = place.on_a_terminal("y\n", *again)

    assert no == 3
    assert "3 answered rows" in told
    assert after_no == before
    assert yes == 0
    assert gateway.books().requests == 6


@pytest.mark.parametrize("word", ["--rerun-changed", "--yes"])
def test_changed_rows_are_bought_again_when_told_and_remember_what_the_old_model_cost(
    place: Place, gateway: ServedHere, word: str
) -> None:
    place.write_questions(2)
    command(place, gateway)
    first = place.by_id()["r0"]

    end = command(place, gateway, "-m", "o1", word)

    now = place.by_id()["r0"]
    assert end.status == 0, end.err
    assert now["model"] == "o1"
    (other,) = json.loads(now["spent_other"])
    assert other["model"] == "o1-mini"
    assert {name: other[name] for name in FIVE} == first["spent"]
    assert len(place.rows()) == 2
    assert lies_between(gateway.books(), place.totals()["job"])


async def test_a_cap_is_not_part_of_what_is_asked(place: Place, gateway: ServedHere) -> None:
    place.write_questions(2)
    await run_file(place.prompts, endpoint=gateway.url, max_completion_tokens=900)

    await run_file(place.prompts, endpoint=gateway.url, max_completion_tokens=2000)

    assert gateway.books().requests == 2


def test_an_output_of_another_host_is_left_alone_until_that_is_accepted(place: Place, gateway: ServedHere) -> None:
    place.write_questions(2)
    command(place, gateway)
    before = folder_bytes(place.out)
    other = gateway.url.replace("127.0.0.1", "localhost")

    refused = place.run("run", place.prompts, "--endpoint", other)
    after_refusal = folder_bytes(place.out)
    place.write_questions(3)
    accepted = place.run("run", place.prompts, "--endpoint", other, "--accept-other-endpoint")

    assert refused.status == 3
    assert all(word in refused.err for word in ("127.0.0.1", "localhost", "--fresh", "-o", "--accept-other-endpoint"))
    assert after_refusal == before
    assert accepted.status == 0
    assert gateway.books().attempts == Counter(["question 0", "question 1", "question 2"])


async def test_another_port_is_the_same_endpoint(place: Place, servers: Servers) -> None:
    place.write_questions(2)
    await run_file(place.prompts, endpoint=servers.gateway().url)
    second = servers.gateway()

    report = await run_file(place.prompts, endpoint=second.url)

    assert report.exit_status == 0
    assert second.books().requests == 0


async def test_made_up_answers_are_never_taken_for_real_ones(place: Place, gateway: ServedHere) -> None:
    place.write_questions(3)
    await run_file(place.prompts, endpoint="fake")
    with pytest.raises(CannotStart, match="--accept-other-endpoint"):
        await run_file(place.prompts, endpoint=gateway.url)

    report = await run_file(place.prompts, endpoint=gateway.url, accept_other_endpoint=True)

    assert report.exit_status == 0
    assert gateway.books().requests == 3
    assert lies_between(gateway.books(), place.totals()["job"])
    assert place.totals()["job"]["tokens"]["total_tokens"] == gateway.books().billed["total_tokens"]
    assert sum(row["spent"]["total_tokens"] for row in place.rows()) == gateway.books().billed["total_tokens"]


async def test_answers_of_the_embedded_endpoint_say_so(place: Place) -> None:
    place.write_questions(1)

    await run_file(place.prompts, endpoint="fake")

    assert "fp_fake" in place.rows()[0]["body"]
    assert place.lines()[0]["run"]["endpoint"] == "fake"


def test_retry_sends_what_failed_and_needs_nothing_but_the_output(place: Place, servers: Servers) -> None:
    place.write([{"id": "a", "prompt": "good"}, {"id": "b", "prompt": "bad"}, {"id": "c", "prompt": "worse", "mine": [1, None]}])
    gateway = servers.gateway(Scenario(faults=(BAD, Fault(Canned("server_error"), prompt="worse"))))
    command(place, gateway, "--max-attempts", "1", "--max-completion-tokens", "777")
    place.prompts.unlink()
    gateway.plays(Scenario())

    end = place.run("retry", place.out)

    assert end.status == 0, end.err
    assert gateway.books().attempts == Counter({"good": 1, "bad": 2, "worse": 2})
    rows = place.by_id()
    assert len(place.rows()) == 3
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert {row["max_completion_tokens"] for row in rows.values()} == {777}
    assert [attempt["outcome"] for attempt in rows["c"]["attempts"]] == ["server_error", "ok"]
    assert rows["c"]["extra"] == '{"mine":[1,null]}'
    assert rows["c"]["source"] == f"{place.prompts}:3"


def test_run_sends_failed_rows_again_only_when_asked(place: Place, servers: Servers) -> None:
    place.write([{"prompt": "bad"}, {"prompt": "good"}])
    gateway = servers.gateway(Scenario(faults=(BAD,)))
    command(place, gateway)
    gateway.plays(Scenario())

    without = command(place, gateway)
    requests = gateway.books().requests
    asked = command(place, gateway, "--retry-failed")

    assert without.status == 10
    assert requests == 2
    assert asked.status == 0
    assert gateway.books().attempts == Counter({"bad": 2, "good": 1})


def test_a_flag_beats_the_settings_that_retry_takes_over(place: Place, servers: Servers) -> None:
    place.write([{"prompt": "bad"}])
    gateway = servers.gateway(Scenario(faults=(BAD,)))
    command(place, gateway, "--max-completion-tokens", "777")
    gateway.plays(Scenario())

    place.run("retry", place.out, "--max-completion-tokens", "999")

    assert place.rows()[0]["max_completion_tokens"] == 999


def test_only_truncated_buys_the_rows_whose_cap_was_too_small_and_nothing_else(place: Place, servers: Servers) -> None:
    place.write([{"id": "short", "prompt": "one", "max_completion_tokens": 150}, {"id": "enough", "prompt": "two"}])
    gateway = servers.gateway(Scenario(answers=LONG))
    first = command(place, gateway, "--max-completion-tokens", "5000")
    assert {row["id"]: row["status"] for row in place.rows()} == {"short": "truncated", "enough": "ok"}
    place.write([{"id": "short", "prompt": "one"}, {"id": "enough", "prompt": "two"}])

    end = command(place, gateway, "--max-completion-tokens", "5000", "--only", "truncated")

    assert first.status == 10
    assert end.status == 0, end.err
    assert gateway.books().attempts == Counter({"one": 2, "two": 1})
    row = place.by_id()["short"]
    assert row["spent"]["completion_tokens"] > row["usage"]["completion_tokens"] == 300
    assert [attempt["outcome"] for attempt in row["attempts"]] == ["truncated", "ok"]


def test_retry_only_truncated_grows_the_cap(place: Place, servers: Servers) -> None:
    place.write_questions(2)
    gateway = servers.gateway(Scenario(answers=LONG))
    first = command(place, gateway, "--max-completion-tokens", "150")

    end = place.run("retry", place.out, "--only", "truncated", "--max-completion-tokens", "4096")

    assert first.status == 10
    assert "--only truncated --max-completion-tokens 4096" in first.err
    assert end.status == 0, end.err
    assert {row["status"] for row in place.rows()} == {"ok"}
    assert lies_between(gateway.books(), place.totals()["job"])


async def test_what_a_row_has_cost_is_carried_from_run_to_run(place: Place, servers: Servers) -> None:
    place.write([{"id": "a", "prompt": "one"}])
    gateway = servers.gateway(Scenario(answers=LONG))
    for cap in (120, 130, 4096):
        await run_file(place.prompts, endpoint=gateway.url, max_completion_tokens=cap, only="truncated" if cap > 120 else ())

    (row,) = place.rows()

    assert row["spent"]["completion_tokens"] == gateway.books().billed["completion_tokens"] == 120 + 130 + 300
    assert [(attempt["outcome"], attempt["n"]) for attempt in row["attempts"]] == [("truncated", 2), ("ok", 1)]
    assert row["usage"]["completion_tokens"] == 300


async def test_totals_tell_the_job_and_the_run_apart(place: Place, gateway: ServedHere) -> None:
    place.write_questions(3)
    first = await run_file(place.prompts, endpoint=gateway.url)
    place.write_questions(5)

    second = await run_file(place.prompts, endpoint=gateway.url)

    totals = place.totals()
    assert (totals["job"]["rows"], totals["run"]["rows"]) == (5, 2)
    assert (totals["job"]["attempts"], totals["run"]["attempts"]) == (5, 2)
    assert totals["job"]["tokens"]["total_tokens"] == gateway.books().billed["total_tokens"]
    assert totals["run"]["tokens"]["total_tokens"] == second.run.spent.total_tokens
    assert totals["job"]["tokens"]["total_tokens"] == first.run.spent.total_tokens + second.run.spent.total_tokens  # type: ignore[operator]


async def test_an_unrecorded_row_with_the_text_of_a_recorded_one_is_not_lost(place: Place, gateway: ServedHere) -> None:
    place.write([{"prompt": "same"}])
    await run_file(place.prompts, endpoint=gateway.url)
    place.write([{"prompt": "same"}, {"prompt": "same"}, {"prompt": "same"}])

    report = await run_file(place.prompts, endpoint=gateway.url)

    assert report.totals.rows["ok"] == 3
    assert gateway.books().requests == 3
    assert len({row["id"] for row in place.rows()}) == 3


def test_fresh_sets_the_old_output_aside_and_starts_anew(place: Place, gateway: ServedHere) -> None:
    place.write_questions(2)
    command(place, gateway)
    old = place.out.read_bytes()

    end = command(place, gateway, "--fresh")

    (aside,) = place.folder.glob("prompts.results.jsonl.*.bak")
    assert end.status == 0
    assert aside.read_bytes() == old
    assert gateway.books().requests == 4
    assert place.totals()["job"]["attempts"] == 2


def test_a_limit_is_about_the_first_rows_of_the_input_done_or_not(place: Place, gateway: ServedHere) -> None:
    place.write_questions(5)

    for _ in range(2):
        end = command(place, gateway, "-n", "2")
    requests = gateway.books().requests
    command(place, gateway)

    assert end.status == 0
    assert requests == 2
    assert gateway.books().requests == 5
    assert len(place.rows()) == 5


def test_an_invalid_line_is_told_once_and_sent_when_it_is_mended(place: Place, gateway: ServedHere) -> None:
    place.write([{"id": "a", "prompt": "one"}, '{"id": "b", "prompt": 7}', "no json at all"])

    first = command(place, gateway)
    before = folder_bytes(place.out)
    second = command(place, gateway)
    after = folder_bytes(place.out)
    place.write([{"id": "a", "prompt": "one"}, {"id": "b", "prompt": "seven"}])
    third = command(place, gateway)

    assert (first.status, second.status, third.status) == (10, 10, 0)
    assert after == before
    assert gateway.books().attempts == Counter(["one", "seven"])
    assert place.by_id()["b"]["status"] == "ok"


def test_rows_added_while_the_run_goes_on_wait_for_the_next_one(place: Place, servers: Servers) -> None:
    place.write_questions(8)
    gateway = servers.gateway(Scenario(latency=Latency(seconds=Fixed(0.2))))
    started = place.start("run", place.prompts, "--endpoint", gateway.url, "-c", "2")
    until(lambda: gateway.books(rows=False).requests >= 2)
    with place.prompts.open("a") as file:
        file.write('{"id": "late", "prompt": "late"}\n')

    end = started.ended()

    assert end.status == 0
    assert gateway.books().requests == 8
    assert command(place, gateway).status == 0
    assert gateway.books().requests == 9


def test_an_input_edited_under_a_run_stops_it_before_a_wrong_row_is_sent(place: Place, servers: Servers) -> None:
    place.write({"id": f"r{number}", "prompt": f"question {number}", "padding": "x" * 1024} for number in range(600))
    gateway = servers.gateway(Scenario(latency=Latency(seconds=Fixed(0.01))))
    started = place.start("run", place.prompts, "--endpoint", gateway.url, "-c", "4")
    until(lambda: gateway.books(rows=False).requests >= 4)
    text = place.prompts.read_text().replace('"question 599"', '"question XXX"')
    place.prompts.write_text(text)

    end = started.ended()

    assert end.status == 3, end.err
    assert "changed while the run went on" in end.err
    assert "question XXX" not in gateway.books().attempts
    assert len(place.rows()) == gateway.books().requests
