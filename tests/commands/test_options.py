from typing import Any

import click
import pytest
from click.testing import CliRunner

from batch_runner.commands.options import setting_options, settings_from, some_setting_options
from batch_runner.failures import UsageMistake
from batch_runner.settings import Settings

KEY_ENV, ENDPOINT = "BATCH_RUNNER_API_KEY_ENV", "BATCH_RUNNER_ENDPOINT"
ELSEWHERE = "https://x.example.com/v1"


def settings_of(*arguments: str, environment: dict[str, str] | None = None, remembered: dict[str, Any] | None = None) -> Settings:
    """What a command is told by flags, by the environment, and by a job file or a run line."""
    told = list[Settings]()

    @click.command()
    @setting_options
    def command(**_values: Any) -> None:
        told.append(settings_from(click.get_current_context()))

    nothing: dict[str, str | None] = {KEY_ENV: None, ENDPOINT: None, "BATCH_RUNNER_API_KEY_FILE": None}
    CliRunner().invoke(
        command,
        arguments,
        env=nothing | (environment or {}),
        default_map=remembered,
        catch_exceptions=False,
        standalone_mode=False,
    )
    return told[0]


@pytest.mark.parametrize(
    ("arguments", "environment", "remembered", "variable"),
    [
        pytest.param([], {}, {}, None, id="nothing said"),
        pytest.param(["--api-key-env", "K"], {}, {}, "K", id="a flag"),
        pytest.param(["--endpoint", ELSEWHERE, "--api-key-env", "K"], {}, {}, "K", id="both by flags"),
        pytest.param([], {KEY_ENV: "K"}, {}, "K", id="the environment"),
        pytest.param(["--endpoint", ELSEWHERE], {KEY_ENV: "K"}, {}, "K", id="the environment's fits any endpoint"),
        pytest.param(["--endpoint", ELSEWHERE], {KEY_ENV: "K", ENDPOINT: "openai"}, {}, None, id="the environment names another"),
        pytest.param(["--endpoint", "openai"], {KEY_ENV: "K", ENDPOINT: "openai"}, {}, "K", id="the environment names the same"),
        pytest.param([], {}, {"api_key_env": "K", "endpoint": ELSEWHERE}, "K", id="remembered"),
        pytest.param(["--endpoint", "openai"], {}, {"api_key_env": "K", "endpoint": ELSEWHERE}, None, id="for another"),
        pytest.param(["--endpoint", ELSEWHERE], {}, {"api_key_env": "K", "endpoint": ELSEWHERE}, "K", id="for the same"),
        pytest.param(["--endpoint", "openai"], {}, {"api_key_env": "K"}, None, id="for the default"),
        pytest.param([], {ENDPOINT: "openai"}, {"api_key_env": "K"}, None, id="remembered, the environment goes elsewhere"),
        pytest.param([], {KEY_ENV: "K"}, {"endpoint": ELSEWHERE}, "K", id="the environment's for a remembered endpoint"),
    ],
)
def test_a_key_goes_along_with_the_endpoint_it_was_named_for(
    arguments: list[str], environment: dict[str, str], remembered: dict[str, Any], variable: str | None
) -> None:
    assert settings_of(*arguments, environment=environment, remembered=remembered).request.api_key_env == variable


def test_a_stronger_word_for_the_key_takes_the_place_of_a_weaker_one() -> None:
    request = settings_of("--api-key-file", "key", environment={KEY_ENV: "K"}).request

    assert (request.api_key_env, request.api_key_file) == (None, "key")


def test_a_command_with_few_settings_may_have_a_default_of_its_own_which_the_environment_still_changes() -> None:
    told: list[Settings] = []

    @click.command()
    @some_setting_options("endpoint", "api_key_env", "api_key_file", "timeout", timeout=15.0)
    def command(**_settings: object) -> None:
        told.append(settings_from(click.get_current_context()))

    CliRunner().invoke(command, [])
    CliRunner().invoke(command, ["--endpoint", "openai"], env={"BATCH_RUNNER_TIMEOUT": "2m"})
    refused = CliRunner().invoke(command, ["--rpm", "5"])

    assert [(each.request.endpoint, each.request.timeout) for each in told] == [("apicore", 15.0), ("openai", 120.0)]
    assert "No such option" in refused.output


def test_a_wrong_value_in_the_environment_is_told_with_its_variable() -> None:
    with pytest.raises(click.BadParameter) as complaint:
        settings_of(environment={"BATCH_RUNNER_RPM": "abc"})

    assert complaint.value.format_message().startswith("Invalid value for BATCH_RUNNER_RPM (in the environment): 'abc'")


def test_a_variable_that_is_nearly_a_setting_is_refused_before_it_costs_anything() -> None:
    with pytest.raises(UsageMistake, match=r"BATCH_RUNNER_MAX_COSTS means nothing here; did you mean BATCH_RUNNER_MAX_COST\?"):
        settings_of(environment={"BATCH_RUNNER_MAX_COSTS": "4"})


@pytest.mark.parametrize("name", ["BATCH_RUNNER_ZONE_OF_MY_OWN", "BATCH_RUNNER_API_KEYS"])
def test_a_variable_that_is_no_setting_or_names_the_key_is_left_alone(name: str) -> None:
    assert settings_of("--api-key-env", name, environment={name: "x"}).request.api_key_env == name
