"""Nights in fast motion, the quota dying in the second: what history, pings, retries and retention make of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from batch_runner import read_results
from batch_runner.fake_server import Canned, Fault, Scenario
from batch_runner.nightly.diary import Diary
from tests.end_to_end.nights import Nightly
from tests.end_to_end.test_notices import Box
from tests.end_to_end.test_upkeep import here

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.conftest import Ended, Place, ServedHere, Servers

ROWS = 6
JOB = """
inputs = "prompts/{{date}}.jsonl"
output = "results/{{date}}.jsonl"

[job]
zone = "UTC"
retry_failed_from = "previous"
keep = 2

[request]
endpoint = "{url}"

[limits]
concurrency = 1

[notify]
ping = "{ping}"
summary = "mornings/{{date}}.md"
metrics = "nightly.prom"
after = ["sh", "-c", "echo $BATCH_RUN_STATE $BATCH_RUN_ROWS_OK >> notes"]
"""
QUOTA_DIES = Scenario(faults=(Fault(Canned("insufficient_quota"), first_request=4),))


class Job:
    """A job in a folder, its gateway, and whom it tells."""

    def __init__(self, place: Place, gateway: ServedHere, box: Box, text: str = JOB) -> None:
        self.place = place
        self.gateway = gateway
        self.box = box
        (place.folder / "prompts").mkdir()
        self.file = place.folder / "nightly.toml"
        self.file.write_text(text.format(url=gateway.url, ping=box.url), encoding="utf-8")

    def night(self, day: int, *more: str, rows: int = ROWS) -> Ended:
        """Run the night of a day, whose rows are its own."""
        prompts = [{"id": f"{day}-{number}", "prompt": f"question {day}-{number}"} for number in range(rows)]
        self.place.write(prompts, f"prompts/2026-11-{day}.jsonl")
        return here(self.place, "job", "run", self.file, "--night", f"2026-11-{day}", *more)

    def history(self) -> list[dict[str, Any]]:
        """What `job history` tells a program."""
        nights: list[dict[str, Any]] = here(self.place, "job", "history", self.file, "--json").document["nights"]
        return nights

    def results(self, day: int) -> Path:
        return self.place.folder / f"results/2026-11-{day}.jsonl"


@pytest.fixture
def job(place: Place, servers: Servers) -> Job:
    return Job(place, servers.gateway(), Box(servers))


def test_three_nights_of_which_the_second_runs_out_of_money(job: Job) -> None:
    first = job.night(21)
    job.gateway.plays(QUOTA_DIES)
    job.gateway.forget()
    second = job.night(22)
    job.gateway.plays(Scenario())
    third = job.night(23)
    fourth = job.night(24)

    assert [first.status, second.status, third.status, fourth.status] == [0, 4, 0, 0]
    # notification: each night's start and end, and what commands were told
    assert job.box.paths == ["/start", "", "/start", "/4", "/start", "", "/start", ""]
    assert b"quota_exhausted" in job.box.got[3][2]
    assert (job.place.folder / "notes").read_text().splitlines()[1].startswith("failure ")
    # retry: the row that the second night broke off at is sent again by the third
    left = [result.id for result in read_results(job.results(22)) if result.status == "unfinished"]
    assert left
    assert set(left) <= {result.id for result in read_results(job.results(23)) if result.status == "ok"}
    # history
    nights = job.history()
    assert [(night["night"][-2:], night["exit_status"]) for night in nights] == [("21", 0), ("22", 4), ("23", 0), ("24", 0)]
    assert nights[1]["reason"].startswith("quota_exhausted: ")
    assert nights[0]["ok_share"] == nights[2]["ok_share"] == 1.0
    assert nights[2]["totals"]["ok"] == ROWS + len(left)
    # retention: the first is packed, the second keeps its rows without a last word
    assert sorted(path.name for path in job.results(21).parent.glob("*.jsonl*") if path.suffix in {".jsonl", ".zst"}) == [
        "2026-11-21.jsonl.zst",
        "2026-11-22.jsonl",
        "2026-11-23.jsonl",
        "2026-11-24.jsonl",
        "nightly.history.jsonl",
    ]
    assert "2026-11-22.jsonl: left as it is: it has rows without a last word" in fourth.err
    # a summary for each morning, and the last success in the metrics
    assert (job.place.folder / "mornings/2026-11-22.md").read_text().startswith("# nightly: ")
    assert 'batch_runner_last_exit_status{name="nightly"} 0.0' in (job.place.folder / "nightly.prom").read_text()


def test_a_night_that_was_stopped_and_gone_on_with_is_one_line_of_the_history(job: Job) -> None:
    job.gateway.plays(QUOTA_DIES)
    stopped = job.night(21)
    job.gateway.plays(Scenario())
    done = job.night(21)

    (night,) = job.history()
    assert (stopped.status, done.status, night["exit_status"], night["totals"]["ok"]) == (4, 0, 0, ROWS)
    assert night["totals"]["attempts"] == job.gateway.books().requests


def test_status_of_a_job_is_that_of_its_newest_night_and_of_its_last_good_end(job: Job) -> None:
    nothing = here(job.place, "status", "--job", job.file)
    job.night(21)
    job.gateway.plays(QUOTA_DIES)
    job.gateway.forget()
    job.night(22)

    newest = here(job.place, "status", "--job", job.file)
    fresh = here(job.place, "status", "--job", job.file, "--max-age", "26h", "--json")
    stale = here(job.place, "status", "--job", job.file, "--max-age", "0.001s")

    assert (nothing.status, newest.status, fresh.status, stale.status) == (3, 20, 0, 23)
    assert "has no night yet" in nothing.err
    assert newest.out.startswith("results/2026-11-22.jsonl: interrupted: ")
    assert fresh.document["output"].endswith("2026-11-22.jsonl")


def test_status_wants_one_thing_to_look_at(job: Job) -> None:
    assert [here(job.place, "status", *words).status for words in ((), ("x.jsonl", "--job", str(job.file)))] == [2, 2]


def test_a_night_that_could_not_begin_stands_in_the_history(job: Job) -> None:
    end = here(job.place, "job", "run", job.file, "--night", "2026-11-21")

    (night,) = job.history()
    assert (end.status, night["exit_status"], job.box.paths) == (3, 3, ["/3"])
    assert "prompts/2026-11-21.jsonl" in night["reason"]


def test_a_night_without_one_before_it_to_retry_is_told_too(job: Job) -> None:
    text = job.file.read_text()
    job.file.write_text(text.replace('inputs = "prompts/{date}.jsonl"\n', ""))

    end = here(job.place, "job", "run", job.file, "--night", "2026-11-21")

    (night,) = job.history()
    assert (end.status, night["exit_status"], job.box.paths) == (3, 3, ["/3"])
    assert "there is no earlier night than 2026-11-21" in night["reason"]


def test_a_night_that_was_killed_stands_in_the_history_without_a_word(job: Job) -> None:
    job.night(21)
    (job.place.folder / "results/nightly.history.jsonl").unlink()

    (night,) = job.history()
    told = here(job.place, "job", "history", job.file)

    assert (night["night"], night["exit_status"], night["reason"]) == ("2026-11-21", -1, "it was killed, or is at work")
    assert "2026-11-21   ?" in told.out


def test_a_night_that_departs_from_its_past_is_marked_and_fails_where_that_is_asked(job: Job) -> None:
    assert job.night(11, "-q").status == 0
    history = job.place.folder / "results/nightly.history.jsonl"
    (line,) = history.read_text().splitlines()
    history.write_text("".join(line.replace("2026-11-11", f"2026-11-{day}") + "\n" for day in range(11, 16)))

    usual = job.night(16, "--fail-on-drift")
    marked = job.night(17, rows=2 * ROWS)
    failed = job.night(18, "--fail-on-drift", rows=2 * ROWS)
    told = here(job.place, "job", "history", job.file, "--fail-on-drift", "--last", "2")

    assert (usual.status, marked.status, failed.status, told.status) == (0, 0, 11, 11)
    assert "unusual  rows: 12, usually 6" in marked.err
    assert "the night departs from those before it: rows: 12, usually 6" in failed.err
    assert job.box.paths[-4:] == ["/start", "", "/start", "/11"]
    assert "! 2026-11-17: rows: 12, usually 6" in told.out
    assert "2026-11-16" not in told.out
    assert "rows: 12, usually 6" in (job.place.folder / "mornings/2026-11-18.md").read_text()


def test_an_output_that_is_packed_is_read_as_it_was_and_never_begun_anew(job: Job) -> None:
    for day in (21, 22, 23):
        job.night(day, "-q")
    packed = job.results(21)
    asked = job.gateway.books().requests

    by_name, by_file = (here(job.place, "status", name, "--verify") for name in (packed, f"{packed}.zst"))
    merged = here(job.place, "merge", packed, job.results(22), "-o", "both.jsonl")
    again = job.night(21)

    assert (by_name.status, by_file.status, merged.status, again.status) == (0, 0, 0, 3)
    assert len(list(read_results(job.place.folder / "both.jsonl"))) == 2 * ROWS
    assert "is packed in 2026-11-21.jsonl.zst" in again.err
    assert job.gateway.books().requests == asked


def test_what_would_be_put_away_can_be_looked_at_first(job: Job) -> None:
    for day in (21, 22):
        job.night(day, "-q")
    job.file.write_text(job.file.read_text().replace("keep = 2", "keep = 1").replace('retry_failed_from = "previous"', ""))

    looked = here(job.place, "job", "tidy", job.file, "--dry-run")
    before = job.results(21).exists()
    done = here(job.place, "job", "tidy", job.file)

    assert (looked.status, before, done.status, job.results(21).exists()) == (0, True, 0, False)
    assert "results/2026-11-21.jsonl: would be packed" in looked.out
    assert "results/2026-11-21.jsonl: packed, " in done.out
    assert "nothing to put away" in here(job.place, "job", "tidy", job.file).out


def test_tidying_wants_to_know_how_many_nights_to_keep(job: Job) -> None:
    job.file.write_text(job.file.read_text().replace("keep = 2", ""))

    end = here(job.place, "job", "tidy", job.file)

    assert (end.status, "keep = 14 under [job]" in end.err) == (2, True)


def test_nights_that_share_one_output_have_a_line_each(place: Place, servers: Servers) -> None:
    own = JOB.replace("results/{{date}}.jsonl", "results/all.jsonl").replace('retry_failed_from = "previous"\nkeep = 2', "")
    job = Job(place, servers.gateway(), Box(servers), own)

    for day in (21, 22):
        job.night(day)

    assert [(night["night"], night["totals"]["ok"], night["totals"]["attempts"]) for night in job.history()] == [
        ("2026-11-21", ROWS, ROWS),
        ("2026-11-22", ROWS, ROWS),
    ]


def test_a_history_that_can_not_be_written_is_told_and_the_night_is_what_it_is(job: Job) -> None:
    (job.place.folder / "results/nightly.history.jsonl").mkdir(parents=True)

    end = job.night(21)

    assert (end.status, "is missing in the job's history" in end.err) == (0, True)


def test_the_history_is_a_line_of_json_for_each_run(job: Job) -> None:
    job.night(21)

    (line,) = (job.place.folder / "results/nightly.history.jsonl").read_text().splitlines()
    assert json.loads(line) == job.history()[0]


def test_a_night_gone_on_with_after_midnight_is_one_line_and_its_end_is_fresh_by_the_clock_on_the_wall(
    place: Place, servers: Servers
) -> None:
    place.write_questions(6)
    gateway = servers.gateway(QUOTA_DIES)
    night = Nightly.of(place, gateway, more='[notify]\nsummary = "mornings/{date}.md"')

    evening = night.run("2026-11-24T23:50+01:00")
    gateway.plays(Scenario())
    after_midnight = night.run("2026-11-25T00:30+01:00")

    entries = Diary(place.folder / "results/nightly.history.jsonl").entries
    assert (evening.status, after_midnight.status) == (4, 0)
    assert [(entry.night, entry.exit_status, entry.ended[:16]) for entry in entries] == [("2026-11-24", 0, "2026-11-24T23:30")]
    assert (entries[0].judged, entries[0].totals.attempts) == (6, gateway.books().requests)
    assert [path.name for path in (place.folder / "mornings").iterdir()] == ["2026-11-24.md"]
