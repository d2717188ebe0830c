"""Which fault meets which request."""

from collections.abc import Callable

from batch_runner.fake_server.dice import Dice
from batch_runner.fake_server.faults.fault import Fault, Moment

Condition = Callable[[Fault, Moment], bool]

CONDITIONS: tuple[Condition, ...] = (
    lambda fault, moment: fault.after <= moment.seconds < fault.until,
    lambda fault, moment: fault.first_request <= moment.request <= fault.last_request,
    lambda fault, moment: fault.prompt in moment.prompt,
    lambda fault, moment: not fault.attempts or moment.attempt in fault.attempts,
    lambda fault, moment: fault.authorization in moment.authorization,
)


class FaultPlan:
    """The faults of one scenario, and how often each was played."""

    def __init__(self, faults: tuple[Fault, ...], dice: Dice) -> None:
        self._faults = faults
        self._dice = dice
        self._played = [0] * len(faults)
        self.watches_door = any(fault.at_door for fault in faults)

    def at_door(self, moment: Moment) -> Fault | None:
        """The fault that meets a request before anything else does."""
        return self._pick(moment, at_door=True)

    def within(self, moment: Moment) -> Fault | None:
        """The fault that meets a request the service has accepted."""
        return self._pick(moment, at_door=False)

    def _pick(self, moment: Moment, *, at_door: bool) -> Fault | None:
        for place, fault in enumerate(self._faults):
            if fault.at_door is at_door and self._fits(place, fault, moment):
                self._played[place] += 1
                return fault
        return None

    def _fits(self, place: int, fault: Fault, moment: Moment) -> bool:
        if self._played[place] >= fault.times:
            return False
        if not all(holds(fault, moment) for holds in CONDITIONS):
            return False
        return fault.probability >= 1.0 or self._is_unlucky(place, fault, moment)

    def _is_unlucky(self, place: int, fault: Fault, moment: Moment) -> bool:
        # A row meets its luck by attempt, in whatever order rows arrive; at the door there is only the request's number.
        about = f"{moment.row}/{moment.attempt}" if moment.row else moment.request
        return self._dice.luck("fault", place, about) < fault.probability
