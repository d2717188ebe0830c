from dataclasses import replace
from typing import Any

import orjson
import pytest

from batch_runner.exits import ExitStatus
from batch_runner.notices.ping import MOST_BYTES, body_of, end_url, start_url
from batch_runner.records import Usage
from tests.notices.examples import news_of, refused_news

E = ExitStatus


@pytest.mark.parametrize(
    ("url", "rid", "start", "good", "bad"),
    [
        pytest.param(
            "https://hc-ping.com/uuid",
            "",
            "https://hc-ping.com/uuid/start",
            "https://hc-ping.com/uuid",
            "https://hc-ping.com/uuid/10",
            id="by uuid",
        ),
        pytest.param(
            "https://hc-ping.com/key/slug?create=1",
            "R",
            "https://hc-ping.com/key/slug/start?create=1&rid=R",
            "https://hc-ping.com/key/slug?create=1&rid=R",
            "https://hc-ping.com/key/slug/10?create=1&rid=R",
            id="by slug",
        ),
        pytest.param(
            "http://h:8000/p/", "", "http://h:8000/p/start", "http://h:8000/p", "http://h:8000/p/10", id="a slash at its end"
        ),
    ],
)
def test_a_ping_goes_where_healthchecks_takes_it(url: str, rid: str, start: str, good: str, bad: str) -> None:
    assert (start_url(url, rid), end_url(url, 0, rid), end_url(url, 10, rid)) == (start, good, bad)


def test_the_body_of_a_ping_is_the_summary_and_no_longer_than_is_kept() -> None:
    news = replace(news_of(), lines=("万" * 9000,))

    assert body_of(news_of()).decode().startswith("nightly: 30 rows ok\n")
    assert MOST_BYTES - 3 <= len(body_of(news)) <= MOST_BYTES
    assert body_of(news).decode()  # not cut inside a character


@pytest.mark.parametrize(
    ("status", "rows", "title"),
    [
        pytest.param(E.OK, {"ok": 30}, "nightly: 30 rows ok", id="all well"),
        pytest.param(E.OK, {"ok": 29, "failed": 1}, "nightly: 1 of 30 rows not ok", id="as many as allowed"),
        pytest.param(E.ROWS_NOT_OK, {"ok": 28, "failed": 2}, "nightly: 2 of 30 rows not ok (exit status 10)", id="too many"),
        pytest.param(
            E.STOPPED_BY_SERVICE, {"ok": 10, "unfinished": 20}, "nightly: 20 of 30 rows not ok (exit status 4)", id="stopped"
        ),
    ],
)
def test_the_title_says_how_it_ended(status: ExitStatus, rows: dict[str, Any], title: str) -> None:
    assert news_of(status, **rows).title == title


def test_a_run_that_did_not_begin_is_told_with_its_reason_and_without_secrets() -> None:
    news = refused_news("Bearer sk-very-secret isn't a key")

    assert news.title.startswith("nightly: input, settings or output can't be used")
    assert news.title.endswith("(exit status 3)")
    assert "Bearer ***" in news.text
    assert "very-secret" not in orjson.dumps(news.document).decode()
    assert news.document["summary"] is None


def test_a_program_is_told_what_json_prints_and_chat_services_find_their_text() -> None:
    document = news_of(E.ROWS_NOT_OK, ok=28, failed=2).document

    assert (document["event"], document["state"], document["exit_status"], document["name"]) == (
        "ended",
        "failure",
        10,
        "nightly",
    )
    assert document["summary"]["rows"]["failed"] == 2
    assert document["text"].startswith("nightly: 2 of 30 rows not ok (exit status 10)\n30 rows: 28 ok, 2 failed\n")
    assert document["summary"]["next"] == "batch-runner retry /nightly/out.jsonl"
    assert Usage.from_dict(document["summary"]["job"]["tokens"]).total_tokens == 3000


def test_a_program_that_ran_it_has_no_command_to_go_on_with() -> None:
    news = news_of(command=())

    assert news.document["summary"]["next"] == ""
    assert "next" not in news.text
