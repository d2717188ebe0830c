from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from batch_runner.exits import ExitStatus
from batch_runner.notices import metrics
from batch_runner.notices.courier import Undelivered
from batch_runner.notices.metrics import METRICS, last_success, write_metrics
from batch_runner.notices.news import News
from tests.notices.examples import news_of, refused_news

END, SUCCESS = "batch_runner_last_end_timestamp_seconds", "batch_runner_last_success_timestamp_seconds"


def samples_of(path: Path) -> dict[str, dict[tuple[str, ...], float]]:
    """By name: the value of each set of labels, `name` aside."""
    told: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(path.read_text(encoding="utf-8")):
        for sample in family.samples:
            assert sample.labels["name"] == "nightly"
            labels = tuple(value for key, value in sample.labels.items() if key != "name")
            told.setdefault(sample.name, {})[labels] = sample.value
    return told


def test_the_file_tells_of_the_last_run(tmp_path: Path) -> None:
    path = tmp_path / "node" / "nightly.prom"

    write_metrics(path, news_of(ok=30))

    told = samples_of(path)
    assert set(told) == {metric.name for metric in METRICS}
    assert told["batch_runner_rows"]["ok",] == 30
    assert told["batch_runner_rows"]["failed",] == 0
    assert told["batch_runner_run_tokens"]["reasoning",] == 500
    assert told["batch_runner_run_slow_down_ratio"][()] == 0.25
    assert told["batch_runner_run_duration_seconds"][()] == 90
    assert told["batch_runner_run_cost_usd"][()] > 0
    assert told[END] == told[SUCCESS]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "worse",
    [news_of(ExitStatus.STOPPED_BY_SERVICE, ok=3, unfinished=2), refused_news()],
    ids=["a run that failed", "a run that didn't begin"],
)
def test_the_last_success_is_kept_over_nights_that_failed(tmp_path: Path, worse: News) -> None:
    path = tmp_path / "nightly.prom"
    write_metrics(path, news_of())
    good = samples_of(path)[SUCCESS][()]

    for number in range(2):
        write_metrics(path, replace(worse, at=f"2027-01-0{number + 1}T00:00:00.000Z"))

    told = samples_of(path)
    assert told[SUCCESS][()] == good
    assert told[END][()] > good
    assert told["batch_runner_last_exit_status"][()] in {3, 4}


def test_no_success_yet_is_told_as_0(tmp_path: Path) -> None:
    write_metrics(tmp_path / "m", refused_news())

    assert samples_of(tmp_path / "m")[SUCCESS] == {(): 0.0}


@pytest.mark.parametrize("text", ["", "no metrics {", "\x00\x01", f'{SUCCESS}{{name="another"}} 5\n'])
def test_a_file_that_tells_of_no_success_is_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m"
    path.write_text(text, encoding="utf-8")

    assert last_success(path, "nightly") is None
    write_metrics(path, news_of())
    assert samples_of(path)[SUCCESS][()] > 0


def test_a_missing_extra_is_told_with_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "find_spec", lambda _name: None)

    with pytest.raises(Undelivered, match=r"pip install 'batch-runner\[metrics\]'"):
        write_metrics(tmp_path / "m", news_of())


def test_a_file_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(Undelivered, match="can't be written"):
        write_metrics(tmp_path / "file" / "m", news_of())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
