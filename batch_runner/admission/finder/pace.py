"""An even pace: when the next request may go. Pure.

Time is what is paid with: a request at `rate` a second costs `1 / rate` seconds. So a changed rate is a changed price, nothing is
saved up that could be sent at once, and a late timer is caught up only a little.
"""

from __future__ import annotations

CATCH_UP_SECONDS, CATCH_UP_REQUESTS, MOST_CATCH_UP_SECONDS = 0.02, 1, 0.16
"""What a late timer may catch up, together: in no second more than 2 % and two requests above the rate. On a busy machine
timers are late all the time, and what isn't caught up is never used. At a slow rate, to catch even one up would be a burst."""

SHARED_CATCH_UP_SECONDS = 1.0
"""The same beside a token limit: while that one holds everyone up, this one has to save, or neither is ever used up."""

LEAST_RATE = 0.01


class Pace:
    """Lets `rate` requests a second through, evenly."""

    def __init__(self, rate: float, now: float, *, beside_tokens: bool = False) -> None:
        self.rate = rate
        self._next = now
        self._saved = SHARED_CATCH_UP_SECONDS if beside_tokens else CATCH_UP_SECONDS
        self._began = now

    def left(self, now: float) -> float:
        """Seconds until the next request may go."""
        return self._next - now

    def sent(self, now: float) -> None:
        """A request goes now. Nothing was saved up before the first one."""
        catch_up = self._saved + min(CATCH_UP_REQUESTS / self.rate, MOST_CATCH_UP_SECONDS)
        self._next = max(self._next, now - catch_up, self._began) + 1.0 / self.rate

    def change(self, rate: float, now: float) -> None:
        """From now on at another rate; what is left of the wait is priced anew."""
        rate = max(rate, LEAST_RATE)
        if self._next > now:
            self._next = now + (self._next - now) * self.rate / rate
        self.rate = rate

    def hold(self, until: float) -> None:
        """Nothing goes before a moment."""
        self._next = max(self._next, until)

    def release(self, now: float) -> None:
        """The next one may go at once."""
        self._next = min(self._next, now)
