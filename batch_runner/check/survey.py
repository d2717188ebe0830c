"""Gathers what `check` tells, row by row, in little memory. An observer of the first pass."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from batch_runner.chat import MOST_WORST, cap_of, choices_of
from batch_runner.check.distribution import Distribution
from batch_runner.check.remarks import Remark, room_for, shortage_of
from batch_runner.findings import Findings
from batch_runner.identity import Action, key_of_fingerprint
from batch_runner.models import family_of
from batch_runner.plan import KeySet
from batch_runner.records import Rejected, Status, Usage
from batch_runner.refusals import mended

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch_runner.chat import Defaults
    from batch_runner.output.index import Entry
    from batch_runner.plan import Seen
    from batch_runner.pricing import Prices
    from batch_runner.tokens import TokenCounter

BATCH_ROWS = 1024
BATCH_BYTES = 8 * 1024 * 1024


class Place(NamedTuple):
    """A row that is named: where it stands, and what is the matter with it."""

    at: str
    what: str


@dataclass(slots=True)
class Named:
    """How many rows something is said of, and the first of them."""

    most: int
    rows: int = 0
    places: list[Place] = field(default_factory=list)

    def add(self, at: str, what: str = "") -> None:
        """One more row."""
        self.rows += 1
        if len(self.places) < self.most:
            self.places.append(Place(at, what))


class _Waiting(NamedTuple):
    """A row whose tokens are to be counted."""

    body: dict[str, Any]
    source: str
    fingerprint_key: int
    refused: bool


class Survey:
    """Rows by what is the matter with them; tokens and money of those to be sent."""

    def __init__(
        self,
        run: Defaults,
        *,
        counter: TokenCounter,
        prices: Prices,
        named: int,
        model_of: Callable[[Entry], str | None],
    ) -> None:
        self._fix = run.fix
        self._counter = counter
        self._prices = prices
        self._named = named
        self._model_of = model_of
        self.findings = Findings(fix=run.fix, named=named)
        self.invalid = Named(named)
        self.repeated_ids = Named(named)
        self.same_requests = Named(named)
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
        self.lines = 0
        self.bytes = 0
        self._fingerprints = KeySet()
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0

    def observe(self, seen: Seen) -> None:
        """Look at one row."""
        self.lines += 1
        self.bytes += len(seen.row.line) + 1
        if seen.repeats:
            self.repeated_ids.add(seen.row.source, seen.row.id)
        if isinstance(seen.row, Rejected):
            self.invalid.add(seen.row.source, seen.row.reason)
        elif seen.to_send:
            self._take(seen)

    def close(self) -> None:
        """Count what is still waiting."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if not waiting:
            return
        self._note_same(waiting)
        for row, tokens in zip(waiting, self._counter.count([row.body for row in waiting]), strict=True):
            self._count(row, tokens)

    def _take(self, seen: Seen) -> None:
        assert seen.body is not None
        assert seen.request is not None
        refused = self.findings.observe(seen)
        if seen.entry is not None:
            self.again[self._reason(seen)] += 1
        body = mended(seen.body)[0] if self._fix else seen.body
        self._waiting.append(_Waiting(body, seen.row.source, key_of_fingerprint(seen.request.fingerprint), refused))
        self._waiting_bytes += len(seen.row.line)
        if len(self._waiting) >= BATCH_ROWS or self._waiting_bytes >= BATCH_BYTES:
            self.close()

    def _reason(self, seen: Seen) -> str:
        """Why a row that has a record is sent again."""
        assert seen.entry is not None
        assert seen.request is not None
        status = seen.entry.status
        if seen.action is Action.CHANGED:
            model = self._model_of(seen.entry)
            other_model = model not in {None, seen.request.model}
            return (
                f"answered by {model}, now asking {seen.request.model}" if other_model else "answered, now asking something else"
            )
        return "can be sent now" if status is Status.INVALID else str(status)

    def _note_same(self, waiting: list[_Waiting]) -> None:
        """Rows that ask the same as one before them."""
        keys = np.fromiter((row.fingerprint_key for row in waiting), dtype=np.uint64, count=len(waiting))
        unique, firsts = np.unique(keys, return_index=True)
        new = np.zeros(len(waiting), dtype=np.bool_)
        new[firsts] = self._fingerprints.add(unique)
        for place in np.flatnonzero(~new).tolist():
            self.same_requests.add(waiting[place].source)

    def _count(self, row: _Waiting, tokens: int) -> None:
        model = row.body["model"]
        family, cap = family_of(model), cap_of(row.body)
        self.models[model] += 1
        self.tokens.add(tokens)
        completion = min(MOST_WORST, (cap or room_for(tokens, family)) * choices_of(row.body))
        price = self._prices.of(model)
        step = sum(tokens > start for start, _ in price.long_prompts) if price is not None else 0
        usage = Usage(tokens, 0, completion, 0, tokens + completion)
        self.sums[model, step] = self.sums.get((model, step), Usage()) + usage
        shortage = shortage_of(tokens, family, exact=self._counter.exact)
        if shortage is not None:
            self.findings.rows += not row.refused
            self.findings.add(model, shortage, row.source)
            return
        for remark in Remark.about(row.body, tokens, cap, family):
            self.remarks.setdefault((model, remark), Named(self._named)).add(row.source)
