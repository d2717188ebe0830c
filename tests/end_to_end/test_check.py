"""`check` and `--fix` as people use them."""

import json
from typing import Any

from tests.end_to_end.conftest import REPOSITORY, Place, ServedHere

OLD = {"id": "old", "prompt": "a", "params": {"max_tokens": 4096}}
TOLD = {"id": "told", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "b"}]}
PLAIN = {"id": "plain", "prompt": "c"}


def bodies_of(place: Place) -> dict[str, Any]:
    return {row["id"]: json.loads(row["body"]) for row in place.rows() if row["body"]}


def test_a_check_asks_nobody_and_writes_nothing(place: Place, gateway: ServedHere) -> None:
    place.write([PLAIN])
    before = sorted(place.folder.iterdir())

    done = place.run("check", "prompts.jsonl", "--endpoint", gateway.url, env={"BATCH_RUNNER_API_KEY": ""})

    assert (done.status, done.err) == (0, "")
    assert "1 row: nothing stands in the way" in done.out
    assert sorted(place.folder.iterdir()) == before
    assert gateway.books().requests == 0


def test_what_a_check_foretells_is_what_the_service_says(place: Place, gateway: ServedHere) -> None:
    place.write([OLD, TOLD, PLAIN, {"id": "warm", "prompt": "d", "params": {"temperature": 0.2}}, "{"])
    check = place.run("check", "prompts.jsonl", "--endpoint", gateway.url, "--json")

    run = place.run("run", "prompts.jsonl", "--endpoint", gateway.url)

    foretold = {each["message"] for each in check.document["refused"]}
    assert check.status == run.status == 10
    assert foretold == {row["message"] for row in place.rows() if row["status"] == "failed"}
    assert check.document["rows"]["invalid"] == sum(row["status"] == "invalid" for row in place.rows()) == 1
    assert "1 row asks o1-mini for what it refuses (max_tokens): batch-runner check tells more, --fix mends it" in run.err
    assert "(temperature): batch-runner check tells more\n" in run.err


def test_fix_mends_what_would_be_refused_and_says_so_once(place: Place, gateway: ServedHere) -> None:
    place.write([OLD, TOLD, PLAIN])

    run = place.run("run", "prompts.jsonl", "--endpoint", gateway.url, "--fix")

    assert run.status == 0
    assert run.err.count("--fix: max_tokens is sent as max_completion_tokens in 1 row\n") == 1
    assert run.err.count("--fix: system and developer messages are sent inside the user turns in 1 row\n") == 1
    assert "refuses" not in run.err
    assert {row["id"]: row["max_completion_tokens"] for row in place.rows()} == {"old": 4096, "told": None, "plain": None}


def test_a_mended_row_is_the_same_row(place: Place, gateway: ServedHere) -> None:
    place.write([OLD, TOLD, PLAIN])
    assert place.run("run", "prompts.jsonl", "--endpoint", gateway.url).status == 10
    before = {row["id"]: row["fingerprint"] for row in place.rows()}

    assert place.run("retry", place.out, "--fix").status == 0

    assert {row["id"]: row["fingerprint"] for row in place.rows()} == before
    again = place.run("run", "prompts.jsonl", "--endpoint", gateway.url)
    assert "nothing to send" in again.err


def test_a_job_can_ask_for_mending(place: Place, gateway: ServedHere) -> None:
    place.write([OLD])
    job = f'inputs = "prompts.jsonl"\noutput = "prompts.results.jsonl"\n[request]\nendpoint = "{gateway.url}"\nfix = true\n'
    (place.folder / "job.toml").write_text(job, encoding="utf-8")

    assert place.run("job", "run", "job.toml").status == 0


def test_the_samples_are_checked_to_the_last_line(place: Place) -> None:
    done = place.run("check", f"{REPOSITORY}/sample_inputs/*.jsonl", "--json", "--show", "99")

    document = done.document
    assert done.status == 10
    assert (document["rows"]["new"], document["rows"]["invalid"], len(document["invalid"])) == (35, 7, 7)
    assert document["prompt_tokens"]["exact"]


def test_repeated_ids_are_all_told_and_a_run_does_not_begin(place: Place) -> None:
    place.write([{"id": f"r{number % 3}", "prompt": str(number)} for number in range(9)])

    check, run = place.run("check", "prompts.jsonl"), place.run("run", "prompts.jsonl", "--endpoint", "fake")

    assert check.status == run.status == 3
    assert "'r0' at prompts.jsonl:1 and prompts.jsonl:4" in check.out
    assert "of 9 rows: 6 with the id of another" in check.out


def test_a_check_ends_with_the_command_to_go_on_with(place: Place) -> None:
    place.write([PLAIN])
    place.write([OLD], "old.jsonl")
    place.write(['{"prompt": "a" "b"}'], "bad.jsonl")

    good, old, bad = (
        place.run("check", "--show", "3", name, "--rpm", "5") for name in ("prompts.jsonl", "old.jsonl", "bad.jsonl")
    )

    assert good.out.splitlines()[-1] == "next: batch-runner run prompts.jsonl --rpm 5"
    assert old.out.splitlines()[-1] == "next: batch-runner check old.jsonl --rpm 5 --fix"
    assert "next" not in bad.out.splitlines()[-1]


def test_a_quiet_check_tells_by_its_status(place: Place) -> None:
    place.write([PLAIN, "{"])

    done = place.run("check", "prompts.jsonl", "-q")

    assert (done.status, done.out, done.err) == (10, "", "")


def test_prices_of_ones_own_are_in_lines_summary_and_status(place: Place, gateway: ServedHere) -> None:
    place.write([PLAIN])
    (place.folder / "mine.toml").write_text("[models.o1-mini]\ninput = 1000\noutput = 2000\n", encoding="utf-8")

    run = place.run("run", "prompts.jsonl", "--endpoint", gateway.url, "--prices", "mine.toml")
    status = place.run("status", place.out, "--json")

    (row,) = place.rows()
    spent = row["spent"]
    assert row["cost_usd"] == (spent["prompt_tokens"] * 1000 + spent["completion_tokens"] * 2000) / 10**6
    assert "(prices of mine.toml)" in run.err
    assert status.document["cost"]["usd"] == row["cost_usd"]
    assert status.document["cost"]["prices"] == "prices of mine.toml"
    assert place.run("status", place.out, "--prices", "gone.toml").status == 3


def test_a_mistake_in_the_prices_is_told_before_anything_is_sent(place: Place, gateway: ServedHere) -> None:
    place.write([PLAIN])
    (place.folder / "mine.toml").write_text("[models.o1-mini]\ninput = 1\nouput = 2\n", encoding="utf-8")

    done = place.run("run", "prompts.jsonl", "--endpoint", gateway.url, "--prices", "mine.toml")

    assert done.status == 2
    assert "mine.toml:3: there is no 'ouput' in a price; did you mean 'output'?" in done.err
    assert (gateway.books().requests, place.out.exists()) == (0, False)
