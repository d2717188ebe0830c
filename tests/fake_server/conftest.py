"""A client for the fake gateway's tests: plain aiohttp, so that nothing is smoothed over."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

KEY = {"authorization": "Bearer sk-test"}


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A client session with a key, that waits ten seconds at most and keeps as many connections as it likes."""
    timeout = aiohttp.ClientTimeout(total=10)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=KEY, timeout=timeout, connector=connector) as session:
        yield session
