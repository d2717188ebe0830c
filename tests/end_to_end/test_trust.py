"""Whose certificates are believed, at real TLS servers; and that nothing begins where that can't be known."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
import trustme
from aiohttp import web

from batch_runner import CannotStart, run_file
from tests.end_to_end.conftest import KEY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.conftest import Place, Servers

ANSWER = {"id": "1", "model": "o1", "choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}


class Secured:
    """A TLS server whose certificate names a host, and the authority behind it."""

    def __init__(self, servers: Servers, folder: Path, host: str) -> None:
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(host).configure_cert(context)
        self.bundle = folder / "authority.pem"
        authority.cert_pem.write_to_path(str(self.bundle))
        self.keys: list[str] = []
        self.url = servers.by_hand(self._answer, tls=context) + "/v1"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers.get("authorization", ""))
        return web.json_response(ANSWER)


@pytest.fixture
def secured(servers: Servers, place: Place) -> Secured:
    return Secured(servers, place.folder, "127.0.0.1")


async def test_a_certificate_that_nobody_vouches_for_stops_the_run_before_the_key_is_shown(
    place: Place, secured: Secured
) -> None:
    place.write_questions(20)

    report = await run_file(place.prompts, endpoint=secured.url)

    assert report.exit_status == 4
    assert report.reason.startswith("unreachable: the certificate of 127.0.0.1 isn't trusted")
    assert "--ca-bundle" in report.reason
    assert secured.keys == []
    assert report.totals.rows["failed"] == 0


async def test_a_bundle_makes_it_trusted(place: Place, secured: Secured) -> None:
    place.write_questions(3)

    report = await run_file(place.prompts, endpoint=secured.url, ca_bundle=str(secured.bundle))

    assert report.exit_status == 0
    assert secured.keys == [f"Bearer {KEY}"] * 3


def test_ssl_cert_file_does_the_same(place: Place, secured: Secured) -> None:
    place.write_questions(1)

    end = place.run("run", place.prompts, "--endpoint", secured.url, env={"SSL_CERT_FILE": str(secured.bundle)})

    assert end.status == 0, end.err


async def test_a_certificate_of_another_host_is_not_trusted_though_its_authority_is(place: Place, servers: Servers) -> None:
    other = Secured(servers, place.folder, "elsewhere.example")
    place.write_questions(3)

    report = await run_file(place.prompts, endpoint=other.url, ca_bundle=str(other.bundle))

    assert report.exit_status == 4
    assert "isn't trusted" in report.reason
    assert other.keys == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "No such file", id="isn't there"),
        pytest.param("hello", "no certificate in PEM form", id="isn't PEM"),
        pytest.param("", "no certificate in PEM form", id="empty"),
    ],
)
@pytest.mark.parametrize("said_by", ["--ca-bundle", "SSL_CERT_FILE"])
def test_a_bundle_that_can_not_be_used_is_told_before_anything_is_written(
    place: Place, secured: Secured, said_by: str, content: str | None, words: str
) -> None:
    place.write_questions(1)
    bundle = place.folder / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    by_flag = said_by.startswith("--")

    end = place.run(
        "run",
        place.prompts,
        "--endpoint",
        secured.url,
        *((said_by, bundle) if by_flag else ()),
        env={} if by_flag else {said_by: str(bundle)},
    )

    assert end.status == 3
    assert end.err.count("\n") == 1
    assert f"{said_by} {bundle}: " in end.err
    assert words in end.err
    assert not place.out.exists()
    assert secured.keys == []


async def test_a_bundle_is_looked_at_before_an_old_output_is_touched(place: Place, secured: Secured) -> None:
    place.write_questions(1)
    await run_file(place.prompts, endpoint=secured.url, ca_bundle=str(secured.bundle))
    before = place.out.read_bytes()

    with pytest.raises(CannotStart, match="bundle"):
        await run_file(place.prompts, endpoint=secured.url, ca_bundle=str(place.folder / "no.pem"), fresh=True)

    assert place.out.read_bytes() == before


def test_an_encrypted_address_spoken_to_in_the_clear_is_told_as_what_it_is(place: Place, servers: Servers) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response(ANSWER)

    plain = servers.by_hand(answer).replace("http:", "https:")
    place.write_questions(2)
    started = place.start("run", place.prompts, "--endpoint", plain, "--max-wait", "1s", "--max-row-wait", "1s")

    end = started.ended()

    assert end.status in {4, 10}
    assert "unreachable" in end.err
    assert "Traceback" not in end.err


def test_an_address_in_the_clear_that_is_not_this_machine_is_warned_of(place: Place, servers: Servers) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response(ANSWER)

    place.write_questions(1)
    proxy = {"HTTP_PROXY": servers.by_hand(answer)}

    far = place.run("run", place.prompts, "--endpoint", "http://gateway.invalid/v1", "-o", "far.jsonl", env=proxy)
    near = place.run("run", place.prompts, "--endpoint", servers.by_hand(answer), "-o", "near.jsonl")

    assert "isn't encrypted" in far.err
    assert "isn't encrypted" not in near.err
