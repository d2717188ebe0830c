from datetime import time
from pathlib import Path

import pytest

from batch_runner.failures import CannotStart, UsageMistake
from batch_runner.nightly.job_file import read_job
from batch_runner.nightly.job_keys import JobKeys, job_table
from batch_runner.settings import table

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
    assert job.output == f"{tmp_path}/results/night.jsonl"
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
            'inputs = "a"\n[request]\n\nmodle = "o1"\n', "4: there is no 'modle' under [request]; did you mean 'model'?", id="key"
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
        pytest.param(
            'inputs = "a"\noutput = "out/{dat}/x.jsonl"\n',
            "2: {dat} stands for nothing here; the date of the night is {date}",
            id="a misspelt placeholder",
        ),
        pytest.param('inputs = ["a", "{date:%Y}.jsonl"]\n', "1: {date:%Y} stands for nothing here", id="a format"),
        pytest.param('inputs = "a"\n[notify]\nsummary = "{}.md"\n', "3: {} stands for nothing here", id="no name"),
        pytest.param('inputs = "a"\n[log]\nlog = "{day}.log"\n', "3: {day} stands for nothing here", id="another name"),
        pytest.param('inputs = "a"\n[rows]\nlimit = 2024-01-01\n', "3: limit:", id="a date"),
        pytest.param('inputs = "a"\nmodel = "o1"\n', "2: model belongs under [request]", id="a setting at the top"),
        pytest.param('inputs = "a"\nzone = "UTC"\n', "2: zone belongs under [job]", id="a job key at the top"),
        pytest.param(
            'inputs = "a"\n[limits]\nmodle = 1\n',
            "3: there is no 'modle' under [limits]; did you mean 'model' under [request]?",
            id="near one elsewhere",
        ),
        pytest.param(
            'inputs = "a"\n[job]\nzone = "Europe/Berln"\n',
            "3: zone: there is no time zone 'Europe/Berln'; did you mean 'Europe/Berlin'?",
            id="zone",
        ),
        pytest.param(
            'inputs = "a"\noutput = "b"\n[job]\nkeep = 14\n',
            "4: keep is about nights with an output each: write {date} into `output`",
            id="keep without nights",
        ),
        pytest.param(
            'inputs = "a"\noutput = "{date}"\n[job]\nkeep_packed = 14\n',
            "4: keep_packed counts what keep has packed",
            id="packed without keep",
        ),
        pytest.param(
            'inputs = "a"\n[notify]\nping = "sk-abcdef"\n',
            "3: ping: it isn't the URL of a web server: write https://…, or @FILE for a file that holds it",
            id="no address",
        ),
        pytest.param('inputs = "a"\n[notify]\nafter = [""]\n', "3: after: [''] isn't a command", id="no command"),
        pytest.param('inputs = "a"\n[notify]\nfine = [5, 99]\n', "3: fine: [5, 99] aren't exit statuses", id="no status"),
        pytest.param('inputs = "a"\n[job]\nday_starts = "25:00"\n', "3: day_starts: '25:00' isn't a time of the day", id="hour"),
        pytest.param(
            'inputs = "a"\n[job]\nstop_at = "6:30"\n', "3: stop_at belongs under [ending]", id="a setting among job keys"
        ),
        pytest.param(
            'inputs = "a"\n[job]\nresume_wihtin = "6h"\n',
            "3: there is no 'resume_wihtin' under [job]; did you mean 'resume_within'?",
            id="job key",
        ),
        pytest.param(
            'output = "b"\ninputs = "a"\n[job]\nretry_failed_from = "itself"\n',
            '4: retry_failed_from = "itself" sends',
            id="itself with inputs",
        ),
        pytest.param(
            'inputs = "a"\n[job]\nretry_failed_from = "previous"\n',
            "3: retry_failed_from needs an `output`",
            id="previous without an output",
        ),
        pytest.param(
            'inputs = "a"\noutput = "b"\n[job]\nretry_failed_from = "nightly"\n',
            "4: retry_failed_from: 'nightly' is not one of",
            id="retry from nowhere",
        ),
        pytest.param(
            'inputs = "a"\n[request]\napi_key_env = "A"\napi_key_file = "b"\n',
            "2: api_key_env and api_key_file both name a key",
            id="two keys",
        ),
        pytest.param(
            'inputs = "${NOWHERE}/a"\n', "1: there is no variable 'NOWHERE' in the environment; $${NOWHERE} stands", id="variable"
        ),
        pytest.param(
            'inputs = "a"\n[request]\nsystem = "${MY_API_KEY}"\n', "3: ${MY_API_KEY} looks like a secret: name where", id="a key"
        ),
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


def test_a_file_extends_another_and_its_own_words_win(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/base.toml").write_text(
        'inputs = "base.jsonl"\n[job]\nzone = "UTC"\n[request]\nmodel = "o1"\nsystem = "@base.txt"\n[limits]\nrpm = 5\n',
        encoding="utf-8",
    )
    (tmp_path / "shared/base.txt").write_text("Be brief.", encoding="utf-8")

    job = read_job(a_job(tmp_path, 'extends = "shared/base.toml"\noutput = "out.jsonl"\n[request]\nmodel = "o3"\n'))

    assert job.name == "night"
    assert job.inputs == (f"{tmp_path}/shared/base.jsonl",)
    assert job.output == f"{tmp_path}/out.jsonl"
    assert job.keys.zone == "UTC"
    assert job.settings == {"model": "o3", "system": f"@{tmp_path}/shared/base.txt", "rpm": 5}


def test_a_file_that_says_where_the_key_is_says_so_alone(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text('inputs = "a"\n[request]\napi_key_env = "A"\n', encoding="utf-8")

    job = read_job(a_job(tmp_path, 'extends = "base.toml"\n[request]\napi_key_command = "pass show x"\n'))

    assert job.settings == {"api_key_command": "pass show x"}


def test_a_mistake_in_a_file_that_is_extended_is_told_with_that_files_line(tmp_path: Path) -> None:
    base = tmp_path / "base.toml"
    base.write_text('inputs = "a"\n[request]\nmodle = 1\n', encoding="utf-8")
    name = a_job(tmp_path, 'extends = "base.toml"\n[limits]\nrpm = 0\n')

    with pytest.raises(UsageMistake) as raised:
        read_job(name)

    first, second = str(raised.value).splitlines()
    assert first.startswith(f"{base}:3: there is no 'modle'")
    assert second.startswith(f"{name}:3: rpm: 0")


def test_files_that_extend_each_other_are_told(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text('extends = "night.toml"\n', encoding="utf-8")
    name = a_job(tmp_path, 'extends = "base.toml"\n')

    with pytest.raises(UsageMistake, match=r"base\.toml:1: .*night\.toml extends itself in a circle"):
        read_job(name)


def test_variables_are_put_in_where_they_are_written_and_only_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", "/data")
    monkeypatch.setenv("MODEL", "o3")

    job = read_job(
        a_job(
            tmp_path,
            'inputs = ["${DATA}/${MODEL}.jsonl"]\n[request]\nsystem = "$MODEL costs $5, $${MODEL} too"\nmodel = "${MODEL}"\n',
        )
    )

    assert job.inputs == ("/data/o3.jsonl",)
    assert job.settings == {"system": "$MODEL costs $5, ${MODEL} too", "model": "o3"}


def test_a_variable_that_holds_a_key_under_a_harmless_name_is_refused_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARMLESS", "sk-secret-4711")

    (complaint,) = refused(tmp_path, 'inputs = "a"\n[request.param]\nuser = "${HARMLESS}"\n')

    assert complaint.startswith("3: ${HARMLESS} looks like a secret")
    assert "4711" not in complaint


def test_the_folder_of_systemds_credentials_is_left_for_the_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)

    job = read_job(a_job(tmp_path, 'inputs = "a"\n[request]\napi_key_file = "${CREDENTIALS_DIRECTORY}/key"\n'))

    assert job.settings == {"api_key_file": "${CREDENTIALS_DIRECTORY}/key"}


def test_job_keys_are_read_in_their_own_types(tmp_path: Path) -> None:
    text = """\
inputs = "{date}.jsonl"
output = "results/{date}/out.jsonl"

[job]
name = "tonight"
zone = "Europe/Berlin"
day_starts = 06:00:00
resume_within = "20h"
retry_failed_from = "previous"
max_cost_per_night = "$5"
max_cost_per_job = 40
"""

    job = read_job(a_job(tmp_path, text))

    assert job.name == "tonight"
    assert job.keys == JobKeys(
        name="tonight",
        zone="Europe/Berlin",
        day_starts=time(6),
        resume_within=72000.0,
        retry_failed_from="previous",
        max_cost_per_night=5.0,
        max_cost_per_job=40.0,
    )


def test_no_job_key_is_named_like_a_setting() -> None:
    assert not {entry.name for entry in job_table()} & {entry.name for entry in table()}
