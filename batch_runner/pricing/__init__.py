"""Tokens -> money: rates, the prices that apply, the file that overrides them."""

from batch_runner.pricing.money import Cost, Price, Rates
from batch_runner.pricing.prices import Prices

__all__ = ["Cost", "Price", "Prices", "Rates"]
