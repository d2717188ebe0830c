"""Mail, chat and other services, by way of Apprise (the extra `notify`)."""

from __future__ import annotations

import asyncio
import logging
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING

from batch_runner.notices.courier import Undelivered

if TYPE_CHECKING:
    from batch_runner.notices.news import News

MISSING = "it needs the extra `notify`: pip install 'batch-runner[notify]'"


def is_installed() -> bool:
    """Whether the extra is there."""
    return find_spec("apprise") is not None


async def tell_service(url: str, news: News, *, seconds: float) -> None:
    """Tell one service, for `seconds` at most. Raises `Undelivered`.

    Apprise waits without an end where a service does, so it does so in a thread that nobody waits for.
    """
    if not is_installed():
        raise Undelivered(MISSING)
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str] = loop.create_future()

    def settle(trouble: str) -> None:
        if not done.done():
            done.set_result(trouble)

    def tell() -> None:
        try:
            trouble = _tell(url, news)
        except Exception as error:  # noqa: BLE001 - a hundred services' code, none of it ours
            trouble = type(error).__name__
        try:
            loop.call_soon_threadsafe(settle, trouble)
        except RuntimeError:  # the loop is gone: nobody waited so long
            return

    threading.Thread(target=tell, name="notify", daemon=True).start()
    try:
        async with asyncio.timeout(seconds):
            trouble = await done
    except TimeoutError:
        raise Undelivered(f"no answer within {seconds:g} s") from None
    if trouble:
        raise Undelivered(trouble)


def _tell(url: str, news: News) -> str:
    """Why the service couldn't be told; empty where it was."""
    import apprise  # noqa: PLC0415 - as above

    logging.getLogger("apprise").addHandler(logging.NullHandler())  # its own lines would tell the address
    logging.getLogger("apprise").propagate = False
    services = apprise.Apprise()
    if not services.add(url):
        return "Apprise knows no such address"
    kind = apprise.NotifyType.SUCCESS if news.well else apprise.NotifyType.FAILURE
    told = services.notify(title=news.title, body="\n".join(news.lines), notify_type=kind)
    return "" if told else "the service wasn't reached, or said no"
