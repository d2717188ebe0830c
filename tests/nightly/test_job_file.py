from pathlib import Path

import pytest

from batch_runner.failures import CannotStart, UsageMistake
from batch_runner.nightly.job_file import read_job

WHOLE = """\
inputs = ["data/*.jsonl", "-"]
output = "results/night.jsonl"

[request]
model = "o1"
system = "@prompts/system.txt"
api_key_file = "~/key"

[request.param]
seed = 7

[limits]
rpm = "3k/min"

[disk]
rescue_dir = "safe"
lock = false
"""


def a_job(folder: Path, text: str) -> str:
    path = folder / "night.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def refused(folder: Path, text: str) -> list[str]:
    """What is said of a job file, without its path."""
    name = a_job(folder, text)
    with pytest.raises(UsageMistake) as raised:
        read_job(name)
    return [line.removeprefix(f"{name}:") for line in str(raised.value).splitlines()]


def test_a_job_is_named_like_its_file_and_its_paths_start_at_its_folder(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/system.txt").write_text("Be brief.", encoding="utf-8")

    job = read_job(a_job(tmp_path, WHOLE))

    assert job.name == "night"
    assert job.inputs == (f"{tmp_path}/data/*.jsonl", "-")
    assert job.output == tmp_path / "results/night.jsonl"
    assert job.settings == {
        "model": "o1",
        "system": f"@{tmp_path}/prompts/system.txt",
        "api_key_file": str(Path("~/key").expanduser()),
        "param": [("seed", 7)],
        "rpm": "3k/min",
        "rescue_dir": f"{tmp_path}/safe",
        "lock": False,
    }


def test_paths_below_the_working_folder_are_written_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobs").mkdir()
    a_job(tmp_path / "jobs", 'inputs = ["a.jsonl", "../data/b.jsonl", "../../c.jsonl"]')
    monkeypatch.chdir(tmp_path)

    job = read_job("jobs/night.toml")

    assert job.inputs == ("jobs/a.jsonl", "data/b.jsonl", f"{tmp_path.parent}/c.jsonl")


def test_one_input_may_stand_alone_and_the_output_may_be_left_out(tmp_path: Path) -> None:
    job = read_job(a_job(tmp_path, 'inputs = "/data/a.jsonl"\n'))

    assert (job.inputs, job.output, job.settings) == (("/data/a.jsonl",), None, {})


def test_instructions_that_are_text_stay(tmp_path: Path) -> None:
    job = read_job(a_job(tmp_path, 'inputs = "a"\n[request]\nsystem = "Be brief."'))

    assert job.settings == {"system": "Be brief."}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param('inputs = "a"\nmodle = 1\n', "2: there is no 'modle' here", id="unknown at the top"),
        pytest.param(
            'inputs = "a"\n\n[reqest]\nmodel = "o1"\n', "3: there is no 'reqest' here; did you mean 'request'?", id="table"
        ),
        pytest.param(
            'inputs = "a"\n[request]\n\nmodle = "o1"\n', "4: there is no setting 'modle'; did you mean 'model'?", id="key"
        ),
        pytest.param('inputs = "a"\n[request]\nrpm = 5\n', "3: rpm belongs under [limits]", id="wrong table"),
        pytest.param('inputs = "a"\n[request]\n# model\nmodel = 5\n', "4: model: 5 isn't text", id="wrong type"),
        pytest.param('inputs = "a"\n[request]\ntimeout = "soon"\n', "3: timeout: 'soon' isn't a duration", id="wrong value"),
        pytest.param('inputs = "a"\nrequest.model = 5\n', "2: model: 5 isn't text", id="dotted"),
        pytest.param('inputs = "a"\nrequest = {model = 5}\n', "2: model: 5 isn't text", id="inline"),
        pytest.param('inputs = "a"\nrequest = 5\n', "2: request is a table: [request]", id="no table"),
        pytest.param('inputs = "a"\n\n[[request]]\n', "3: request is a table: [request]", id="tables"),
        pytest.param('output = "b"\n', "1: `inputs` must name the files to send", id="no inputs"),
        pytest.param('output = "b"\ninputs = []\n', "2: `inputs` must name the files to send", id="empty inputs"),
        pytest.param('output = "b"\ninputs = ["a", 3]\n', "2: `inputs` must name", id="a number among inputs"),
        pytest.param('inputs = "a"\noutput = 3\n', "2: `output` must name a file", id="a number as output"),
        pytest.param('inputs = "a"\n[rows]\nlimit = 2024-01-01\n', "3: limit:", id="a date"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (complaint,) = refused(tmp_path, text)

    assert complaint.startswith(said)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    complaints = refused(tmp_path, 'inputs = 3\n[request]\nmodle = "o1"\nmodel = 5\n[limits]\nrpm = 0\n')

    assert [complaint.split(":")[0] for complaint in complaints] == ["1", "3", "4", "6"]


def test_what_is_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    (complaint,) = refused(tmp_path, 'inputs = "a"\noutput = \n')

    assert "line 2" in complaint


def test_a_job_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"gone\.toml: can't be read: No such file"):
        read_job(str(tmp_path / "gone.toml"))


def test_a_job_file_that_is_not_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"inputs = '\xff'")

    with pytest.raises(UsageMistake, match=r"x\.toml"):
        read_job(str(tmp_path / "x.toml"))
