"""`status --verify`: an output gone through line by line, its totals added up anew from nothing but its rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from batch_runner.endpoint import FAKE
from batch_runner.output.file import is_torn
from batch_runner.output.heads import read_head
from batch_runner.output.ledger import count
from batch_runner.output.lines import RUN, TOTALS, read_result
from batch_runner.records import ANSWERED, Bill, Status
from batch_runner.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch_runner.output.history import History
    from batch_runner.records import Result


class Flaw(StrEnum):
    """What can be wrong with a line."""

    TORN = "torn"
    UNREADABLE = "unreadable"
    UNKNOWN = "unknown"
    REPEATED = "repeated"
    SUM = "doesn't add up"


class Fault(NamedTuple):
    """A line that something is wrong with."""

    line: int
    """Its number in the file, from 1."""
    flaw: Flaw
    told: str


@dataclass(frozen=True, slots=True)
class _Earlier:
    """What is remembered of a line that a later one replaces."""

    number: int
    text: int
    """Its hash: of a million replaced lines the texts would fill the memory."""
    run_id: str
    made_up: bool
    attempts: int
    spent: int
    owed: int
    """Tokens under all models together, as is `spent`."""


class Verification:
    """One look at every line of an output. `at_work`: a run is at it, so that its end is still to come."""

    def __init__(self, history: History, *, at_work: bool) -> None:
        self._history = history
        self._index = history.index
        self._at_work = at_work
        self._runs: set[str] = set()
        self._made_up = False
        self._begun = (0, Totals())
        """The last run line: its number, and what the job had come to."""
        self._ended = 0
        """The number of the last totals line."""
        self._earlier: dict[str, _Earlier] = {}
        self._standing: Counter[str] = Counter()
        self._sum = Totals()
        self.rows = 0
        self.replaced = 0
        """Lines that a later one of the same row replaced: nothing is wrong with them, and `compact` removes them."""

    def faults(self) -> Iterator[Fault]:
        """Every fault, in the order of the file; the sums last. To be asked once."""
        places = self._index.living_places()
        place = next(places, None)
        offset = 0
        for number, line in enumerate(self._history.lines(), 1):
            if offset >= self._index.size:
                if is_torn(line) and not self._at_work:
                    yield Fault(number, Flaw.TORN, "cut off in its midst: the next run that sends rows removes it")
                break
            living = offset == place
            yield from self._line(number, line, living=living)
            place = next(places, None) if living else place
            offset += len(line)
        if not self._at_work:
            yield from self._sums()

    def _line(self, number: int, line: bytes, *, living: bool) -> Iterator[Fault]:
        head, document = read_head(line), _parsed(line)
        if head is None or document is None:
            status = document.get("status") if isinstance(document, dict) else None
            if isinstance(status, str) and status not in {*Status, RUN, TOTALS}:
                yield Fault(number, Flaw.UNKNOWN, f"its status is {status[:60]!r}")
            else:
                yield Fault(number, Flaw.UNREADABLE, "no line of an output, or damaged: its row counts as new")
        elif head.status == RUN:
            self._runs.add(document["run_id"])
            self._made_up = document["run"]["endpoint"] == FAKE
            self._begun = number, Totals.from_json(document["totals"]["job"])
        elif head.status == TOTALS:
            yield from self._totals_line(number, document)
        else:
            yield from self._row(number, line, document, living=living)

    def _totals_line(self, number: int, document: dict[str, Any]) -> Iterator[Fault]:
        self._ended = number
        if document["run_id"] not in self._runs:
            yield Fault(number, Flaw.UNKNOWN, f"no run line tells of run {document['run_id']}")
            return
        job, run = (Totals.from_json(document["totals"][name]) for name in ("job", "run"))
        both = self._begun[1].merge(run)
        if (both.attempts, both.bills, both.unclosed) != (job.attempts, job.bills, job.unclosed):
            yield Fault(number, Flaw.SUM, f"its job isn't what line {self._begun[0]} began with and what the run came to")

    def _row(self, number: int, line: bytes, document: dict[str, Any], *, living: bool) -> Iterator[Fault]:
        try:
            result = read_result(document)
        except (KeyError, TypeError, ValueError) as error:
            yield Fault(number, Flaw.UNREADABLE, f"row {str(document['id'])[:60]!r}: {error}")
            return
        if result.run_id not in self._runs:
            yield Fault(number, Flaw.UNKNOWN, f"row {result.id[:60]!r}: no run line before it tells of run {result.run_id!r}")
        yield from _own_sum(number, result)
        here = _noted(number, line, result, made_up=self._made_up)
        earlier = self._earlier.pop(result.id, None)
        if earlier is not None:
            yield from _against(earlier, here, result.id)
        if not living:
            self.replaced += 1
            self._earlier[result.id] = here
            return
        self.rows += 1
        self._standing[result.status] += 1
        if not (self._made_up and self._index.real):
            count(self._sum, document)

    def _sums(self) -> Iterator[Fault]:
        if not self._index.closed or not self._ended:
            number, begun = self._begun
            if begun.attempts > self._sum.attempts:
                yield Fault(number, Flaw.SUM, f"it knows of {begun.attempts:,} attempts, rows tell of {self._sum.attempts:,}: lines are gone")  # fmt: skip # noqa: E501
            return
        told, found = self._index.job, self._sum
        if told.attempts != found.attempts:
            yield Fault(self._ended, Flaw.SUM, f"it tells of {told.attempts:,} attempts, rows of {found.attempts:,}")
        for model in sorted({*told.bills, *found.bills}):
            a, b = told.bills.get(model, Bill()), found.bills.get(model, Bill())
            if a != b:
                yield Fault(self._ended, Flaw.SUM, f"it tells of {_tokens(a)} under {model}, rows of {_tokens(b)}")
        for status in Status:
            if told.rows[status] > self._standing[status]:
                yield Fault(self._ended, Flaw.SUM, f"it tells of {told.rows[status]:,} rows {status}, there are {self._standing[status]:,}")  # fmt: skip # noqa: E501


def _own_sum(number: int, result: Result) -> Iterator[Fault]:
    """What a row line must be true to by itself."""
    used, spent = result.usage.total_tokens or 0, result.bill.spent.total_tokens or 0
    if result.status in ANSWERED and not result.attempts:
        yield Fault(number, Flaw.SUM, f"row {result.id[:60]!r}: answered, without an attempt")
    if used > spent:
        yield Fault(number, Flaw.SUM, f"row {result.id[:60]!r}: its answer took {used:,} tokens, and only {spent:,} were spent")


def _against(earlier: _Earlier, here: _Earlier, row_id: str) -> Iterator[Fault]:
    """What a line must be true to beside the one it replaces: it goes on from there."""
    row = f"row {row_id[:60]!r}"
    if here.text == earlier.text:
        yield Fault(here.number, Flaw.REPEATED, f"{row}: the same as line {earlier.number}")
    elif here.made_up is earlier.made_up:
        if here.run_id == earlier.run_id and here.attempts <= earlier.attempts:
            yield Fault(here.number, Flaw.REPEATED, f"{row}: line {earlier.number} of the same run has its attempts already")
        elif here.spent < earlier.spent or here.owed < earlier.owed:
            yield Fault(here.number, Flaw.SUM, f"{row}: it forgets tokens that line {earlier.number} tells of")


def _noted(number: int, line: bytes, result: Result, *, made_up: bool) -> _Earlier:
    bill = sum(result.other_bills.values(), result.bill)
    attempts = sum(attempt.count for attempt in result.attempts)
    spent, owed = bill.spent.total_tokens or 0, bill.maybe_billed.total_tokens or 0
    return _Earlier(number, hash(line), result.run_id, made_up, attempts, spent, owed)


def _tokens(bill: Bill) -> str:
    spent, owed = bill.spent, bill.maybe_billed
    told = f"{spent.prompt_tokens:,} prompt and {spent.completion_tokens:,} completion tokens"
    return f"{told} ({owed.prompt_tokens:,} and {owed.completion_tokens:,} maybe billed)"


def _parsed(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
