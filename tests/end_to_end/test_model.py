"""Whatever happens to an output, in whatever order: what must be in it is in it, and nothing in it is paid for twice.

A state machine runs, kills, cuts, edits, retries, compacts and so on, and after each step looks at the file and at the books
of a real gateway. It knows no more of the program than `docs/running.md` tells users. `MODEL_EXAMPLES=500` makes it long.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from batch_runner.fake_server import Canned, Cut, Fault, Fixed, Latency, Scenario
from batch_runner.output.history import History
from batch_runner.results.verifying import Flaw, Verification
from tests.end_to_end.conftest import KEY, REPOSITORY, Books, ServedHere, Servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "6"))
STEPS = 12
IN_FLIGHT = 3
ANSWERED = {"ok", "truncated", "refused"}
KINDS = ("plain", "plain", "toolong", "broken", "shaky", "half")
ENDS = {"plain": "ok", "shaky": "ok", "toolong": "failed", "broken": "failed", "half": "failed"}
SCENARIO = Scenario(
    latency=Latency(seconds=Fixed(0.002)),
    faults=(
        Fault(Canned("context_length_exceeded"), prompt="toolong"),
        Fault(Canned("server_error"), prompt="broken"),
        Fault(Cut(inside=True), prompt="half"),
        Fault(Cut(inside=True), prompt="shaky", attempts=(1,)),
    ),
)


class Forge:
    """The process that forks the others."""

    def __init__(self) -> None:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "BATCH_RUNNER_API_KEY": KEY}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.end_to_end.forge"],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def obey(self, **order: Any) -> list[int]:
        """Exit statuses, negative for a signal."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return list(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End it."""
        self._process.communicate("", timeout=20)


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    forge = Forge()
    yield forge
    forge.close()


@dataclass(frozen=True)
class Record:
    """What the output says of a row."""

    text: str
    model: str
    status: str


@dataclass
class World:
    """One output, its input, and whom it asks."""

    folder: Path
    forge: Forge
    gateway: ServedHere
    fault: str = ""
    rows: dict[str, str] = field(default_factory=dict)
    """The input: id and text, in order."""
    model: str = "o1-mini"

    @property
    def out(self) -> Path:
        return self.folder / "in.results.jsonl"

    def lines(self) -> list[dict[str, Any]]:
        """Every line that can be read."""
        if not self.out.exists():
            return []
        found = []
        for line in self.out.read_bytes().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def row_lines(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["status"] not in {"run", "totals"}]

    def records(self) -> dict[str, Record]:
        """The last word on each row."""
        last = {line["id"]: line for line in self.row_lines()}
        return {row_id: Record(json.loads(line["extra"])["note"], line["model"], line["status"]) for row_id, line in last.items()}

    def told_spent(self) -> int:
        """Tokens that the rows' last lines call spent."""
        last = {line["id"]: line for line in self.row_lines()}
        others = (each["total_tokens"] for line in last.values() for each in json.loads(line["spent_other"]))
        return int(sum(line["spent"]["total_tokens"] for line in last.values()) + sum(others))

    def at_most_billed(self) -> int:
        """What the output says may have been billed altogether."""
        with History(self.out) as history:
            job = history.job_so_far(real=True)
        return (job.spent.total_tokens or 0) + (job.maybe_billed.total_tokens or 0)

    def order(self, *commands: tuple[str, ...], **wrong: Any) -> list[int]:
        """Carry out commands at once; their exit statuses."""
        lines = (json.dumps({"id": row_id, "prompt": text, "note": text}) for row_id, text in self.rows.items())
        (self.folder / "in.jsonl").write_text("".join(f"{line}\n" for line in lines))
        return self.forge.obey(commands=commands, folder=str(self.folder), fault=self.fault, **wrong)

    def words(self, *more: str) -> tuple[str, ...]:
        """A run of the input."""
        asked = ("-m", self.model, "-c", str(IN_FLIGHT), "--max-attempts", "2", "--max-completion-tokens", "300")
        return ("run", "in.jsonl", "--endpoint", self.gateway.url, "-q", *asked, *more)

    def told(self) -> str:
        """What the commands said."""
        return (self.folder / "told.txt").read_text()


class Machine(RuleBasedStateMachine):
    """What may happen."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        world.gateway.forget()
        self.lost = 0
        """Tokens of lines that somebody cut off: the output can't know of them any more."""
        self.texts = 0

    @initialize(kinds=st.lists(st.sampled_from(KINDS), min_size=2, max_size=6))
    def begin(self, kinds: list[str]) -> None:
        for number, kind in enumerate(kinds):
            self.world.rows[f"r{number}"] = self.new_text(kind)

    def new_text(self, kind: str) -> str:
        self.texts += 1
        return f"{kind} number {self.texts}."

    # the input changes

    @rule(kind=st.sampled_from(KINDS), first=st.booleans())
    def a_row_is_added(self, kind: str, *, first: bool) -> None:
        row = {f"r{len(self.world.rows) + 10 * self.texts}": self.new_text(kind)}
        self.world.rows = row | self.world.rows if first else self.world.rows | row

    @precondition(lambda self: len(self.world.rows) > 1)
    @rule(data=st.data())
    def a_row_is_removed(self, data: st.DataObject) -> None:
        del self.world.rows[data.draw(st.sampled_from(sorted(self.world.rows)))]

    @rule(data=st.data(), kind=st.sampled_from(KINDS))
    def a_text_is_edited(self, data: st.DataObject, kind: str) -> None:
        self.world.rows[data.draw(st.sampled_from(sorted(self.world.rows)))] = self.new_text(kind)

    @rule()
    def rows_change_places(self) -> None:
        self.world.rows = dict(reversed(self.world.rows.items()))

    @rule()
    def another_model_is_asked(self) -> None:
        self.world.model = "o1" if self.world.model == "o1-mini" else "o1-mini"

    # the program at work

    @rule(again=st.booleans(), changed=st.booleans())
    def run(self, *, again: bool, changed: bool) -> None:
        more = (*(("--retry-failed",) if again else ()), *(("--rerun-changed",) if changed else ()))
        self.goes_through(self.world.words(*more), self.world.rows, again=again, changed=changed)

    @rule()
    def two_at_once(self) -> None:
        command = self.world.words("--rerun-changed")
        self.goes_through(command, self.world.rows, again=False, changed=True, times=2)

    @precondition(lambda self: bool(self.world.records()))
    @rule()
    def retry(self) -> None:
        records = self.world.records()
        kept = {row_id: each.text for row_id, each in records.items() if each.status in {"failed", "unfinished"}}
        command = ("retry", "in.results.jsonl", *self.world.words()[2:])
        self.goes_through(command, kept, again=True, changed=False)

    @rule(bytes_written=st.integers(0, 9000), again=st.booleans())
    def run_is_killed(self, bytes_written: int, *, again: bool) -> None:
        more = ("--retry-failed",) if again else ()
        self.is_broken_off(self.world.words("--rerun-changed", *more), again=again, dies_after=bytes_written)

    @rule(room=st.integers(0, 9000))
    def the_disk_is_full(self, room: int) -> None:
        size = self.world.out.stat().st_size if self.world.out.exists() else 0
        self.is_broken_off(self.world.words("--rerun-changed"), again=False, room=size + room)

    @precondition(lambda self: bool(self.world.records()))
    @rule()
    def compact(self) -> None:
        records, books = self.world.records(), self.books()

        (status,) = self.world.order(("compact", "in.results.jsonl"))

        assert status in {0, 10}, self.world.told()
        assert self.world.records() == records
        assert self.books().requests == books.requests
        assert self.most_lines_of_a_row() == 1
        self.money_adds_up()

    @precondition(lambda self: self.world.out.exists())
    @rule(count=st.integers(1, 4000))
    def the_tail_is_cut_off(self, count: int) -> None:
        before = self.world.at_most_billed()
        size = self.world.out.stat().st_size
        os.truncate(self.world.out, max(size - count, 0))
        self.lost += max(0, before - self.world.at_most_billed())
        self.money_adds_up()

    # what must be true

    def goes_through(self, command: tuple[str, ...], rows: dict[str, str], *, again: bool, changed: bool, times: int = 1) -> None:
        """A run that nothing hinders sends what it should, once, and nothing else."""
        before, books, size = self.world.records(), self.books(), self.world.out
        sent = self.to_send(before, rows, again=again)
        refused = not changed and any(before[row_id].status in ANSWERED for row_id in sent if row_id in before)
        bytes_before = size.read_bytes() if size.exists() else b""

        statuses = self.world.order(*([command] * times))

        after, now = self.world.records(), self.books()
        if refused:
            assert statuses == [3] * times, self.world.told()
            assert size.read_bytes() == bytes_before
            assert now.requests == books.requests
            return
        expected = Counter(books.attempts)
        for text in sent.values():
            expected[text] += attempts_of(text, books.attempts[text])
        assert now.attempts == expected, self.world.told()
        assert after == before | self.words_on(before, sent)
        self.exits_as_deserved(statuses, after, rows if command[0] == "run" else dict.fromkeys(after, ""))
        if sent:
            self.is_tidy()
        else:
            assert size.read_bytes() == bytes_before
        self.money_adds_up()

    def exits_as_deserved(self, statuses: list[int], after: dict[str, Record], rows: dict[str, str]) -> None:
        deserved = 0 if all(after[row_id].status == "ok" for row_id in rows) else 10
        if len(statuses) == 1 and self.world.rows.keys() <= after.keys():
            assert statuses == [deserved], self.world.told()
        else:
            assert set(statuses) <= {0, 10, 75}, self.world.told()

    def is_broken_off(self, command: tuple[str, ...], *, again: bool, **wrong: int) -> None:
        """A run that ends anywhere loses nothing that was recorded, and buys nothing that was."""
        before, books = self.world.records(), self.books()
        sent = self.to_send(before, self.world.rows, again=again)

        (status,) = self.world.order(command, **wrong)

        after, now = self.world.records(), self.books()
        assert status in {-9, 0, 3, 6, 10}, self.world.told()
        hopes = self.words_on(before, sent)
        for row_id in before.keys() | after.keys():
            allowed = [before.get(row_id), hopes.get(row_id)]
            unfinished = row_id in hopes and after[row_id].status == "unfinished" and after[row_id].text == sent[row_id]
            assert unfinished or after.get(row_id) in allowed, (row_id, before.get(row_id), after.get(row_id))
        for text in now.attempts:
            more = now.attempts[text] - books.attempts[text]
            assert more <= (attempts_of(text, books.attempts[text]) if text in sent.values() else 0), text
        self.money_adds_up()

    def to_send(self, records: dict[str, Record], rows: dict[str, str], *, again: bool) -> dict[str, str]:
        """The table in `docs/running.md`."""
        sent = {}
        for row_id, text in rows.items():
            record = records.get(row_id)
            same = record is not None and (record.text, record.model) == (text, self.world.model)
            kept = record is not None and same and (record.status in ANSWERED or (record.status == "failed" and not again))
            if not kept:
                sent[row_id] = text
        return sent

    def words_on(self, before: dict[str, Record], sent: dict[str, str]) -> dict[str, Record]:
        """The records that rows which are sent end with: an answer stands until a better one comes."""
        words = {}
        for row_id, text in sent.items():
            end = ENDS[text.split(maxsplit=1)[0]]
            has_answer = row_id in before and before[row_id].status in ANSWERED
            words[row_id] = before[row_id] if has_answer and end == "failed" else Record(text, self.world.model, end)
        return words

    def is_tidy(self) -> None:
        """One line for each row, and every sum right."""
        assert self.most_lines_of_a_row() == 1
        assert self.flaws() == []

    def most_lines_of_a_row(self) -> int:
        return max(Counter(line["id"] for line in self.world.row_lines()).values(), default=1)

    def money_adds_up(self) -> None:
        """What was billed lies between what rows call spent and what the output says may have been billed."""
        if not self.world.out.exists():
            return
        billed = self.books().billed["total_tokens"]
        assert self.world.told_spent() <= billed, self.world.told()
        assert billed <= self.world.at_most_billed() + self.lost, self.world.told()
        assert set(self.flaws()) <= {Flaw.TORN}

    def flaws(self) -> list[Flaw]:
        with History(self.world.out) as history:
            return [fault.flaw for fault in Verification(history, at_work=False).faults()]

    def books(self) -> Books:
        return self.world.gateway.at_rest()


def attempts_of(text: str, made: int) -> int:
    """How many attempts a row gets in one run, when the gateway has met it so often."""
    kind = text.split(maxsplit=1)[0]
    return 2 if kind in {"broken", "half"} or (kind == "shaky" and made == 0) else 1


def play(world: World, folder: Path, examples: int, *phases: Phase) -> None:
    """Let the machine run."""
    numbers = iter(range(10**9))

    def machine() -> Machine:
        place = folder / str(next(numbers))
        place.mkdir()
        return Machine(World(place, world.forge, world.gateway, world.fault))

    run_state_machine_as_test(
        machine,  # type: ignore[arg-type]  # it may be anything that makes one
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=EXAMPLES < 50,
            database=None,
            phases=phases or (Phase.explicit, Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(3600)
def test_whatever_happens_what_must_be_recorded_is_and_nothing_recorded_is_paid_again(
    tmp_path: Path, forge: Forge, servers: Servers
) -> None:
    play(World(tmp_path, forge, servers.gateway(SCENARIO)), tmp_path, EXAMPLES)


@pytest.mark.parametrize("fault", ["trust_position", "forget_spent", "cut_a_whole_line"])
def test_the_machine_finds_what_is_wrong(tmp_path: Path, forge: Forge, servers: Servers, fault: str) -> None:
    with pytest.raises(AssertionError):
        play(World(tmp_path, forge, servers.gateway(SCENARIO), fault), tmp_path, 60, Phase.generate)
