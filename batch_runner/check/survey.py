"""Gathers what `check` tells of the rows to be sent, in little memory. An observer of the first pass."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from batch_runner.chat import MOST_WORST, cap_of, choices_of, request_body, with_cap
from batch_runner.check.distribution import Distribution
from batch_runner.check.remarks import Remark, room_for, shortage_of
from batch_runner.findings import Findings, Named
from batch_runner.identity import Action, fingerprint, key_of_fingerprint
from batch_runner.json_text import dumps
from batch_runner.keys import KeySet
from batch_runner.models import family_of
from batch_runner.records import Status, Usage
from batch_runner.refusals import mended

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch_runner.chat import Defaults
    from batch_runner.output.index import Entry
    from batch_runner.planner import ToSend
    from batch_runner.pricing import Prices
    from batch_runner.tokens import TokenCounter

BATCH_ROWS = 1024
BATCH_BYTES = 8 * 1024 * 1024


class _Waiting(NamedTuple):
    """A row whose tokens are to be counted."""

    body: dict[str, Any]
    source: str
    sent: int
    """How often."""
    fingerprint_key: int
    refused: bool


class Survey:
    """Tokens and money of the rows to be sent; what is the matter with them beside what the first pass itself finds."""

    def __init__(
        self, run: Defaults, *, counter: TokenCounter, prices: Prices, named: int, model_of: Callable[[Entry], str | None]
    ) -> None:
        self._run = run
        self._counter = counter
        self._prices = prices
        self._named = named
        self._model_of = model_of
        self.same_requests = Named(named)
        self.too_long = Findings(fix=False, named=named)
        """Rows refused because of their length; counted where the first pass found nothing else about them."""
        self.again: Counter[str] = Counter()
        """Rows with a record that would be sent again, by the reason."""
        self.remarks: dict[tuple[str, Remark], Named] = {}
        """Rows that somebody should look at, by model."""
        self.models: Counter[str] = Counter()
        """Rows to be sent, by model."""
        self.tokens = Distribution()
        """Prompt tokens of the rows to be sent."""
        self.sums: dict[tuple[str, int], Usage] = {}
        """Prompts and caps of the rows to be sent, by model and by the step of its price that they fall into."""
        self.first_body = b""
        """The body of the first request."""
        self._fingerprints = KeySet()
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0

    def observe(self, row: ToSend) -> None:
        """Look at one row."""
        asked = request_body(row.asked.asks, self._run, as_written=row.asked.as_written)
        body = mended(asked)[0] if self._run.fix else asked
        if row.cap is not None:
            body = with_cap(body, row.cap)
        self.first_body = self.first_body or dumps(body)
        for action, entry in row.copies:
            if entry is not None:
                self.again[self._reason(action, entry, body["model"])] += 1
        key = key_of_fingerprint(fingerprint(asked))
        self._waiting.append(_Waiting(body, row.line.source, len(row.copies), key, row.refused))
        self._waiting_bytes += len(row.line.text)
        if len(self._waiting) >= BATCH_ROWS or self._waiting_bytes >= BATCH_BYTES:
            self.close()

    def close(self) -> None:
        """Count what is still waiting."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if not waiting:
            return
        self._note_same(waiting)
        for row, tokens in zip(waiting, self._counter.count([row.body for row in waiting]), strict=True):
            self._count(row, tokens)

    def _reason(self, action: Action, entry: Entry, model: str) -> str:
        """Why a row that has a record is sent again, to `model`."""
        if action is Action.CHANGED:
            before = self._model_of(entry)
            other_model = before not in {None, model}
            return f"answered by {before}, now asking {model}" if other_model else "answered, now asking something else"
        return "can be sent now" if entry.status is Status.INVALID else str(entry.status)

    def _note_same(self, waiting: list[_Waiting]) -> None:
        """Rows that ask the same as one before them."""
        for place in self._fingerprints.meet([row.fingerprint_key - 2**63 for row in waiting]):  # they have no sign, keys do
            self.same_requests.add(waiting[place].source, rows=waiting[place].sent)

    def _count(self, row: _Waiting, tokens: int) -> None:
        model = row.body["model"]
        family, cap = family_of(model), cap_of(row.body)
        self.models[model] += row.sent
        self.tokens.add(tokens, row.sent)
        completion = min(MOST_WORST, (cap or room_for(tokens, family)) * choices_of(row.body))
        price = self._prices.of(model)
        step = sum(tokens > start for start, _ in price.long_prompts) if price is not None else 0
        usage = Usage(row.sent * tokens, 0, row.sent * completion, 0, row.sent * (tokens + completion))
        self.sums[model, step] = self.sums.get((model, step), Usage()) + usage
        shortage = shortage_of(tokens, family, exact=self._counter.exact)
        if shortage is not None:
            self.too_long.rows += 0 if row.refused else row.sent
            self.too_long.refuse(model, shortage, row.source, row.sent)
            return
        for remark in Remark.about(row.body, tokens, cap, family):
            self.remarks.setdefault((model, remark), Named(self._named)).add(row.source, rows=row.sent)
