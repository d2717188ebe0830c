"""How a scenario's model answers: at what length, after how much reasoning, and how often not at all."""

from dataclasses import dataclass

from batch_runner.fake_server.spreads import Fixed, LogNormal, Spread, Uniform

A_FEW_SENTENCES = Uniform(8, 40)
A_LITTLE_THOUGHT = LogNormal(96, sigma=0.5, most=512)
NOTHING = Fixed(0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerStyle:
    """Spreads of token counts, and shares of rows that get no answer.

    `cached_share` is the part of a prompt billed as cached; `refusals` and `filtered` are shares of rows, the same rows in
    every run, that are refused in words or stopped by the content filter.
    """

    visible: Spread = A_FEW_SENTENCES
    reasoning: Spread = A_LITTLE_THOUGHT
    cached_share: Spread = NOTHING
    refusals: float = 0.0
    filtered: float = 0.0
