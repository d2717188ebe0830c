from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.failures import UsageMistake
from batch_runner.nearest import did_you_mean
from batch_runner.settings import Settings, as_written, read_settings, table
from batch_runner.settings.reading import text_or_file

ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)


def test_nothing_said_means_the_defaults() -> None:
    assert read_settings({}) == Settings()


def test_values_may_be_written_or_in_their_own_type() -> None:
    written = read_settings(
        {"rpm": "3k/min", "concurrency": "1_000", "timeout": "5m", "param": ["seed=7"], "only": "failed,timeout"}
    )
    typed = read_settings(
        {"rpm": 3000, "concurrency": 1000, "timeout": 300.0, "param": {"seed": 7}, "only": ["failed", "timeout"]}
    )

    assert written == typed
    assert written.request.param == (("seed", 7),)


def test_what_settings_say_can_be_read_again() -> None:
    said = read_settings(
        {"model": "o3", "param": {"seed": 7, "x": [1, None]}, "rpm": "50/s", "retry_failed": True, "max_failed": "1%"}
    )

    assert read_settings(said.flat()) == said


def test_none_means_the_default() -> None:
    assert read_settings(dict.fromkeys(entry.name for entry in table())) == Settings()


def test_an_unknown_setting_is_named_with_the_nearest_one() -> None:
    with pytest.raises(UsageMistake, match="there is no setting 'modle'; did you mean 'model'"):
        read_settings({"modle": "o1"})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param({"timeout": "soon"}, "timeout: 'soon' isn't a duration", id="duration"),
        pytest.param({"concurrency": 0}, "concurrency: 0 isn't a whole number", id="count"),
        pytest.param({"concurrency": True}, "concurrency: True isn't a whole number", id="boolean as count"),
        pytest.param({"retry_failed": "yes"}, "retry_failed: 'yes' is neither true nor false", id="text as boolean"),
        pytest.param({"retry_failed": 1}, "retry_failed: 1 is neither", id="number as boolean"),
        pytest.param({"retry_failed": 0}, "retry_failed: 0 is neither", id="zero as boolean"),
        pytest.param({"retry_failed": 0.0}, "retry_failed: 0.0 is neither", id="zero with a point as boolean"),
        pytest.param({"concurrency": 10**12 + 1}, r"concurrency: .* up to 10\^12", id="count beyond reason"),
        pytest.param({"api_key_env": "A", "api_key_file": "b"}, "both name a key: keep one", id="two keys"),
        pytest.param({"model": 5}, "model: 5 isn't text", id="number as text"),
        pytest.param({"reasoning_effort": "much"}, "reasoning_effort: 'much'", id="choice"),
        pytest.param({"temperature": "hot"}, "temperature: 'hot'", id="float"),
        pytest.param({"param": ["seed"]}, "param: 'seed' isn't KEY=VALUE", id="pair"),
        pytest.param({"param": {"model": "o3"}}, "use --model", id="model as param"),
        pytest.param({"param": ["max_completion_tokens=5"]}, "use --max-completion-tokens", id="cap as param"),
        pytest.param({"param": ["max_tokens=5"]}, "--param max_tokens=…: use --max-completion-tokens", id="old cap as param"),
        pytest.param({"param": {"x": {1}}}, "--param 'x': .1. can't be written as JSON", id="a set as param"),
        pytest.param({"param": {"x": b"y"}}, "--param 'x': b'y' can't be written as JSON", id="bytes as param"),
        pytest.param({"param": {"x": [object]}}, "--param 'x': .* can't be written as JSON", id="a class inside a param"),
        pytest.param({"param": {"x": float("nan")}}, "--param 'x': nan can't be written as JSON", id="NaN as param"),
        pytest.param({"param": {"x": [float("inf")]}}, "--param 'x': .inf. can't be written as JSON", id="infinity inside one"),
        pytest.param({"param": ["x=\udcff"]}, "--param 'x': .* can't be written as JSON", id="a byte that is no UTF-8 as param"),
        pytest.param({"param": {"x": ENDLESS}}, "--param 'x': .* can't be written as JSON", id="a param that holds itself"),
        pytest.param({"system": "@~nobody-here/x"}, "system: can't read ~nobody-here/x", id="a file of nobody's"),
        pytest.param({"system": "@a\0b"}, "system: can't read", id="a file that no name can be of"),
        pytest.param({"max_failed": "9" * 5000}, "max_failed: .* neither a number of rows nor a share", id="too many digits"),
        pytest.param({"param": ["messages=[]"]}, "use the input rows", id="messages as param"),
        pytest.param({"param": ["stream=true"]}, "answers are read whole", id="stream"),
        pytest.param({"param": ["api-key=sk-1"]}, "a key is never sent as a parameter", id="a key"),
    ],
)
def test_a_value_that_can_not_be_meant_so_is_told_in_one_line(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageMistake, match=said) as raised:
        read_settings(values)

    assert "\n" not in str(raised.value)


def test_no_stream_may_be_said_aloud() -> None:
    assert read_settings({"param": ["stream=false"]}).request.param == (("stream", False),)


def test_a_key_given_for_its_variable_is_not_repeated() -> None:
    with pytest.raises(UsageMistake) as raised:
        read_settings({"api_key_env": "sk-secret-123"})

    assert "secret" not in str(raised.value)


def test_nothing_near_is_not_suggested() -> None:
    assert did_you_mean("xyzzy", ["model", "timeout"]) == ""


def test_a_text_stands_for_itself(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"\xef\xbb\xbfBe brief.\n")

    assert text_or_file("Be brief.", "--system") == "Be brief."
    assert text_or_file(f"@{tmp_path}/x.txt", "--system") == "Be brief.\n"


@pytest.mark.parametrize("content", [pytest.param(None, id="missing"), pytest.param(b"\xff", id="not UTF-8")])
def test_a_file_that_can_not_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.txt"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(UsageMistake, match=r"--system: can't read .*x\.txt"):
        text_or_file(f"@{path}", "--system")


@pytest.mark.parametrize(
    ("system", "meant"),
    [
        pytest.param("Be brief.", "Be brief.", id="text"),
        pytest.param(" \n", None, id="blank"),
        pytest.param("@@home is where", "@home is where", id="text that begins with @"),
        pytest.param("@@@x", "@@x", id="text that begins with two"),
        pytest.param("me@home", "me@home", id="@ inside"),
    ],
)
def test_a_system_text_is_what_was_meant(system: str, meant: str | None) -> None:
    assert read_settings({"system": system}).request.system == meant


def test_a_system_text_can_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"\xef\xbb\xbf@all: be brief.\n")

    assert read_settings({"system": f"@{tmp_path}/x.txt"}).request.system == "@all: be brief."


def test_a_system_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageMistake, match=r"system: can't read .*x\.txt"):
        read_settings({"system": f"@{tmp_path}/x.txt"})


@given(text=st.text(alphabet=st.sampled_from("@ax \n"), max_size=6))
@settings(max_examples=100, deadline=None)
def test_a_text_as_written_is_read_as_just_that_text(text: str) -> None:
    assert text_or_file(as_written(text), "--system") == text
    assert read_settings({"system": as_written(text)}).request.system == (text.strip() or None)


def test_numbers_beyond_64_bits_are_parameters_too() -> None:
    assert read_settings({"param": {"seed": 2**70}}).request.param == (("seed", 2**70),)
