"""A scenario being played: its clock, its luck, and the state of all its parts."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from batch_runner.fake_server.account.wallet import Account, Wallet
from batch_runner.fake_server.answers.answer import Model
from batch_runner.fake_server.answers.scripts import ScriptBook
from batch_runner.fake_server.dice import Dice
from batch_runner.fake_server.faults.plan import FaultPlan
from batch_runner.fake_server.latency import processor_of
from batch_runner.fake_server.limits.allowance import Allowance
from batch_runner.fake_server.limits.gate import Gate
from batch_runner.fake_server.limits.meters import SlidingWindow
from batch_runner.fake_server.protocol.complaints import Complaint
from batch_runner.fake_server.protocol.dialects import SPEECHES
from batch_runner.fake_server.scenario import Scenario

Clock = Callable[[], float]
TOKEN_USAGE_CALLS = Allowance(20, 1200.0)
"""The one call that new-api limits by address: 20 in 20 minutes, then an empty 429."""


class Play:
    """One scenario from the moment it began; a gateway that changes its scenario begins a new one."""

    def __init__(self, scenario: Scenario, *, seed: int, echo: bool, clock: Clock) -> None:
        self.scenario = scenario
        self.speech = SPEECHES[scenario.dialect]
        self.hints = scenario.told_hints
        self.dice = Dice(seed)
        self.model = Model(scenario.answers, self.dice, echo)
        self.scripts = ScriptBook(scenario.scripts)
        self.faults = FaultPlan(scenario.faults, self.dice)
        self.gate = Gate(scenario.limits, self.dice)
        self.wallet = Wallet(self._account())
        self.token_usage_calls = SlidingWindow(TOKEN_USAGE_CALLS)
        self.work = processor_of(scenario.latency.places)
        self.requests = 0
        self._clock = clock
        self.began = clock()

    def _account(self) -> Account:
        # Only gateways hold money back; OpenAI serves until there is none.
        account = self.scenario.account
        return account if self.speech.is_gateway else replace(account, holds=False)

    @property
    def is_unlimited(self) -> bool:
        """Whether neither limits nor money can keep a request out."""
        return self.wallet.is_bottomless and not self.scenario.limits

    def seconds(self) -> float:
        """Seconds since the scenario began."""
        return self._clock() - self.began

    def next_request(self) -> int:
        """The number of the request that just arrived, from 1."""
        self.requests += 1
        return self.requests

    def complaint_about_key(self, key: str) -> Complaint | None:
        """Why a key may not come in; without a list of keys, any will do as long as there is one."""
        if not key:
            return self.speech.no_key
        known = self.scenario.keys
        return None if not known or key in known else self.speech.wrong_key(key)

    @staticmethod
    async def pause(seconds: float) -> None:
        """Lets time pass, if there is any to pass."""
        if seconds > 0:
            await asyncio.sleep(seconds)
