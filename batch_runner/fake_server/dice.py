"""Luck that depends on what is asked and on the seed, never on the order of arrival."""

from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct

HAND = Struct("8Q")
"""One hash makes eight numbers: a request needs several, and hashing is what they cost."""


@dataclass(frozen=True, slots=True)
class Dice:
    """All randomness of one gateway: the same seed, topic and row give the same luck in every run."""

    seed: int = 0

    def hand(self, topic: str, about: object = "", detail: object = "") -> tuple[int, ...]:
        """Eight whole numbers of 64 bits."""
        text = f"{self.seed}|{topic}|{about}|{detail}"
        return HAND.unpack(blake2b(text.encode()).digest())

    def luck(self, topic: str, about: object = "", detail: object = "") -> float:
        """A number strictly between 0 and 1."""
        return as_luck(self.hand(topic, about, detail)[0])


def as_luck(number: int) -> float:
    """One of a hand's numbers as a share strictly between 0 and 1."""
    # A float holds 53 bits: 52 and the half. With more, the largest numbers would round up to 1 itself.
    return ((number >> 12) + 0.5) / 2**52
