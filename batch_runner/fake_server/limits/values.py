"""What a scenario says about limits: plain values, nothing that counts."""

from dataclasses import KW_ONLY, dataclass
from typing import Literal

What = Literal["requests", "tokens"]
Shape = Literal["bucket", "fixed", "sliding"]
Counting = Literal["reserve", "refund", "use"]
RetryAfter = Literal["none", "exact", "rounded", "date", "ms", "zero", "negative", "huge", "wrong"]
Reset = Literal["none", "go", "seconds", "0s", "6m0s", "-1"]

MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Change:
    """From second `at` of the scenario on, the limit is `amount`."""

    at: float
    amount: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Somebody else on the same limit: takes a share of it between `low` and `high`, another one each `every` seconds."""

    low: float = 0.4
    high: float = 0.8
    every: float = 30.0


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many requests or tokens `per` so many seconds.

    `shape` is a token bucket (`burst` deep, a whole `per` unless told), a fixed window or a sliding one. With a `quantum` the
    limit holds for each so many seconds: 60,000 a minute is then 1,000 in any one second. Tokens are counted by *reserve*
    (prompt and cap, kept), by *refund* (the same, what wasn't used given back) or by *use* (afterwards); `uncapped` is the
    cap of a request that names none. `refusals_count` lets refused requests use up the limit, too.
    """

    what: What
    amount: float
    _: KW_ONLY
    per: float = MINUTE
    shape: Shape = "bucket"
    burst: float | None = None
    quantum: float | None = None
    counting: Counting = "reserve"
    uncapped: int = 4096
    refusals_count: bool = False
    changes: tuple[Change, ...] = ()
    tenant: Tenant | None = None

    @property
    def window(self) -> float:
        """The seconds the limit really holds for."""
        return self.quantum or self.per

    @property
    def name(self) -> str:
        """The limit in a few words, for books and pages."""
        how = f", {self.counting}" if self.what == "tokens" else ""
        return f"{self.amount:g} {self.what} per {self.per:g} s ({self.shape}{how})"


@dataclass(frozen=True, slots=True)
class ConcurrencyLimit:
    """So many requests at once."""

    amount: int
    _: KW_ONLY
    changes: tuple[Change, ...] = ()

    @property
    def name(self) -> str:
        """The limit in a few words, for books and pages."""
        return f"{self.amount} at once"


Limit = RateLimit | ConcurrencyLimit


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What the service tells about its limits: when to come back, and in which dialect of the headers.

    `retry_after` may be right (`exact`, `rounded` up, a `date`, `ms`) or not (`zero`, `negative`, `huge`, `wrong`: always
    `wrong_seconds`). `reset` is the way `x-ratelimit-reset-*` is written; `0s`, `6m0s` and `-1` are what some services
    send whatever is true. `limit_named` is whether a refusal says which limit was met, and how high it is.
    """

    retry_after: RetryAfter = "rounded"
    wrong_seconds: int = 60
    reset: Reset = "go"
    in_message: bool = True
    limit_named: bool = True


SILENT = Hints(retry_after="none", reset="none", in_message=False)
"""What gateways say: nothing."""
