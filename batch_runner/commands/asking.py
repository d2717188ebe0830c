"""What `models` and `quota` share: which endpoint is asked, and how it is told when nothing comes back."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, TypeVar

from batch_runner.commands.terminal import print_json
from batch_runner.endpoint import FAKE, Endpoint, keyless_in_words, resolve, trust, with_key
from batch_runner.exits import ExitStatus
from batch_runner.failures import FailureKind
from batch_runner.leaving import Waits
from batch_runner.reporters.statement import failure_document
from batch_runner.reporters.voice import tell
from batch_runner.transport import HttpTransport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from batch_runner.settings import Settings
    from batch_runner.transport import Asker

    T = TypeVar("T")


def endpoint_asked(settings: Settings) -> Endpoint:
    """The endpoint that `settings` name, with its key. Raises `UsageMistake` or `CannotStart`."""
    return with_key(resolve(settings), settings)


def ask(endpoint: Endpoint, settings: Settings, question: Callable[[Asker, Endpoint], Awaitable[T]]) -> T:
    """What comes of `question`; the embedded endpoint is started for it."""
    trusted = trust(endpoint, settings)

    async def answer() -> T:
        async with AsyncExitStack() as open_things:
            asked = endpoint
            if endpoint.host == FAKE:
                from batch_runner.execution import embedded

                asked = await embedded(open_things)
            transport = HttpTransport(asked, timeout=settings.request.timeout, sends=Waits(), trust=trusted)
            return await question(await open_things.enter_async_context(transport), asked)

    return asyncio.run(answer())


def tell_untold(why: str, kind: str, endpoint: Endpoint, settings: Settings, *, as_json: bool) -> int:
    """Say that nothing came back, and why; the exit status."""
    if kind == FailureKind.INVALID_KEY and (keyless := keyless_in_words(endpoint, settings)):
        why = f"{why}; {keyless}"
    if as_json:
        print_json(failure_document(why, kind, endpoint.host))
    tell(f"Error: {why}")
    return int(ExitStatus.STOPPED_BY_SERVICE)
