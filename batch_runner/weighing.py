"""What the rows to be sent weigh: how many have no cap, how large the largest request can get, what is refused about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_runner.chat import cap_of, request_body, worst
from batch_runner.json_text import dumps
from batch_runner.records import Tokens

if TYPE_CHECKING:
    from batch_runner.chat import Defaults
    from batch_runner.findings import Findings, Judged
    from batch_runner.forms import Asked
    from batch_runner.loader import Line


class Weighing:
    """Adds up row by row. A request is built only where it may be the largest or is like no other: that of a plain prompt is its
    line, and what the requests of all plain prompts have in common.
    """

    def __init__(self, run: Defaults, findings: Findings) -> None:
        self._run = run
        self._findings = findings
        self._plain = findings.judge(request_body({"messages": [{"role": "user", "content": ""}]}, run))
        self._common = _worst(self._plain)
        self._uncapped = cap_of(self._plain.body) is None
        self.uncapped = 0
        """Rows whose answer has no cap of its own."""
        self.as_written = 0
        """OpenAI Batch lines."""
        self.ending_in_answer = 0
        """Rows whose last message is the assistant's."""
        self.models: dict[str, bool] = {}
        """The models asked for, and whether a row of theirs has no cap of its own."""
        self.largest = Tokens(0, 0)
        """The worst of any row, prompt and completion taken apart."""

    def add(self, asked: Asked, line: Line, sent: int) -> bool:
        """Count a row as often as it is `sent`; true when something about it is refused."""
        largest, common = self.largest, self._common
        if asked.is_plain and len(line.text) + common.prompt <= largest.prompt and common.completion <= largest.completion:
            judged = self._plain
            self.uncapped += sent * self._uncapped
        else:
            judged = self._weighed(asked, sent)
        if judged.refusals or judged.mends:
            self._findings.add(judged, line.source, sent)
        return bool(judged.refusals)

    def _weighed(self, asked: Asked, sent: int) -> Judged:
        self.as_written += sent * asked.as_written
        self.ending_in_answer += sent * (asked.asks["messages"][-1]["role"] == "assistant")
        judged = self._findings.judge(request_body(asked.asks, self._run, as_written=asked.as_written))
        most, uncapped, model = _worst(judged), cap_of(judged.body) is None, judged.body["model"]
        self.models[model] = self.models.get(model, False) or uncapped
        self.uncapped += sent * uncapped
        self.largest = Tokens(max(self.largest.prompt, most.prompt), max(self.largest.completion, most.completion))
        return judged


def _worst(judged: Judged) -> Tokens:
    return worst(judged.body, dumps(judged.body))
