"""What the rows to be sent weigh: how many have no cap, how large the largest request can get."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_runner.chat import cap_of, request_body, worst
from batch_runner.json_text import dumps
from batch_runner.records import Tokens

if TYPE_CHECKING:
    from batch_runner.chat import Defaults
    from batch_runner.forms import Asked


class Weighing:
    """Adds up row by row. A request is built only where it may be the largest: that of a plain prompt is its line, and what the
    requests of all plain prompts have in common.
    """

    def __init__(self, run: Defaults) -> None:
        self._run = run
        empty = request_body({"messages": [{"role": "user", "content": ""}]}, run)
        self._common = worst(empty, dumps(empty))
        self._uncapped = cap_of(empty) is None
        self.uncapped = 0
        """Rows whose answer has no cap of its own."""
        self.as_written = 0
        """OpenAI Batch lines."""
        self.ending_in_answer = 0
        """Rows whose last message is the assistant's."""
        self.cut = 0
        """Rows without the answer that their conversation ends with."""
        self.largest = Tokens(0, 0)
        """The worst of any row, prompt and completion taken apart."""

    def add(self, asked: Asked, length: int, sent: int) -> None:
        """Count a row whose line has `length` bytes, as often as it is `sent`."""
        largest, common = self.largest, self._common
        if asked.plain and length + common.prompt <= largest.prompt and common.completion <= largest.completion:
            self.uncapped += sent * self._uncapped
            return
        self.as_written += sent * asked.as_written
        self.cut += sent * bool(asked.cut)
        self.ending_in_answer += sent * (asked.asks["messages"][-1]["role"] == "assistant")
        body = request_body(asked.asks, self._run, as_written=asked.as_written)
        most = worst(body, dumps(body))
        self.uncapped += sent * (cap_of(body) is None)
        self.largest = Tokens(max(largest.prompt, most.prompt), max(largest.completion, most.completion))
