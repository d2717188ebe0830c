import os
import shutil
from pathlib import Path

import pytest

from batch_runner import read_results
from batch_runner.failures import CannotStart
from batch_runner.output import packed
from batch_runner.output.history import History, hold
from batch_runner.output.lock import lock_path
from batch_runner.output.packed import check_not_packed, pack, packed_path, unpacked
from batch_runner.upkeep.outputs import existing
from tests.results.test_standing import a_row, a_run, the_end, written

LINES = (a_run(), a_row("a"), a_row("b"), the_end(ok=2))


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return written(tmp_path, *LINES)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_packed_output_takes_the_place_of_the_output_and_holds_the_same(output: Path) -> None:
    whole = output.read_bytes()
    os.utime(output, (10**9, 10**9))

    freed = pack(output)

    assert names(output.parent) == ["out.jsonl.zst"]
    assert freed == len(whole) - packed_path(output).stat().st_size > 0
    assert packed_path(output).stat().st_mtime == 10**9
    with unpacked(packed_path(output)) as file:
        assert file.read() == whole


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.zst"])
def test_it_is_read_by_either_name(output: Path, name: str) -> None:
    pack(output)

    assert [result.id for result in read_results(output.with_name(name))] == ["a", "b"]
    with History(output.with_name(name)) as history:
        assert history.past("a").status == "ok"


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.zst"])
def test_nothing_is_added_to_it_and_no_new_output_begun_in_its_place(output: Path, name: str) -> None:
    pack(output)

    with pytest.raises(CannotStart, match=r"packed in out\.jsonl\.zst.*zstd -d --rm"), hold(output.with_name(name)):
        pass
    assert names(output.parent) == ["out.jsonl.zst"]


def test_an_output_that_was_unpacked_again_is_an_output(output: Path) -> None:
    pack(output)
    with unpacked(packed_path(output)) as file:
        output.write_bytes(file.read())

    with hold(output) as history:
        assert history.index.lines == len(LINES)


def test_a_new_output_is_not_named_as_a_packed_one(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"name it without \.zst"):
        check_not_packed(tmp_path / "new.jsonl.zst")


@pytest.mark.parametrize("damage", [lambda data: data[:-4], lambda _data: b"odd"], ids=["torn", "something else"])
def test_one_that_is_damaged_is_told(output: Path, damage: object) -> None:
    pack(output)
    path = packed_path(output)
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]  # two lambdas

    with pytest.raises(CannotStart, match="can't be unpacked"):
        History(existing(output))


@pytest.mark.parametrize("fault", ["no room", "read back as something else"])
def test_where_it_can_not_be_packed_the_output_stays(output: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    whole = output.read_bytes()
    if fault == "no room":
        monkeypatch.setattr(shutil, "copyfileobj", _no_room)
    else:
        monkeypatch.setattr(packed, "_same", lambda *_paths: False)

    with pytest.raises(OSError, match=r"No space|read back"):
        pack(output)

    assert names(output.parent) == ["out.jsonl"]
    assert output.read_bytes() == whole


def test_its_lock_is_that_of_the_output(output: Path) -> None:
    assert lock_path(output).name == "out.jsonl.lock"


def _no_room(*_arguments: object) -> None:
    raise OSError(28, "No space left on device")
