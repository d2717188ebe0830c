from pathlib import Path

import pytest

from batch_runner.exits import ExitStatus
from batch_runner.notices.courier import Undelivered
from batch_runner.notices.markdown import markdown, write_summary
from tests.notices.examples import news_of, refused_news


def test_the_summary_tells_rows_failures_cost_and_what_to_do_next() -> None:
    text = "\n".join(markdown(news_of(ExitStatus.ROWS_NOT_OK, ok=28, failed=2)))

    assert text.startswith("# nightly: 2 of 30 rows not ok (exit status 10)\n")
    assert "| 28 | ok |" in text
    assert r"| 2 | timeout | in.jsonl:1: no \| answer |" in text
    assert "| attempts | 40, 25.0 % of them refused as too many |" in text
    assert "| cost | $" in text
    assert "```sh\nbatch-runner retry /nightly/out.jsonl\n```" in text


def test_the_words_of_others_stay_words() -> None:
    text = "\n".join(markdown(news_of(ExitStatus.STOPPED_BY_SERVICE, ok=1, reason="<b>[x](http://y)\n# big | `code`")))

    assert r"> \<b\>\[x\](http://y) \# big \| \`code\`" in text


def test_a_run_that_did_not_begin_says_why() -> None:
    lines = list(markdown(refused_news()))

    assert lines[-1] == "> no key for api.example.com"
    assert "Exit status 3" in lines[2]


def test_it_takes_its_place_in_one_step_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "summary.md"

    write_summary(path, news_of())
    write_summary(path, refused_news())

    assert path.read_text(encoding="utf-8").startswith("# nightly: input")
    assert [each.name for each in path.parent.iterdir()] == ["summary.md"]


def test_one_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "summary.md").mkdir()

    with pytest.raises(Undelivered, match="can't be written: "):
        write_summary(tmp_path / "summary.md", news_of())
    assert [path.name for path in tmp_path.iterdir()] == ["summary.md"]
