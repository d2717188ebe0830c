"""A scenario being played: its clock, its luck, and the state of all its parts."""

import asyncio
from collections.abc import Callable

from batch_runner.fake_server.account.wallet import Wallet
from batch_runner.fake_server.answers.answer import Model
from batch_runner.fake_server.answers.scripts import ScriptBook
from batch_runner.fake_server.dice import Dice
from batch_runner.fake_server.faults.plan import FaultPlan
from batch_runner.fake_server.latency import processor_of
from batch_runner.fake_server.limits.gate import Gate
from batch_runner.fake_server.protocol.complaints import Complaint
from batch_runner.fake_server.protocol.dialects import SPEECHES
from batch_runner.fake_server.scenario import Scenario

Clock = Callable[[], float]


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
        self.wallet = Wallet(scenario.account)
        self.work = processor_of(scenario.latency.places)
        self.requests = 0
        self._clock = clock
        self.began = clock()

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
