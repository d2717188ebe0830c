import time
from pathlib import Path

import pytest

from batch_runner.failures import CannotStart, UsageMistake
from batch_runner.intent import Order, output_of
from batch_runner.preparation import prepare, recorded_settings
from batch_runner.settings import read_settings


def refused(order: Order) -> str:
    """What is said of an order that can't be meant so."""
    with pytest.raises(UsageMistake) as raised, prepare(order, clock=time.time, environment={}):
        pass
    return str(raised.value)


def test_no_input_is_not_the_same_as_the_rows_of_the_output(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"

    assert refused(Order(read_settings({}), (), output)) == "no input is named"
    assert "very rows to retry" in refused(Order(read_settings({"fresh": True}), None, output))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("inputs", [None, (), ("a.jsonl", "b.jsonl"), ("-",), ("*.jsonl",)])
def test_an_output_has_a_default_only_for_a_single_input(inputs: tuple[str, ...] | None) -> None:
    with pytest.raises(UsageMistake, match="name the output with -o"):
        output_of(Order(read_settings({}), inputs))


@pytest.mark.parametrize("system", ["Be brief.", "@@all: be brief.", "@@@x", ""])
def test_settings_are_recorded_so_that_a_retry_reads_the_same(system: str) -> None:
    settings = read_settings({"system": system, "rpm": "50/s", "param": {"seed": 2**70}})

    assert read_settings(recorded_settings(settings)) == settings


def test_what_is_meant_once_is_not_recorded() -> None:
    recorded = recorded_settings(read_settings({"limit": 5, "fresh": True, "only": "failed", "model": "o3"}))

    assert recorded["model"] == "o3"
    assert not {"limit", "fresh", "only", "rerun_changed", "accept_other_endpoint"} & set(recorded)


def test_a_text_out_of_a_file_is_recorded_and_the_file_forgotten(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("@all: be brief.")
    settings = read_settings({"system": f"@{tmp_path}/x.txt"})

    (tmp_path / "x.txt").unlink()

    assert read_settings(recorded_settings(settings)).request.system == "@all: be brief."


def test_a_rescue_folder_is_tried_before_it_is_needed(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"prompt":"hi"}\n')
    (tmp_path / "file").touch()

    def order(folder: str) -> Order:
        settings = read_settings({"endpoint": "fake", "rescue_dir": folder})
        return Order(settings, (str(tmp_path / "in.jsonl"),), tmp_path / "out.jsonl")

    with (
        pytest.raises(CannotStart, match=r"^--rescue-dir .*file: it isn't a folder$"),
        prepare(order(f"{tmp_path}/file"), clock=time.time),
    ):
        pass
    with prepare(order(f"{tmp_path}/new/folder"), clock=time.time) as prepared:
        assert prepared.refuges[0] == tmp_path / "new" / "folder"
        assert prepared.refuges[0].is_dir()


def test_where_answers_are_rescued_to_is_recorded_by_its_full_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

    assert recorded_settings(read_settings({"rescue_dir": "safe"}))["rescue_dir"] == str(tmp_path / "safe")
