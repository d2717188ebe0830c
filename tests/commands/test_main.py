import click
import pytest
from click.testing import CliRunner

from batch_runner.commands.main import COMMANDS, cli


def told(*words: str) -> str:
    """What a command line ends with: its output, or its complaint."""
    try:
        return CliRunner().invoke(cli, words, standalone_mode=False, catch_exceptions=False).output
    except click.UsageError as mistake:
        return mistake.format_message()


def test_a_misspelt_command_is_told_with_the_likely_one() -> None:
    assert told("rnu") == "there is no command 'rnu'; did you mean 'run'?"


def test_an_input_where_a_command_should_stand_is_told_with_the_command_that_sends_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    prompts = tmp_path_factory.mktemp("place") / "prompts.jsonl"
    prompts.touch()

    assert told(str(prompts)) == f"there is no command '{prompts}'; to send its rows: batch-runner run {prompts}"


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"help"}))
def test_help_explains_every_command_as_its_own_flag_does(name: str) -> None:
    assert told("help", name).split("\n\n")[1:] == told(name, "--help").split("\n\n")[1:]


def test_a_misspelt_topic_is_told_with_the_likely_one() -> None:
    assert told("help", "enviroment") == "there is neither a topic nor a command 'enviroment'; did you mean 'environment'?"
