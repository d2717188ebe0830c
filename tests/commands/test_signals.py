from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from batch_runner.commands.signals import heard_asleep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class Heard(Exception):
    """What the handler of these tests raises."""


@pytest.fixture(autouse=True)
def _raising() -> Iterator[None]:
    def hear(_number: int, _frame: FrameType | None) -> None:
        raise Heard

    before = signal.signal(signal.SIGTERM, hear)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_signal_waits_until_somebody_sleeps() -> None:
    awake = []
    with heard_asleep() as sleep:
        os.kill(os.getpid(), signal.SIGTERM)
        awake.append("still at it")
        with pytest.raises(Heard):
            sleep(0.0)

    assert awake == ["still at it"]


def test_a_signal_that_nobody_slept_for_is_heard_at_the_end() -> None:
    awake = []

    def busy() -> None:
        with heard_asleep():
            os.kill(os.getpid(), signal.SIGTERM)
            awake.append("still at it")

    with pytest.raises(Heard):
        busy()
    assert awake == ["still at it"]


def test_afterwards_signals_are_heard_at_once() -> None:
    with heard_asleep() as sleep:
        sleep(0.0)

    with pytest.raises(Heard):
        os.kill(os.getpid(), signal.SIGTERM)
