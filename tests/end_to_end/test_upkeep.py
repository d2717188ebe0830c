"""Outputs between runs: compacted, pruned, joined, verified; each on what real runs wrote."""

from __future__ import annotations

import io
import json
import signal
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any

import pytest

from batch_runner.__main__ import _status as main_status
from batch_runner.fake_server import Canned, Cut, Fault, Fixed, Latency, Scenario
from batch_runner.output.index import Index
from tests.end_to_end.conftest import KEY, Ended, lies_between, until
from tests.end_to_end.test_failing_write import at_most

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.conftest import Place, ServedHere, Servers

FAILING = Scenario(faults=(Fault(Canned("context_length_exceeded"), prompt="question 1"),))
UNTIL_TOLD = Scenario(latency=Latency(seconds=Fixed(600)))


def here(place: Place, *words: str | Path) -> Ended:
    """The command in this process, which spares its start."""
    out, err = io.StringIO(), io.StringIO()
    named = ["batch-runner", *map(str, words)]
    with chdir(place.folder), redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", named)
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            status = main_status()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)  # a command ends deaf to them, and this process goes on
    return Ended(status, out.getvalue(), err.getvalue())


def well(place: Place, out: Path | None = None) -> None:
    """Nothing in the output is wrong."""
    end = here(place, "status", out or place.out, "--verify")
    assert end.status == 0, end.out


def with_replaced_lines(place: Place, gateway: ServedHere) -> None:
    """An output with lines that later ones replaced, as a run leaves it that was killed before it tidied up."""
    place.write_questions(6)
    gateway.plays(Scenario(faults=(Fault(Cut(inside=True), attempts=(1,)),)))
    here(place, "run", place.prompts, "--endpoint", gateway.url, "--max-attempts", "1", "--max-completion-tokens", "700")
    gateway.plays(Scenario())
    before = place.out.read_bytes()
    here(place, "retry", place.out)
    after = place.out.read_bytes()
    place.out.write_bytes(before + after)


def test_compact_leaves_one_line_for_each_row_and_says_what_went(place: Place, gateway: ServedHere) -> None:
    with_replaced_lines(place, gateway)
    rows = place.by_id()
    place.out.chmod(0o640)
    link = place.folder / "link.jsonl"
    link.symlink_to(place.out)

    first, second = here(place, "compact", link), here(place, "compact", link)

    assert (first.status, second.status) == (0, 0)
    assert "replaced line" in first.err
    assert "nothing to compact" in second.err
    assert {row["id"]: row for row in place.rows()} == rows
    assert len(place.rows()) == 6
    assert link.is_symlink()
    assert place.out.stat().st_mode & 0o777 == 0o640
    well(place)


def test_compact_tells_its_figures_as_json(place: Place, gateway: ServedHere) -> None:
    with_replaced_lines(place, gateway)
    before = place.out.stat().st_size

    document = here(place, "compact", place.out, "--json").document

    assert (document["bytes_before"], document["bytes_after"]) == (before, place.out.stat().st_size)
    assert (document["rows"]["ok"], document["exit_status"], document["trouble"]) == (6, 0, "")
    assert document["lines_removed"] > 0


def test_where_there_is_no_room_the_output_stays_and_the_rows_decide_the_exit(place: Place, gateway: ServedHere) -> None:
    with_replaced_lines(place, gateway)
    before = place.out.read_bytes()

    end = place.start("compact", place.out, preexec_fn=at_most(4000)).ended()

    assert end.status == 0
    assert "stays as it was" in end.err
    assert "File too large" in end.err
    assert place.out.read_bytes() == before
    assert not list(place.folder.glob("*.compacting"))


def test_a_compaction_that_is_killed_has_changed_nothing_and_goes_through_the_next_time(
    place: Place, gateway: ServedHere
) -> None:
    with_replaced_lines(place, gateway)
    line = place.out.read_bytes().splitlines(keepends=True)[1]
    more = (line.replace(b'"id":"r', b'"id":"more-%d-' % number, 1) for number in range(40_000))
    with place.out.open("ab") as file:
        file.writelines(more)
    before, beside = place.out.stat(), place.out.with_name(place.out.name + ".compacting")

    run = place.start("compact", place.out)
    until(lambda: beside.exists() and beside.stat().st_size > 1_000_000, what="the new file to grow")
    run.kill()

    after = place.out.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    assert beside.exists()
    assert here(place, "compact", place.out).status == 10, "the made-up rows are unfinished"
    assert not beside.exists()
    assert len({row["id"] for row in place.rows()}) == len(place.rows()) == 40_006


@pytest.mark.parametrize("word", ["compact", "prune", "merge"])
def test_an_output_that_a_run_holds_is_left_alone(place: Place, servers: Servers, word: str) -> None:
    place.write_questions(3)
    gateway = servers.gateway(UNTIL_TOLD)
    place.start("run", place.prompts, "--endpoint", gateway.url)
    until(lambda: gateway.books(rows=False).open >= 3)
    copy = place.folder / "copy.jsonl"
    copy.write_bytes(place.out.read_bytes())
    before = place.out.read_bytes()
    more = {"compact": (), "prune": (place.prompts, "--yes"), "merge": (copy, "-o", "new.jsonl")}[word]

    end = here(place, word, place.out, *more)

    assert end.status == 75
    assert "held by another run" in end.err
    assert place.out.read_bytes() == before


@pytest.mark.parametrize("word", ["compact", "prune", "merge"])
@pytest.mark.parametrize("name", ["gone.jsonl", "prompts.jsonl", "."])
def test_what_is_no_output_is_refused_in_one_line(place: Place, word: str, name: str) -> None:
    place.write_questions(1)
    more = {"compact": (), "prune": (place.prompts, "--yes"), "merge": ("other.jsonl", "-o", "new.jsonl")}[word]

    end = here(place, word, name, *more)

    assert end.status == 3
    assert end.err.count("\n") == 1
    assert not (place.folder / "new.jsonl").exists()


def test_prune_sets_aside_what_left_the_input_and_merge_brings_it_back(place: Place, gateway: ServedHere) -> None:
    prompts = place.write_questions(10)
    place.write({"id": f"r{number}", "prompt": prompts[number]} for number in range(8))
    here(place, "run", place.prompts, "--endpoint", gateway.url)
    whole, job = place.by_id(), place.totals()["job"]
    place.write(({"id": f"r{number}", "prompt": prompts[number]} for number in (1, 2, 9)), "prompts.jsonl")

    end = here(place, "prune", place.out, place.prompts, "--yes", "--json")

    aside = place.folder / end.document["kept_in"]
    assert end.document["rows_dropped"] == 6
    assert end.status == 10, "r9 was never sent"
    assert set(place.by_id()) == {"r1", "r2"}
    assert set(place.by_id(aside)) == set(whole) - {"r1", "r2"}
    both = [place.totals(out)["job"]["tokens"]["total_tokens"] for out in (place.out, aside)]
    assert sum(both) == job["tokens"]["total_tokens"]
    well(place)
    well(place, aside)

    back = here(place, "merge", place.out, aside, "-o", "back.jsonl")

    new = place.folder / "back.jsonl"
    assert back.status == 0, back.err
    assert place.by_id(new) == whole
    assert place.totals(new)["job"]["tokens"] == job["tokens"]
    well(place, new)


def test_prune_asks_and_does_nothing_without_a_word(place: Place, gateway: ServedHere) -> None:
    place.write_questions(4)
    here(place, "run", place.prompts, "--endpoint", gateway.url)
    before = place.out.read_bytes()
    place.write_questions(1)

    nobody = here(place, "prune", place.out, place.prompts)
    no, shown = place.on_a_terminal("n\n", "prune", place.out, place.prompts)

    assert (nobody.status, no) == (3, 3)
    assert "3 of 4 records" in nobody.err
    assert "--yes" in nobody.err
    assert "Set them aside? [y/N]" in shown
    assert place.out.read_bytes() == before
    assert place.on_a_terminal("y\n", "prune", place.out, place.prompts)[0] == 0
    assert set(place.by_id()) == {"r0"}


def test_prune_does_nothing_where_every_row_is_in_the_input_or_the_input_is_empty(place: Place, gateway: ServedHere) -> None:
    place.write_questions(4)
    here(place, "run", place.prompts, "--endpoint", gateway.url)
    before = place.out.read_bytes()
    empty = place.write([], "empty.jsonl")

    same, none = here(place, "prune", place.out, place.prompts), here(place, "prune", place.out, empty, "--yes")

    assert (same.status, none.status) == (0, 3)
    assert "nothing to prune" in same.err
    assert "no row in" in none.err
    assert place.out.read_bytes() == before
    assert not list(place.folder.glob("*.pruned"))


def test_prune_does_not_take_another_files_rows_for_the_input(place: Place, gateway: ServedHere) -> None:
    place.write_questions(3)
    here(place, "run", place.prompts, "--endpoint", gateway.url)
    before = place.out.read_bytes()
    other = place.write([{"id": "elsewhere", "prompt": "x"}], "other.jsonl")

    end = here(place, "prune", place.out, other, "--yes")

    assert end.status == 3
    assert "none of the 3 records" in end.err
    assert place.out.read_bytes() == before


def test_prune_reads_rows_as_the_run_did(place: Place, gateway: ServedHere) -> None:
    told = ("--template", "Say {word}", "--id-field", "nr", "--repeat", "2")
    place.write([{"nr": number, "word": f"w{number}"} for number in range(3)])
    here(place, "run", place.prompts, "--endpoint", gateway.url, *told)
    place.write([{"nr": number, "word": f"w{number}"} for number in range(2)])

    done = here(place, "prune", place.out, place.prompts, "--yes")

    assert "2 rows set aside" in done.err
    assert set(place.by_id()) == {"0#1", "0#2", "1#1", "1#2"}


def test_after_pruning_only_new_rows_are_sent(place: Place, gateway: ServedHere) -> None:
    place.write_questions(6)
    here(place, "run", place.prompts, "--endpoint", gateway.url)
    place.write_questions(3)
    here(place, "prune", place.out, place.prompts, "--yes")
    place.write_questions(4)
    gateway.forget()

    end = here(place, "run", place.prompts, "--endpoint", gateway.url)

    assert end.status == 0
    assert gateway.books().attempts == {"question 3": 1}
    well(place)


def test_shards_are_joined_to_what_one_run_would_have_come_to(place: Place, gateway: ServedHere) -> None:
    place.write_questions(12)
    lines = place.prompts.read_text().splitlines()
    outs = []
    for number in range(3):
        shard = place.write(lines[number::3], f"part-{number}.jsonl")
        here(place, "run", shard, "--endpoint", gateway.url)
        outs.append(place.folder / f"part-{number}.results.jsonl")
    before = [out.read_bytes() for out in outs]

    end = here(place, "merge", "part-*.results.jsonl", "-o", place.out, "--json")
    again = here(place, "run", place.prompts, "--endpoint", gateway.url)

    assert (end.status, again.status) == (0, 0), (end.err, again.err)
    assert end.document["rows"]["ok"] == 12
    assert end.document["in_more_than_one"] == 0
    assert "nothing to send" in again.err
    assert [out.read_bytes() for out in outs] == before
    books = gateway.books()
    assert books.requests == 12
    assert place.totals()["job"]["tokens"]["total_tokens"] == books.billed["total_tokens"]
    well(place)


def test_an_output_and_the_copy_that_went_on_count_each_attempt_once(place: Place, servers: Servers) -> None:
    place.write_questions(6)
    gateway = servers.gateway(FAILING)
    here(place, "run", place.prompts, "--endpoint", gateway.url)
    copy = place.folder / "copy.jsonl"
    copy.write_bytes(place.out.read_bytes())
    gateway.plays(Scenario())
    here(place, "retry", copy)
    new = place.folder / "new.jsonl"

    ends = [
        here(place, "merge", *order, "-o", name) for order, name in (((place.out, copy), new), ((copy, place.out), "other.jsonl"))
    ]

    assert [end.status for end in ends] == [0, 0]
    assert place.by_id(new) == place.by_id(copy) == place.by_id(place.folder / "other.jsonl")
    assert place.totals(new)["job"] == place.totals(copy)["job"] | {"by_kind": "{}"}
    assert place.totals(new)["job"]["tokens"]["total_tokens"] == gateway.books().billed["total_tokens"]
    well(place, new)


def test_rows_bought_in_two_outputs_are_paid_in_the_joined_one(place: Place, servers: Servers) -> None:
    place.write_questions(4)
    gateway = servers.gateway()
    outs = [place.folder / "a.jsonl", place.folder / "b.jsonl"]
    for out, model in zip(outs, ("o1-mini", "o1"), strict=True):
        here(place, "run", place.prompts, "-o", out, "--endpoint", gateway.url, "-m", model)

    end = here(place, "merge", *outs, "-o", place.out)

    job = place.totals()["job"]
    assert "4 rows of these had answers to different requests" in end.err
    assert job["tokens"]["total_tokens"] == gateway.books().billed["total_tokens"]
    assert set(json.loads(job["by_model"])) == {"o1-mini", "o1"}
    assert {row["model"] for row in place.rows()} == {"o1"}
    well(place)


def test_the_two_halves_of_a_run_whose_disk_was_full_are_one_again(place: Place, servers: Servers) -> None:
    place.write_questions(8)
    gateway = servers.gateway()
    here(place, "run", place.prompts, "--endpoint", gateway.url, "--max-completion-tokens", "700")
    whole, job = place.by_id(), place.totals()["job"]
    lines = place.out.read_bytes().splitlines(keepends=True)
    place.out.write_bytes(b"".join(lines[:5]) + lines[5][:50])
    rescue = place.folder / "rescue.jsonl"
    rescue.write_bytes(lines[0] + b"".join(lines[5:]))

    end = here(place, "merge", place.out, rescue, "-o", "new.jsonl")

    new = place.folder / "new.jsonl"
    assert end.status == 0, end.err
    assert place.by_id(new) == whole
    assert place.totals(new)["job"] == job
    well(place, new)


def test_killed_halves_are_charged_once_for_what_was_in_flight(place: Place, servers: Servers) -> None:
    place.write_questions(8)
    gateway = servers.gateway(Scenario(latency=Latency(seconds=Fixed(0.3))))
    run = place.start("run", place.prompts, "--endpoint", gateway.url, "-c", "2", "--max-completion-tokens", "700")
    until(lambda: place.recorded() >= 2)
    run.kill()
    copy = place.folder / "copy.jsonl"
    copy.write_bytes(place.out.read_bytes())

    end = here(place, "merge", place.out, copy, "-o", "new.jsonl", "--json")

    ceiling = place.lines()[0]["run"]["ceiling"]
    assert end.document["job"]["unclosed"]["completion_tokens"] == ceiling["completion_tokens"]
    assert end.document["rows"]["unattempted"] == 8 - len(place.rows())
    assert end.status == 10
    assert lies_between(gateway.at_rest(), end.document["job"])


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        pytest.param(("prompts.results.jsonl", "-o", "new.jsonl"), 2, "name two outputs at least", id="one"),
        pytest.param(("prompts.results.jsonl", "./prompts.results.jsonl", "-o", "new.jsonl"), 2, "two outputs", id="one, twice"),
        pytest.param(("prompts.results.jsonl", "copy.jsonl", "-o", "copy.jsonl"), 3, "is there already", id="into one of them"),
        pytest.param(("prompts.results.jsonl", "copy.jsonl", "-o", "no/new.jsonl"), 3, "there is no folder", id="into nowhere"),
        pytest.param(("prompts.results.jsonl", "x-*.jsonl", "-o", "new.jsonl"), 3, "no file matches", id="a pattern of none"),
        pytest.param(("prompts.results.jsonl", "copy.jsonl"), 2, "'-o'", id="nowhere named"),
    ],
)
def test_what_cannot_be_joined_is_told(place: Place, gateway: ServedHere, words: tuple[str, ...], status: int, told: str) -> None:
    place.write_questions(1)
    here(place, "run", place.prompts, "--endpoint", gateway.url)
    (place.folder / "copy.jsonl").write_bytes(place.out.read_bytes())

    end = here(place, "merge", *words)

    assert end.status == status
    assert told in end.err
    assert end.err.count("\n") == 1


def test_a_joined_output_that_finds_no_room_is_not_there(place: Place, gateway: ServedHere) -> None:
    place.write_questions(4)
    for name in ("a.jsonl", "b.jsonl"):
        here(place, "run", place.prompts, "-o", name, "--endpoint", gateway.url)

    end = place.start("merge", "a.jsonl", "b.jsonl", "-o", "new.jsonl", preexec_fn=at_most(4000)).ended()

    assert end.status == 6
    assert "nothing was joined" in end.err
    assert not list(place.folder.glob("new.jsonl*compacting"))
    assert not (place.folder / "new.jsonl").exists()


def spoiled(place: Place, change: Any) -> Any:
    lines = place.out.read_bytes().splitlines(keepends=True)
    place.out.write_bytes(b"".join(change(lines)))
    return here(place, "status", place.out, "--verify", "--json")


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        pytest.param(lambda ls: [*ls[:3], ls[2], *ls[3:]], {(4, "repeated")}, id="a line twice"),
        pytest.param(lambda ls: [*ls[:3], *ls[4:]], {(5, "doesn't add up")}, id="a line less"),
        pytest.param(lambda ls: [*ls[:2], b"garbage\n", *ls[2:]], {(3, "unreadable")}, id="garbage"),
        pytest.param(lambda ls: [*ls[:4], ls[4][:300]], {(5, "torn")}, id="a torn end"),
        pytest.param(
            lambda ls: [*ls[:2], ls[2].replace(b'"status":"ok"', b'"status":"scored"'), *ls[3:]],
            {(3, "unknown"), (6, "doesn't add up")},
            id="a status of another program",
        ),
        pytest.param(
            lambda ls: [ls[0], ls[1].replace(b'"run_id":"2', b'"run_id":"3'), *ls[2:]], {(2, "unknown")}, id="another run's"
        ),
        pytest.param(
            lambda ls: [ls[0], ls[1].replace(b'"answer":"', b'"answer":\x00"'), *ls[2:]],
            {(2, "unreadable"), (6, "doesn't add up")},
            id="damaged inside",
        ),
        pytest.param(
            lambda ls: [ls[0], ls[1].replace(b'"spent":{"prompt_tokens":', b'"spent":{"prompt_tokens":1'), *ls[2:]],
            {(6, "doesn't add up")},
            id="tokens that nobody was billed for",
        ),
    ],
)
def test_every_line_that_is_not_well_is_named(
    place: Place, gateway: ServedHere, change: Any, faults: set[tuple[int, str]]
) -> None:
    place.write_questions(4)
    here(place, "run", place.prompts, "--endpoint", gateway.url)
    well(place)

    end = spoiled(place, change)

    assert end.status == 10
    assert {(fault["line"], fault["flaw"]) for fault in end.document["verify"]["faults"]} == faults
    assert not end.document["verify"]["well"]


def test_an_output_of_many_adventures_is_well(place: Place, servers: Servers) -> None:
    faults = (Fault(Canned("server_error"), probability=0.2), Fault(Cut(inside=True), probability=0.3))
    place.write_questions(30)
    gateway = servers.gateway(Scenario(latency=Latency(seconds=Fixed(0.02)), faults=faults))
    command = (
        "run",
        place.prompts,
        "--endpoint",
        gateway.url,
        "-c",
        "4",
        "--max-attempts",
        "2",
        "--max-completion-tokens",
        "700",
    )
    run = place.start(*command)
    until(lambda: place.recorded() >= 8)
    run.kill()
    well(place)

    for words in (command, ("retry", place.out, "-m", "o1"), (*command, "-m", "o3-mini", "--rerun-changed")):
        here(place, *words)
        well(place)

    assert lies_between(gateway.at_rest(), place.totals()["job"])


def test_a_run_at_work_is_well_so_far(place: Place, servers: Servers) -> None:
    place.write_questions(40)
    gateway = servers.gateway(Scenario(latency=Latency(seconds=Fixed(0.2))))
    place.start("run", place.prompts, "--endpoint", gateway.url, "-c", "4")
    until(lambda: place.recorded() >= 4)

    end = here(place, "status", place.out, "--verify")

    assert end.status == 0, end.out
    assert "totals are still to come" in end.out
    assert KEY not in end.out


def test_retry_reads_its_output_once(place: Place, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write_questions(3)
    gateway = servers.gateway(FAILING)
    here(place, "run", place.prompts, "--endpoint", gateway.url)
    gateway.plays(Scenario())
    taken: list[bytes] = []
    take = Index.take

    def watched(index: Index, lines: list[bytes]) -> None:
        taken.extend(lines)
        take(index, lines)

    monkeypatch.setattr(Index, "take", watched)
    before = len(place.lines())

    end = here(place, "retry", place.out)

    assert end.status == 0, end.err
    assert len(taken) == before + len([b"the run line", b"the row", b"the totals line"])
    assert {row["status"] for row in place.rows()} == {"ok"}
