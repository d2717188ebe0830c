"""The money: what was granted, what the answers cost, and what is held back for those still being computed."""

from dataclasses import dataclass

from batch_runner.fake_server.protocol.usage import Usage

MILLION = 1_000_000
RICH = 100
"""A gateway holds nothing back while the balance is this many times what it would hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a scenario's key may spend; prices are in dollars per million tokens.

    Without `granted_usd` it is unlimited. `answers` is another way to end it: the quota lasts for so many of them. `per_usd`
    is how many of its own units a gateway makes of a dollar. With `holds`, a request is refused unless the price of its
    prompt and whole cap is free, as gateways do, though the answer may be cheaper.
    """

    granted_usd: float | None = None
    answers: int | None = None
    prompt_price: float = 1.10
    cached_price: float = 0.55
    completion_price: float = 4.40
    per_usd: int = 500_000
    holds: bool = True
    name: str = "fake"
    expires_at: int = -1

    def price(self, usage: Usage) -> float:
        """What an answer costs."""
        fresh = usage.prompt_tokens - usage.cached_tokens
        cost = fresh * self.prompt_price + usage.cached_tokens * self.cached_price
        return (cost + usage.completion_tokens * self.completion_price) / MILLION


class Wallet:
    """The state of one account."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.used_usd = 0.0
        self.answers = 0
        self._held = 0.0

    @property
    def is_bottomless(self) -> bool:
        """Whether there is no end to the account."""
        return self.account.granted_usd is None and self.account.answers is None

    @property
    def left_usd(self) -> float | None:
        """What can still be spent; nothing if it is unlimited."""
        granted = self.account.granted_usd
        return None if granted is None else granted - self.used_usd

    def hold(self, prompt_tokens: int, cap: int) -> float | None:
        """Dollars held back for a request until its answer is there, or nothing if the account can't pay for it."""
        if self.account.answers is not None and self.answers >= self.account.answers:
            return None
        left = self.left_usd
        if left is None:
            return 0.0
        free = left - self._held
        if free <= 0:
            return None
        return self._held_back(free, self.account.price(Usage(prompt_tokens, 0, cap, 0)))

    def _held_back(self, free: float, price: float) -> float | None:
        if not self.account.holds or free > RICH * price:
            return 0.0
        if price > free:
            return None
        self._held += price
        return price

    def release(self, held: float) -> None:
        """The request is done, whatever it cost."""
        self._held -= held

    def pay(self, usage: Usage) -> None:
        """An answer is billed."""
        self.used_usd += self.account.price(usage)
        self.answers += 1
