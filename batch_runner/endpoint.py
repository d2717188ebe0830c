"""Where requests go, which key goes with them, and who is trusted there. A key never travels to a host it wasn't meant for."""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
import ssl
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from batch_runner.failures import CannotStart, UsageMistake
from batch_runner.nearest import did_you_mean
from batch_runner.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_runner.settings import Settings

APICORE_URL = "https://api.apicore.ai/v1"
OPENAI_URL = "https://api.openai.com/v1"
FAKE = "fake"
FAKE_KEY = "fake-key"
OWN_KEY_VARIABLE = "BATCH_RUNNER_API_KEY"
ROUTE = "/chat/completions"
CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""The variable by which systemd tells a service where the credentials of its unit are (systemd.exec(5))."""
CREDENTIALS_FOLDER = f"${{{CREDENTIALS}}}"
"""How a path in a job file begins that lies there; put in when the file is read, for only a unit has the variable."""
COMMAND_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that is ready to be asked."""

    url: str
    """Without a slash at its end; `/chat/completions` comes after it."""
    host: str
    """Its name in an output: host name without port; `fake` for the embedded one."""
    key: str | None = field(default=None, repr=False)

    @property
    def chat_url(self) -> str:
        """Where chat requests are posted."""
        return self.url + ROUTE

    @property
    def root(self) -> str:
        """What stands before `/v1`: a gateway has some routes beside it."""
        return self.url.removesuffix("/v1")


@dataclass(frozen=True, slots=True)
class _Known:
    url: str
    key_variable: str
    url_variable: str | None = None


_KNOWN = {
    "apicore": _Known(APICORE_URL, "APICORE_API_KEY"),
    "openai": _Known(OPENAI_URL, "OPENAI_API_KEY", "OPENAI_BASE_URL"),
}


def resolve(settings: Settings, environment: Mapping[str, str] = os.environ) -> Endpoint:
    """The endpoint that `settings` name, without its key. Raises `UsageMistake` for what is no endpoint.

    The embedded endpoint has no address until it is started: `url` is empty.
    """
    name = settings.request.endpoint
    if name == FAKE:
        return Endpoint("", FAKE)
    known = _KNOWN.get(name)
    if known is not None:
        url = (environment.get(known.url_variable) if known.url_variable else None) or known.url
    elif "://" in name:
        url = name
    else:
        names = (*_KNOWN, FAKE)
        hint = did_you_mean(name, names)
        raise UsageMistake(f"--endpoint {redact(name)!r} is neither one of {', '.join(names)} nor a URL{hint}")
    return _at(url, said_by=known.url_variable if known is not None and known.url_variable else "--endpoint")


def with_key(endpoint: Endpoint, settings: Settings, environment: Mapping[str, str] = os.environ) -> Endpoint:
    """The endpoint with the key that belongs to it. Raises `CannotStart`, naming what to set, when there is none."""
    if endpoint.host == FAKE:
        return Endpoint(endpoint.url, FAKE, FAKE_KEY)
    key = _key(endpoint, settings, environment)
    if key is not None and not re.fullmatch(r"[!-~]+", key):
        raise CannotStart("the key holds blanks, or characters that no HTTP header can: is it the key itself, on one line?")
    return Endpoint(endpoint.url, endpoint.host, key)


def key_variable_of(settings: Settings) -> str:
    """The variable that a key is looked for in, where neither a file nor a command has it."""
    known = _KNOWN.get(settings.request.endpoint)
    return settings.request.api_key_env or (known.key_variable if known else OWN_KEY_VARIABLE)


def keyless_in_words(endpoint: Endpoint, settings: Settings) -> str:
    """What to do where a key is asked for and none was sent, as to an address of this machine; empty where one was."""
    return "" if endpoint.key is not None else f"no key was sent: {_how_to_give_one(settings)}"


def key_in_shell(endpoint: Endpoint, settings: Settings, environment: Mapping[str, str] = os.environ) -> str | None:
    """How a shell would write the key that goes along, without showing it; `None` where none does."""
    request = settings.request
    if endpoint.host == FAKE:
        return FAKE_KEY
    if request.api_key_file is not None:
        given = request.api_key_file.startswith(CREDENTIALS_FOLDER)
        return f"$(cat {request.api_key_file if given else shlex.quote(request.api_key_file)})"
    if request.api_key_command is not None:
        return f"$({request.api_key_command})"
    variable = key_variable_of(settings)
    if request.api_key_env is None and is_loopback(endpoint.host) and not environment.get(variable, "").strip():
        return None
    return f"${variable}"


def trust(endpoint: Endpoint, settings: Settings, environment: Mapping[str, str] = os.environ) -> ssl.SSLContext | bool:
    """Whose certificates are trusted: the authorities in `--ca-bundle`, else those that OpenSSL finds and `SSL_CERT_FILE`'s.

    `True` where nobody shows one. Raises `CannotStart` when such a file can't be used: OpenSSL itself passes over a wrong
    `SSL_CERT_FILE` in silence, and then trusts nobody.
    """
    told, variable = settings.request.ca_bundle, environment.get("SSL_CERT_FILE")
    if told is None and not endpoint.url.startswith("https:"):
        return True
    said_by, file = ("--ca-bundle", told) if told is not None else ("SSL_CERT_FILE", variable)
    try:
        context = ssl.create_default_context(cafile=told)
        if told is None and variable:
            context.load_verify_locations(variable)
    except ssl.SSLError:
        raise CannotStart(f"{said_by} {file}: there is no certificate in PEM form in it") from None
    except (OSError, ValueError) as error:  # a NUL in the name is a ValueError
        raise CannotStart(f"{said_by} {file}: can't be read: {getattr(error, 'strerror', error)}") from None
    return context


def is_loopback(host: str) -> bool:
    """True for an address of this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _key(endpoint: Endpoint, settings: Settings, environment: Mapping[str, str]) -> str | None:
    request = settings.request
    if request.api_key_file is not None:
        return _from_file(request.api_key_file, environment)
    if request.api_key_command is not None:
        return _from_command(request.api_key_command)
    variable = key_variable_of(settings)
    key = environment.get(variable, "").strip()
    if key:
        return key
    if request.api_key_env is None and is_loopback(endpoint.host):
        return None
    raise CannotStart(f"no key for {endpoint.host}: {_how_to_give_one(settings)}; --endpoint fake needs none")


def _how_to_give_one(settings: Settings) -> str:
    variable = key_variable_of(settings)
    others = "another variable with --api-key-env, a file with --api-key-file, a command with --api-key-command"
    return f"set {variable} (or name {others})"


def _from_file(name: str, environment: Mapping[str, str]) -> str:
    folder = environment.get(CREDENTIALS)
    if name.startswith(CREDENTIALS_FOLDER) and not folder:
        raise CannotStart(f"--api-key-file {name}: {CREDENTIALS} isn't set; systemd sets it for a unit with LoadCredential=")
    try:
        key = Path(name.replace(CREDENTIALS_FOLDER, folder or "", 1)).expanduser().read_text(encoding="utf-8").strip()
    except OSError as error:
        raise CannotStart(f"--api-key-file {name}: can't be read: {error.strerror}") from None
    except (ValueError, RuntimeError) as error:  # no text in it, a NUL in its name, `~nobody`
        raise CannotStart(f"--api-key-file {name}: can't be read: {error}") from None
    if not key:
        raise CannotStart(f"--api-key-file {name} is empty")
    return key


def _from_command(command: str) -> str:
    """What the command prints. Its words on stderr pass through: it may have to ask for something."""
    words = _words(command)
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, check=False, timeout=COMMAND_SECONDS)  # noqa: S603 - the user's own
        key = done.stdout.decode().strip()
    except subprocess.TimeoutExpired:
        raise CannotStart(f"--api-key-command: {words[0]} printed no key within {COMMAND_SECONDS:g} s") from None
    except (OSError, ValueError) as error:
        raise CannotStart(f"--api-key-command: {words[0]} can't be run: {getattr(error, 'strerror', error)}") from None
    if done.returncode or not key:
        what = f"ended with {done.returncode}" if done.returncode else "printed nothing"
        raise CannotStart(f"--api-key-command: {words[0]} {what}: it must print the key")
    return key


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageMistake(f"--api-key-command: {error}") from None
    if not words:
        raise UsageMistake("--api-key-command names no command")
    return words


def _at(url: str, *, said_by: str) -> Endpoint:
    url = url.strip()
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        ascii_host = host if host.isascii() else host.encode("idna").decode()
    except ValueError as error:  # UnicodeError is one
        raise UsageMistake(f"{said_by} {redact(url)}: {error}") from None
    if parts.scheme not in {"http", "https"} or not _is_host(ascii_host) or any(character.isspace() for character in url):
        raise UsageMistake(f"{said_by} {redact(url)}: an endpoint is written https://HOST/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageMistake(f"{said_by} {redact(url)}: neither a key nor a query can stand in it; name the key's variable with --api-key-env")  # fmt: skip # noqa: E501
    if ascii_host != host:
        url = parts._replace(netloc=ascii_host if port is None else f"{ascii_host}:{port}").geturl()
    return Endpoint(url.rstrip("/").removesuffix(ROUTE).rstrip("/"), host)


def _is_host(name: str) -> bool:
    """True for an address, or a name that a resolver takes: labels of 1 to 63 letters, digits, `-` and `_`."""
    if ":" in name:  # an IPv6 address
        return True
    return all(re.fullmatch(r"[A-Za-z0-9_-]{1,63}", label) for label in name.removesuffix(".").split("."))
