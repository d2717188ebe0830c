import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web

from batch_runner.notices import courier
from batch_runner.notices.courier import Undelivered, address_of, deliver, shown

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Post:
    """A web server that keeps what it is sent, and answers as `replies` say, the last one again and again."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, bytes]] = []
        self.logins: list[str] = []
        self.replies: list[int | float] = [200]
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.got.append((request.path_qs, request.content_type, await request.read()))
        self.logins.append(request.headers.get("authorization", ""))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, float):
            await asyncio.sleep(reply)
            return web.Response()
        return web.Response(status=reply, headers={"location": "http://127.0.0.1:9/elsewhere"} if 300 <= reply < 400 else {})


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    server = Post()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.handle)
    async with AsyncExitStack() as things:
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.05)
        await runner.setup()
        things.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "PAUSE_SECONDS", 0.0)


async def test_a_notice_arrives_as_it_is(post: Post) -> None:
    await deliver(f"{post.url}/a/b?c=1", b"body", "text/plain", seconds=5)

    assert post.got == [("/a/b?c=1", "text/plain", b"body")]


async def test_a_name_and_a_password_in_an_address_go_along_as_a_login(post: Post) -> None:
    await deliver(post.url.replace("http://", "http://me:p%40ss@") + "/a", b"", "text/plain", seconds=5)

    assert (post.got, post.logins) == ([("/a", "text/plain", b"")], ["Basic bWU6cEBzcw=="])


@pytest.mark.parametrize("trouble", [500, 503, 429, 408])
async def test_what_may_be_gone_a_moment_later_is_tried_again(post: Post, trouble: int) -> None:
    post.replies = [trouble, trouble, 200]

    await deliver(post.url, b"", "text/plain", seconds=5)

    assert len(post.got) == 3


@pytest.mark.parametrize(
    ("status", "attempts", "why"),
    [
        pytest.param(404, 1, "HTTP 404", id="its own fault"),
        pytest.param(500, 3, "HTTP 500 (3 attempts)", id="the server's"),
        pytest.param(301, 1, "HTTP 301: it leads elsewhere, and isn't followed", id="leads elsewhere"),
    ],
)
async def test_one_that_can_not_be_delivered_says_why(post: Post, status: int, attempts: int, why: str) -> None:
    post.replies = [status]

    with pytest.raises(Undelivered) as told:
        await deliver(post.url, b"", "text/plain", seconds=5)

    assert (str(told.value), len(post.got)) == (why, attempts)


async def test_a_server_that_does_not_answer_is_waited_for_no_longer_than_told(post: Post) -> None:
    post.replies = [60.0]

    with pytest.raises(Undelivered, match=r"no answer within 0\.2 s"):
        await deliver(post.url, b"", "text/plain", seconds=0.2)


async def test_nobody_there_is_told(unused_tcp_port: int) -> None:
    with pytest.raises(Undelivered, match=r"no connection with 127\.0\.0\.1:\d+: Connection refused.*\(2 attempts\)"):
        await deliver(f"http://127.0.0.1:{unused_tcp_port}/secret", b"", "text/plain", seconds=5, attempts=2)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://hc-ping.com/uuid", "https://hc-ping.com/***"),
        ("https://user:pass@host:8443/x?token=1", "https://host:8443/***"),
        ("https://token@host", "https://host/***"),
        ("https://host/", "https://host"),
        ("mailto://user:pass@gmail.com", "mailto://***"),
        ("tgram://bottoken/chat", "tgram://***"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(url: str, told: str) -> None:
    assert shown(url) == told


def test_an_address_can_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "ping").write_text("https://hc-ping.com/uuid\n", encoding="utf-8")

    assert address_of(f"@{tmp_path}/ping") == "https://hc-ping.com/uuid"
    with pytest.raises(Undelivered, match="gone can't be read: No such file"):
        address_of(f"@{tmp_path}/gone")
