from typing import Any

import apprise
import pytest

from batch_runner.exits import ExitStatus
from batch_runner.notices import services
from batch_runner.notices.courier import Undelivered
from tests.notices.examples import news_of


class Told:
    """What Apprise was asked to tell, and what it says of that."""

    def __init__(self, answer: Any = True) -> None:  # noqa: FBT002 - what `notify` returns
        self.messages: list[tuple[str, str, str]] = []
        self._answer = answer

    def notify(self, *, title: str, body: str, notify_type: Any) -> Any:
        self.messages.append((title, body.partition("\n")[0], str(notify_type.value)))
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def told_by(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    monkeypatch.setattr(apprise.Apprise, "notify", told.notify)


@pytest.mark.parametrize(
    ("status", "rows", "kind"),
    [(ExitStatus.OK, {"ok": 3}, "success"), (ExitStatus.ROWS_NOT_OK, {"ok": 2, "failed": 1}, "failure")],
)
async def test_a_service_gets_title_summary_and_mood(
    monkeypatch: pytest.MonkeyPatch, status: ExitStatus, rows: dict[str, Any], kind: str
) -> None:
    told = Told()
    told_by(monkeypatch, told)
    news = news_of(status, **rows)

    await services.tell_service("json://localhost", news, seconds=10)

    assert told.messages == [(news.title, news.lines[0], kind)]


@pytest.mark.parametrize(
    ("answer", "why"),
    [(False, "the service wasn't reached, or said no"), (None, "wasn't reached"), (RuntimeError("sk-secret"), "RuntimeError")],
)
async def test_one_that_was_not_told_says_why_without_secrets(monkeypatch: pytest.MonkeyPatch, answer: Any, why: str) -> None:
    told_by(monkeypatch, Told(answer))

    with pytest.raises(Undelivered, match=why) as told:
        await services.tell_service("json://localhost", news_of(), seconds=10)

    assert "secret" not in str(told.value)


async def test_an_address_of_no_service_is_told() -> None:
    with pytest.raises(Undelivered, match="Apprise knows no such address"):
        await services.tell_service("nosuch://token", news_of(), seconds=10)


async def test_a_missing_extra_is_told_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "find_spec", lambda _name: None)

    with pytest.raises(Undelivered, match=r"pip install 'batch-runner\[notify\]'"):
        await services.tell_service("json://localhost", news_of(), seconds=10)
