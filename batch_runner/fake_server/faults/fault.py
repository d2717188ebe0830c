"""When things go wrong: a fault is an action and the conditions under which it happens."""

import math
import re
from dataclasses import KW_ONLY, dataclass

from batch_runner.fake_server.faults.actions import REPLACEMENTS, Action, Canned, Status

INNER_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Fault:
    """An action, and when it happens: every condition given must hold; the first fault of a scenario that fits is played.

    `attempts` are attempt numbers of the row, from 1 (a rate-limited request is none); `first_request` and `last_request`
    count the requests of the scenario; `after` and `until` are its seconds; `times` is how often the fault is played at
    most, so faults listed one after another with `times=1` are played in that order. A fault `at_door` happens before the
    key, the body or any limit is looked at, as in an outage, and knows neither prompt nor attempt. A replacement comes
    after `delay` seconds, a damage after the answer's own latency and that.
    """

    action: Action
    _: KW_ONLY
    prompt: str = ""
    attempts: tuple[int, ...] = ()
    probability: float = 1.0
    first_request: int = 1
    last_request: float = math.inf
    after: float = 0.0
    until: float = math.inf
    times: float = math.inf
    authorization: str = ""
    at_door: bool = False
    billed: bool | None = None
    delay: float = 0.0

    @property
    def name(self) -> str:
        """What the books call it: the catalogue's name of an error, else the action's."""
        return name_of(self.action)

    @property
    def replaces(self) -> bool:
        """Whether the action comes instead of an answer."""
        return isinstance(self.action, REPLACEMENTS)

    @property
    def bills(self) -> bool:
        """Whether the account pays: as told, else for every answer that was computed."""
        return not self.replaces if self.billed is None else self.billed

    @property
    def computes(self) -> bool:
        """Whether an answer is computed all the same: to be damaged, or to be paid for in vain."""
        return not self.replaces or self.bills


def name_of(action: Action) -> str:
    """An action in one word."""
    if isinstance(action, Canned):
        return action.error
    if isinstance(action, Status):
        return f"status_{action.status}"
    return INNER_CAPITAL.sub("_", type(action).__name__).lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a fault may look at when a request meets it."""

    seconds: float
    request: int
    authorization: str = ""
    row: str = ""
    prompt: str = ""
    attempt: int = 0
