from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from benchmarks.virtual_time import TickingLoop


@pytest.fixture
def play() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Runs a coroutine in virtual time that also moves when nothing is waited for."""
    loop = TickingLoop()
    yield loop.run_until_complete
    loop.close()
