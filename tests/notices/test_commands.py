import asyncio
import os
from pathlib import Path

import pytest

from batch_runner.exits import ExitStatus
from batch_runner.notices.commands import VARIABLES, facts_after, facts_before, run_command
from batch_runner.notices.courier import Undelivered
from tests.notices.examples import news_of, refused_news


async def test_a_command_gets_its_words_as_they_are_and_no_shell(tmp_path: Path) -> None:
    script = f'printf "%s|" "$@" > {tmp_path}/words'

    await run_command(("sh", "-c", script, "_", "a b", "$HOME", "*", ";"), {}, seconds=10)

    assert (tmp_path / "words").read_text() == "a b|$HOME|*|;|"


async def test_it_is_told_of_the_run_by_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "kept")
    told = facts_after(news_of(ExitStatus.ROWS_NOT_OK, ok=28, failed=2, reason=""))

    await run_command(("sh", "-c", f'echo "$MINE $BATCH_RUN_OUT $BATCH_RUN_EXIT_STATUS $BATCH_RUN_STATE $BATCH_RUN_ROWS $BATCH_RUN_ROWS_FAILED" > {tmp_path}/told'), told, seconds=10)  # fmt: skip # noqa: E501

    assert (tmp_path / "told").read_text() == "kept /nightly/out.jsonl 10 failure 30 2\n"


@pytest.mark.parametrize("facts", [facts_before("nightly"), facts_after(news_of()), facts_after(refused_news())])
def test_every_variable_is_there_each_time_and_has_a_meaning(facts: dict[str, str]) -> None:
    assert set(VARIABLES) <= set(facts)
    assert all(name in VARIABLES or name.startswith("BATCH_RUN_ROWS_") for name in facts)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        pytest.param(("no-such-command",), "can't be run: No such file or directory", id="nothing of the name"),
        pytest.param(("sh", "-c", "exit 7"), "ended with exit status 7", id="it fails"),
        pytest.param(("sh", "-c", "kill -9 $$"), "ended with signal 9", id="it is killed"),
    ],
)
async def test_one_that_fails_says_why(words: tuple[str, ...], why: str) -> None:
    with pytest.raises(Undelivered) as told:
        await run_command(words, {}, seconds=10)

    assert str(told.value) == why


async def test_one_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    with pytest.raises(Undelivered, match=r"took longer than 0\.3 s and was ended"):
        await run_command(("sh", "-c", f"sleep 600 & echo $! > {tmp_path}/pid; wait"), {}, seconds=0.3)

    started = int((tmp_path / "pid").read_text())
    for _ in range(1000):
        if _is_gone(started):
            break
        await asyncio.sleep(0.005)
    assert _is_gone(started)


async def test_one_that_does_not_heed_the_word_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batch_runner.notices.commands.GRACE_SECONDS", 0.1)

    with pytest.raises(Undelivered, match="was ended"):
        await run_command(("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"), {}, seconds=0.2)


async def test_what_it_prints_goes_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    await run_command(("echo", "words"), {}, seconds=10)

    assert capfd.readouterr() == ("", "words\n")


def _is_gone(pid: int) -> bool:
    """True for a process that has ended, whether or not somebody has asked how."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True
