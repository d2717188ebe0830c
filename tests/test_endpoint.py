from pathlib import Path

import pytest

from batch_runner.endpoint import APICORE_URL, FAKE_KEY, OPENAI_URL, Endpoint, is_loopback, resolve, with_key
from batch_runner.failures import BatchRunnerError, CannotStart, UsageMistake
from batch_runner.settings import Settings, read_settings

ALL_KEYS = {
    "APICORE_API_KEY": "apicore-key",
    "OPENAI_API_KEY": "openai-key",
    "BATCH_RUNNER_API_KEY": "own-key",
    "MY_KEY": "my-key",
}


def asked(endpoint: str, **more: str) -> Settings:
    return read_settings({"endpoint": endpoint, **more})


def key_for(settings: Settings, environment: dict[str, str]) -> str | None:
    return with_key(resolve(settings, environment), settings, environment).key


@pytest.mark.parametrize(
    ("name", "url", "host"),
    [
        pytest.param("apicore", APICORE_URL, "api.apicore.ai", id="apicore"),
        pytest.param("openai", OPENAI_URL, "api.openai.com", id="openai"),
        pytest.param("fake", "", "fake", id="fake"),
        pytest.param("https://x.example.com/v1", "https://x.example.com/v1", "x.example.com", id="URL"),
        pytest.param("https://x.example.com:8443/v1/", "https://x.example.com:8443/v1", "x.example.com", id="port and slash"),
        pytest.param("https://x.example.com/v1/chat/completions", "https://x.example.com/v1", "x.example.com", id="whole route"),
        pytest.param("HTTP://LocalHost:9/v1", "HTTP://LocalHost:9/v1", "localhost", id="capitals"),
        pytest.param("http://[::1]:9/v1", "http://[::1]:9/v1", "::1", id="IPv6"),
    ],
)
def test_an_endpoint_is_a_name_or_a_url(name: str, url: str, host: str) -> None:
    assert resolve(asked(name), {}) == Endpoint(url, host)


def test_chat_requests_are_posted_below_the_url() -> None:
    assert resolve(asked("https://x.example.com/v1/"), {}).chat_url == "https://x.example.com/v1/chat/completions"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("opnai", "did you mean 'openai'", id="misspelt"),
        pytest.param("x.example.com", "nor a URL", id="no scheme"),
        pytest.param("ftp://x.example.com", "https://HOST/v1", id="other scheme"),
        pytest.param("https:///v1", "https://HOST/v1", id="no host"),
        pytest.param("https://x.example.com:port/v1", "Port", id="odd port"),
        pytest.param("https://user:secret@x.example.com/v1", "neither a key nor a query", id="password"),
        pytest.param("https://x.example.com/v1?key=secret", "neither a key nor a query", id="query"),
    ],
)
def test_what_is_no_endpoint_is_refused_without_repeating_secrets(name: str, said: str) -> None:
    with pytest.raises(UsageMistake, match=said) as raised:
        resolve(asked(name), {})

    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        pytest.param("apicore", "apicore-key", id="apicore"),
        pytest.param("openai", "openai-key", id="openai"),
        pytest.param("https://x.example.com/v1", "own-key", id="URL"),
        pytest.param("https://api.openai.com/v1", "own-key", id="a known host by its URL"),
        pytest.param("fake", FAKE_KEY, id="fake"),
    ],
)
def test_a_key_goes_only_where_it_was_meant_to(name: str, key: str) -> None:
    assert key_for(asked(name), ALL_KEYS) == key


@pytest.mark.parametrize("name", ["apicore", "openai", "https://x.example.com/v1"])
def test_a_missing_key_is_named_and_no_other_takes_its_place(name: str) -> None:
    variable = {"apicore": "APICORE_API_KEY", "openai": "OPENAI_API_KEY"}.get(name, "BATCH_RUNNER_API_KEY")
    others = {other: key for other, key in ALL_KEYS.items() if other != variable}

    with pytest.raises(CannotStart, match=f"set {variable}.*--endpoint fake needs none"):
        key_for(asked(name), others)


def test_openais_address_and_key_move_as_a_pair() -> None:
    environment = {**ALL_KEYS, "OPENAI_BASE_URL": "https://proxy.example.com/v1"}

    endpoint = with_key(resolve(asked("openai"), environment), asked("openai"), environment)

    assert endpoint == Endpoint("https://proxy.example.com/v1", "proxy.example.com", "openai-key")
    assert resolve(asked("apicore"), environment).host == "api.apicore.ai"


def test_another_variable_can_be_named() -> None:
    assert key_for(asked("apicore", api_key_env="MY_KEY"), ALL_KEYS) == "my-key"


def test_a_named_variable_that_is_empty_is_told_even_on_loopback() -> None:
    with pytest.raises(CannotStart, match="set NO_KEY"):
        key_for(asked("http://127.0.0.1:9/v1", api_key_env="NO_KEY"), ALL_KEYS)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "[::1]"])
def test_no_key_is_needed_on_loopback(host: str) -> None:
    assert key_for(asked(f"http://{host}:9/v1"), {}) is None


@pytest.mark.parametrize("host", ["localhost.example.com", "127.0.0.1.example.com", "10.0.0.1", "0.0.0.0"])  # noqa: S104 - a name
def test_other_hosts_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_a_key_can_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("file-key\n")

    assert key_for(asked("apicore", api_key_file=str(tmp_path / "key")), ALL_KEYS) == "file-key"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "can't be read", id="missing"),
        pytest.param(b" \n", "is empty", id="empty"),
        pytest.param(b"\xff\xfe", "can't be read", id="not text"),
        pytest.param(b"one\ntwo\n", "characters that no HTTP header can", id="two lines"),
        pytest.param("schlüssel".encode(), "characters that no HTTP header can", id="not ASCII"),
    ],
)
def test_a_file_that_holds_no_key_is_told(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(CannotStart, match=said):
        key_for(asked("apicore", api_key_file=str(path)), ALL_KEYS)


def test_a_key_file_can_lie_where_systemd_puts_credentials(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("file-key\n")
    asked_for = asked("apicore", api_key_file="${CREDENTIALS_DIRECTORY}/key")

    assert key_for(asked_for, ALL_KEYS | {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "file-key"
    with pytest.raises(CannotStart, match="CREDENTIALS_DIRECTORY isn't set; systemd sets it for a unit with LoadCredential="):
        key_for(asked_for, ALL_KEYS)


def test_a_command_can_print_the_key_and_no_shell_reads_it() -> None:
    assert key_for(asked("apicore", api_key_command="echo 'key;$HOME'"), ALL_KEYS) == "key;$HOME"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        pytest.param("false", r"--api-key-command: false ended with 1: it must print the key", id="failed"),
        pytest.param("true", r"--api-key-command: true printed nothing", id="silent"),
        pytest.param("/nowhere/pass show", r"--api-key-command: /nowhere/pass can't be run: No such file", id="gone"),
        pytest.param("printf 'a\\nb'", "characters that no HTTP header can", id="two lines"),
    ],
)
def test_a_command_that_prints_no_key_is_told(command: str, said: str) -> None:
    with pytest.raises(CannotStart, match=said):
        key_for(asked("apicore", api_key_command=command), ALL_KEYS)


@pytest.mark.parametrize("command", [" ", "'open"])
def test_what_is_no_command_is_told(command: str) -> None:
    with pytest.raises(UsageMistake, match="--api-key-command"):
        key_for(asked("apicore", api_key_command=command), ALL_KEYS)


@pytest.mark.parametrize("name", [pytest.param("~nobody-here/key", id="of nobody's"), pytest.param("a\0b", id="no name")])
def test_a_key_file_that_can_not_be_named_so_is_told(name: str) -> None:
    with pytest.raises(CannotStart, match=r"--api-key-file .*: can't be read"):
        key_for(asked("apicore", api_key_file=name), ALL_KEYS)


def test_spaces_around_a_key_are_not_part_of_it() -> None:
    assert key_for(asked("apicore"), {"APICORE_API_KEY": " apicore-key\n"}) == "apicore-key"


def test_an_endpoint_does_not_show_its_key() -> None:
    assert "apicore-key" not in repr(with_key(resolve(asked("apicore"), ALL_KEYS), asked("apicore"), ALL_KEYS))


def test_no_complaint_shows_a_key() -> None:
    with pytest.raises(BatchRunnerError) as raised:
        key_for(asked("apicore"), {"APICORE_API_KEY": "secret\nkey"})

    assert "secret" not in str(raised.value)
