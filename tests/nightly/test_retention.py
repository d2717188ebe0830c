from datetime import date
from pathlib import Path

import pytest

from batch_runner import read_results
from batch_runner.nightly.job_keys import PREVIOUS, JobKeys
from batch_runner.nightly.outputs import Outputs
from batch_runner.nightly.retention import Fate, carry_out_step, steps
from batch_runner.output.heartbeat import heartbeat_path
from batch_runner.output.lock import lock
from batch_runner.output.packed import packed_path
from batch_runner.records import Status
from tests.results.test_standing import a_row, a_run, the_end

DONE = (a_run(), a_row("a"), the_end(ok=1))
UNFINISHED = (a_run(), a_row("a", Status.UNFINISHED), the_end(unfinished=1))
KILLED = (a_run(), a_row("a"))


class Nights:
    """A job's outputs, `out/2026-11-DD.jsonl`."""

    def __init__(self, folder: Path) -> None:
        self.outputs = Outputs(f"{folder}/out/{{date}}.jsonl")

    def path(self, day: int) -> Path:
        return self.outputs.on(date(2026, 11, day))

    def write(self, *days: int, lines: tuple[bytes, ...] = DONE) -> None:
        for day in days:
            self.path(day).parent.mkdir(exist_ok=True)
            self.path(day).write_bytes(b"".join(lines))

    def planned(self, **keys: object) -> list[tuple[int, str]]:
        return [(step.day.day, str(step.fate)) for step in steps(self.outputs, JobKeys(**keys))]  # type: ignore[arg-type]  # as told

    def tidy(self, **keys: object) -> None:
        for step in list(steps(self.outputs, JobKeys(**keys))):  # type: ignore[arg-type]  # as told
            carry_out_step(step)

    @property
    def left(self) -> list[str]:
        return sorted(path.name.removeprefix("2026-11-") for path in self.path(1).parent.iterdir() if path.suffix != ".lock")


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path)


def test_the_newest_stay_older_ones_are_packed_and_the_oldest_removed(nights: Nights) -> None:
    nights.write(1, 2, 3, 4, 5)

    planned = nights.planned(keep=2, keep_packed=1)
    nights.tidy(keep=2, keep_packed=1)

    assert planned == [(3, "packed"), (2, "packed"), (1, "packed"), (2, "removed"), (1, "removed")]
    assert nights.left == ["03.jsonl.zst", "04.jsonl", "05.jsonl"]


def test_without_a_word_nothing_is_done(nights: Nights) -> None:
    nights.write(1, 2, 3)

    assert nights.planned() == []


def test_packed_ones_are_kept_for_ever_unless_told(nights: Nights) -> None:
    nights.write(1, 2, 3)

    nights.tidy(keep=1)
    nights.tidy(keep=1)

    assert nights.left == ["01.jsonl.zst", "02.jsonl.zst", "03.jsonl"]


def test_looking_changes_nothing(nights: Nights) -> None:
    nights.write(1, 2, 3)

    nights.planned(keep=1, keep_packed=1)

    assert nights.left == ["01.jsonl", "02.jsonl", "03.jsonl"]


@pytest.mark.parametrize("lines", [UNFINISHED, KILLED, (b"not ours\n",)], ids=["unfinished rows", "killed", "not ours"])
def test_an_output_that_may_be_gone_on_with_is_never_touched(nights: Nights, lines: tuple[bytes, ...]) -> None:
    nights.write(1, lines=lines)
    nights.write(2, 3)

    nights.tidy(keep=1, keep_packed=1)

    assert nights.left == ["01.jsonl", "02.jsonl.zst", "03.jsonl"]
    assert nights.path(1).read_bytes() == b"".join(lines)


def test_one_that_a_run_holds_is_never_touched_and_that_is_told(nights: Nights) -> None:
    nights.write(1, 2)

    with lock(nights.path(1)):
        (step,) = steps(nights.outputs, JobKeys(keep=1))
        nights.tidy(keep=1)

    assert (step.fate, "is held by another run" in step.why) == (Fate.LEFT, True)
    assert nights.left == ["01.jsonl", "02.jsonl"]


def test_one_that_a_run_has_taken_since_is_left(nights: Nights) -> None:
    nights.write(1, 2)
    (step,) = steps(nights.outputs, JobKeys(keep=1))

    with lock(nights.path(1)):
        done = carry_out_step(step)

    assert (step.fate, done.fate) == (Fate.PACKED, Fate.LEFT)


def test_the_night_that_the_next_one_retries_stays_as_it_is(nights: Nights) -> None:
    nights.write(1, 2, 3)

    assert nights.planned(keep=1, retry_failed_from=PREVIOUS) == [(1, "packed")]


def test_what_stands_beside_a_removed_output_goes_too_but_for_its_lock(nights: Nights) -> None:
    nights.write(1, 2, 3)
    heartbeat_path(nights.path(1)).write_bytes(b"{}")

    nights.tidy(keep=1, keep_packed=1)

    assert not heartbeat_path(nights.path(1)).exists()
    assert not packed_path(nights.path(1)).exists()
    assert nights.path(1).with_name("2026-11-01.jsonl.lock").exists()


def test_nights_that_share_one_output_have_none_to_put_away(tmp_path: Path) -> None:
    assert list(steps(Outputs(str(tmp_path / "out.jsonl")), JobKeys(keep=1))) == []


def test_what_a_kill_left_half_done_is_done_the_next_time(nights: Nights) -> None:
    nights.write(1, 2)
    packed_path(nights.path(1)).write_bytes(b"packed, and not removed yet")
    nights.path(1).with_name("2026-11-01.jsonl.zst.packing").write_bytes(b"half")

    nights.tidy(keep=1)

    assert nights.left == ["01.jsonl.zst", "02.jsonl"]
    assert [result.id for result in read_results(nights.path(1))] == ["a"]
