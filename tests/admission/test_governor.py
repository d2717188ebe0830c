import asyncio

import pytest

from batch_runner.admission.governor import SLACK_REQUESTS, SLACK_SECONDS, Governor

pytestmark = pytest.mark.looptime

RATES = [0.5, 10.0, 700.0, 20_000.0]
"""Requests a second: asked for one by one, and hundreds at a time."""


@pytest.mark.parametrize("rate", RATES)
async def test_at_once_no_more_pass_than_a_second_and_two_are_worth_however_many_want_to(rate: float) -> None:
    governor, passed = Governor(60 * rate), 0

    async def wants_to_pass() -> None:
        nonlocal passed
        while True:
            await governor.permit()
            passed += 1

    many = [asyncio.create_task(wants_to_pass()) for _ in range(5)]
    await asyncio.sleep(0)
    for each in many:
        each.cancel()

    most = rate * SLACK_SECONDS + SLACK_REQUESTS
    assert 0.98 * most - 1 <= passed <= most
