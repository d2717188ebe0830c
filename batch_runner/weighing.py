"""What the rows to be sent weigh: how many have no cap, how large the largest request can get, what is refused about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch_runner.chat import cap_of, request_body, with_cap, worst
from batch_runner.json_text import dumps
from batch_runner.records import Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch_runner.chat import Defaults
    from batch_runner.findings import Findings, Judged
    from batch_runner.forms import Asked
    from batch_runner.loader import Block, Line


@dataclass(slots=True)
class Load:
    """What the rows that ask one model weigh together."""

    rows: int = 0
    bytes: int = 0
    """Of their input lines; of a body that is no plain prompt, its own."""
    completion: int = 0
    """Tokens, if every answer uses its whole cap."""


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
        self.loads: dict[str, Load] = {}
        """By model, what its rows come to together."""
        self.largest = Tokens(0, 0)
        """The worst of any row, prompt and completion taken apart."""

    def add(self, asked: Asked, line: Line, sent: int, cap: int | None = None) -> bool:
        """Count a row as often as it is `sent`, with `cap` in place of its own; true when something about it is refused."""
        plain = asked.plain and cap is None
        judged = self._weigh_plain(asked, line, sent) if plain else self._weigh(asked, sent, cap)
        if judged.refusals or judged.mends:
            self.findings.add(judged, line.source, sent)
        return bool(judged.refusals)

    def add_plain(self, block: Block, prompts: Sequence[str]) -> None:
        """Count rows that are one text each, sent once each."""
        if self._plain.refusals or self._plain.mends:
            for place in range(len(prompts)):
                self.findings.add(self._plain, block.line(place).source, 1)
        self._count(self._run.model, len(prompts), sum(map(len, block.texts)), self._common.completion, uncapped=self._uncapped)
        if self._may_grow(max(map(len, block.texts))):
            written = b"".join(block.texts)
            if written.isascii() and b"\\" not in written:  # so that a text is as long in JSON as it is, quotes aside
                self._grow_by(max(prompts, key=len))
                return
            for text, prompt in zip(block.texts, prompts, strict=True):
                if self._may_grow(len(text)):
                    self._grow_by(prompt)

    def _weigh_plain(self, asked: Asked, line: Line, sent: int) -> Judged:
        self._count(self._run.model, sent, sent * len(line.text), self._common.completion, uncapped=self._uncapped)
        if self._may_grow(len(line.text)):
            self._grow_by(asked.asks["messages"][0]["content"])
        return self._plain

    def _may_grow(self, length: int) -> bool:
        """Whether a plain row whose line is `length` bytes long may be larger than any before."""
        common, largest = self._common, self.largest
        return length + common.prompt > largest.prompt or common.completion > largest.completion

    def _grow_by(self, prompt: str) -> None:
        self._grow(self._common.prompt + len(dumps(prompt)) - len(b'""'), self._common.completion)

    def _weigh(self, asked: Asked, sent: int, cap: int | None) -> Judged:
        judged = self.findings.judge(request_body(asked.asks, self._run, as_written=asked.as_written))
        body = judged.body if cap is None else with_cap(judged.body, cap)
        most = worst(body, dumps(body))
        self._count(judged.body["model"], sent, sent * most.prompt, most.completion, uncapped=cap_of(judged.body) is None)
        self.as_written += sent * asked.as_written
        self.cut += sent * bool(asked.cut)
        self.ending_in_answer += sent * (asked.asks["messages"][-1]["role"] == "assistant")
        self._grow(most.prompt, most.completion)
        return judged

    def _count(self, model: str, sent: int, size: int, completion: int, *, uncapped: bool) -> None:
        load = self.loads.setdefault(model, Load())
        load.rows += sent
        load.bytes += size
        load.completion += sent * completion
        self.uncapped += sent * uncapped
        self.models[model] = self.models.get(model, False) or uncapped

    def _grow(self, prompt: int, completion: int) -> None:
        if prompt > self.largest.prompt or completion > self.largest.completion:
            self.largest = Tokens(max(prompt, self.largest.prompt), max(completion, self.largest.completion))
