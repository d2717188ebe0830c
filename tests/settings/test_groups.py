import re
from dataclasses import fields

import pytest

from batch_runner.settings import Setting, Settings, table

ONE_TIME = {"only", "limit", "where", "sample", "seed", "fresh", "rerun_changed", "accept_other_endpoint"}
COMMANDS = {"before", "on_success", "on_failure", "after"}
TELLING = {entry.name for entry in table() if entry.group in {"notify", "log"}}


def names(entry: Setting) -> str:
    return entry.name


def test_no_name_stands_twice() -> None:
    named = [entry.name for entry in table()]

    assert len(set(named)) == len(named)


def test_no_flag_stands_twice() -> None:
    flags = [flag for entry in table() for flag in (entry.flag, entry.facts.short, *entry.facts.aliases) if flag]

    assert len(set(flags)) == len(flags)


@pytest.mark.parametrize("entry", list(table()), ids=names)
def test_every_setting_says_what_it_is_for(entry: Setting) -> None:
    assert re.fullmatch(r"[A-Z].*\.", entry.facts.help)


@pytest.mark.parametrize("entry", list(table()), ids=names)
def test_flags_and_variables_are_made_of_the_name(entry: Setting) -> None:
    assert entry.flag == "--" + entry.name.replace("_", "-")
    assert entry.variable in {None, "BATCH_RUNNER_" + entry.name.upper()}


def test_what_is_meant_once_is_set_by_no_environment_and_taken_over_by_no_retry() -> None:
    assert {entry.name for entry in table() if entry.variable is None} == ONE_TIME | COMMANDS
    of_this_start = {"api_key_command", "max_duration", "stop_at"}
    assert {entry.name for entry in table() if not entry.facts.sticks} == ONE_TIME | TELLING | of_this_start


def test_what_may_hold_a_secret_is_remembered_nowhere() -> None:
    secrets = [entry for entry in table() if entry.facts.secret]

    assert {entry.name for entry in secrets} == {"ping", "webhook", "notify"}
    assert not any(entry.facts.sticks for entry in secrets)


def test_defaults_are_what_the_groups_say() -> None:
    flat = Settings().flat()

    assert flat == {entry.name: entry.default for entry in table()}
    assert (flat["model"], flat["endpoint"], flat["concurrency"], flat["max_attempts"]) == ("o1-mini", "apicore", None, 5)
    assert (flat["timeout"], flat["max_completion_tokens"], flat["max_failed"]) == (600.0, None, "0")


def test_every_group_is_in_the_table() -> None:
    assert {entry.group for entry in table()} == {group.name for group in fields(Settings)}
