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
    """What is known of the rows to be sent, added up row by row. Requests of plain prompts differ by their texts alone, so one is
    built only for other rows.
    """

    def __init__(self, run: Defaults, findings: Findings) -> None:
        self._run = run
        self.findings = findings
        """What is refused and mended about them."""
        self._plain = findings.judge(request_body({"messages": [{"role": "user", "content": ""}]}, run))
        self._common = worst(self._plain.body, dumps(self._plain.body))
        self._uncapped = cap_of(self._plain.body) is None
        self.uncapped = 0
        """Rows whose answer has no cap of its own."""
        self.as_written = 0
        """OpenAI Batch lines."""
        self.ending_in_answer = 0
        """Rows whose last message is the assistant's."""
        self.cut = 0
        """Rows without the answer that their conversation ends with."""
        self.models: dict[str, bool] = {}
        """The models asked for, and whether a row of theirs has no cap of its own."""
        self.largest = Tokens(0, 0)
        """The worst of any row, prompt and completion taken apart."""

    def add(self, asked: Asked, line: Line, sent: int) -> bool:
        """Count a row as often as it is `sent`; true when something about it is refused."""
        judged = self._weigh_plain(asked, line, sent) if asked.plain else self._weigh(asked, sent)
        if judged.refusals or judged.mends:
            self.findings.add(judged, line.source, sent)
        return bool(judged.refusals)

    def _weigh_plain(self, asked: Asked, line: Line, sent: int) -> Judged:
        common, largest = self._common, self.largest
        self._count(self._run.model, sent, uncapped=self._uncapped)
        if len(line.text) + common.prompt > largest.prompt or common.completion > largest.completion:
            text = dumps(asked.asks["messages"][0]["content"])
            self._grow(common.prompt + len(text) - len(b'""'), common.completion)
        return self._plain

    def _weigh(self, asked: Asked, sent: int) -> Judged:
        judged = self.findings.judge(request_body(asked.asks, self._run, as_written=asked.as_written))
        self._count(judged.body["model"], sent, uncapped=cap_of(judged.body) is None)
        self.as_written += sent * asked.as_written
        self.cut += sent * bool(asked.cut)
        self.ending_in_answer += sent * (asked.asks["messages"][-1]["role"] == "assistant")
        most = worst(judged.body, dumps(judged.body))
        self._grow(most.prompt, most.completion)
        return judged

    def _count(self, model: str, sent: int, *, uncapped: bool) -> None:
        self.uncapped += sent * uncapped
        self.models[model] = self.models.get(model, False) or uncapped

    def _grow(self, prompt: int, completion: int) -> None:
        if prompt > self.largest.prompt or completion > self.largest.completion:
            self.largest = Tokens(max(prompt, self.largest.prompt), max(completion, self.largest.completion))
