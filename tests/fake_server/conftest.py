"""A client for the fake gateway's tests: plain aiohttp, so that nothing is smoothed over."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

KEY = {"authorization": "Bearer sk-test"}


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A client session with a key, that waits a second at most and follows nothing."""
    timeout = aiohttp.ClientTimeout(total=1)
    async with aiohttp.ClientSession(headers=KEY, timeout=timeout) as session:
        yield session
