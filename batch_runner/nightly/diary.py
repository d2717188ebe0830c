"""A job's history: one line for each night, `NAME.history.jsonl` beside its outputs. The last line of a night counts."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import orjson

from batch_runner.exits import ExitStatus
from batch_runner.records import ANSWERED, Status
from batch_runner.reporters.costs import cost_document
from batch_runner.totals import UNATTEMPTED, Totals

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from batch_runner.progress import RunReport

SCHEMA = 1
COMPLETE = frozenset({ExitStatus.OK, ExitStatus.ROWS_NOT_OK, ExitStatus.DRIFTED})
"""Ends of a night that got through its rows."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One night."""

    night: str
    """Its date."""
    ended: str
    """When its last run did (UTC)."""
    exit_status: int
    reason: str = ""
    output: str = ""
    run_id: str = ""
    totals: Totals = field(default_factory=Totals)
    """What the night came to, all its runs together."""
    cost_usd: float | None = None
    maybe_billed_usd: float | None = None
    drift: tuple[str, ...] = ()
    """In what it departs from the nights before."""

    @property
    def complete(self) -> bool:
        """Whether it got through its rows, however they are."""
        return self.exit_status in COMPLETE and self.judged > 0

    @property
    def answered(self) -> int:
        """Rows that the service answered."""
        return sum(self.totals.rows[status] for status in ANSWERED)

    @property
    def judged(self) -> int:
        """Rows that have their last word."""
        return sum(self.totals.rows[status] for status in Status if status is not Status.UNFINISHED)

    @property
    def ok_share(self) -> float | None:
        """Of the rows that have their last word."""
        return _share(self.totals.rows[Status.OK], self.judged)

    @property
    def truncated_share(self) -> float | None:
        """Of the answers."""
        return _share(self.totals.rows[Status.TRUNCATED], self.answered)

    @property
    def slow_down_share(self) -> float | None:
        """The part of all attempts that the service refused as too many."""
        return _share(self.totals.slow_downs, self.totals.attempts)

    @property
    def tokens_per_answer(self) -> float | None:
        """Completion tokens."""
        return _share(self.totals.spent.completion_tokens or 0, self.answered)

    @property
    def cost_per_answer(self) -> float | None:
        """In US dollars."""
        return None if self.cost_usd is None else _share(self.cost_usd, self.answered)

    @property
    def models(self) -> Counter[str]:
        """Answers by the model that gave them."""
        counts = Counter[str]()
        for (_, model), count in self.totals.answered_as.items():
            counts[model] += count
        return counts

    def as_json(self) -> dict[str, Any]:
        """Its line."""
        return {
            "schema": SCHEMA,
            "night": self.night,
            "ended": self.ended,
            "exit_status": self.exit_status,
            "reason": self.reason,
            "output": self.output,
            "run_id": self.run_id,
            "ok_share": _rounded(self.ok_share),
            "truncated_share": _rounded(self.truncated_share),
            "slow_down_share": _rounded(self.slow_down_share),
            "latency_p50_s": self.totals.latency_quantile(0.5),
            "latency_p95_s": self.totals.latency_quantile(0.95),
            "models": dict(self.models),
            "cost_usd": self.cost_usd,
            "maybe_billed_usd": self.maybe_billed_usd,
            "drift": list(self.drift),
            "totals": self.totals.as_json(),
        }

    @classmethod
    def from_json(cls, line: dict[str, Any]) -> Self:
        """What `as_json` made."""
        names = ("night", "ended", "exit_status", "reason", "output", "run_id", "cost_usd", "maybe_billed_usd")
        return cls(**{name: line[name] for name in names}, totals=Totals.from_json(line["totals"]), drift=tuple(line["drift"]))


def entry_of(report: RunReport, night: str, at: str, before: Entry | None, *, dated: bool) -> Entry:
    """The entry of a night whose run has ended; `before` is the night's own, of an earlier run. `dated`: the night has an
    output of its own, whose totals are the night's; else they are those of its runs.
    """
    totals = report.totals
    if not dated:
        totals = report.run if before is None else before.totals.merge(report.run)
        totals = replace(totals, rows=totals.rows + Counter())
        totals.rows[UNATTEMPTED] = report.totals.rows[UNATTEMPTED]
    cost = cost_document(totals, report.prices)
    usd, owed = cost["usd"], cost["maybe_billed_usd"]
    return Entry(
        night,
        at,
        int(report.exit_status),
        report.reason,
        str(report.output),
        report.run_id or (before.run_id if before is not None else ""),
        totals,
        None if usd is None else float(usd),
        None if owed is None else float(owed),
    )


def refused_entry(night: str, at: str, status: ExitStatus, reason: str, before: Entry | None) -> Entry:
    """The entry of a night whose run didn't begin: what an earlier run came to stays."""
    entry = before or Entry(night, at, int(status))
    return replace(entry, ended=at, exit_status=int(status), reason=reason)


class Diary:
    """The history at `path`, as it stood when it was read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble = ""
        """Why it can't be read; empty where it can, or isn't there."""
        self._entries: dict[str, Entry] = {}
        try:
            self._entries = _read(path)
        except OSError as error:
            self.trouble = error.strerror or str(error)

    def __getitem__(self, night: str) -> Entry | None:
        """That night's, if there is one."""
        return self._entries.get(night)

    @property
    def entries(self) -> list[Entry]:
        """All of them, the earliest first."""
        return [self._entries[night] for night in sorted(self._entries)]

    def before(self, night: str) -> list[Entry]:
        """Those of earlier nights, the earliest first."""
        return [entry for entry in self.entries if entry.night < night]

    def last_good_end(self, fine: Sequence[int] = ()) -> str:
        """When a night ended with 0 last, or with a status that is `fine`; empty when none did."""
        good = {ExitStatus.OK, *fine}
        return max((entry.ended for entry in self._entries.values() if entry.exit_status in good), default="")

    def add(self, entry: Entry) -> None:
        """Write a line. Raises `OSError`."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            line = orjson.dumps(entry.as_json(), option=orjson.OPT_APPEND_NEWLINE)
            file.write(line if _ends_whole(self.path) else b"\n" + line)
        self._entries[entry.night] = entry


def _read(path: Path) -> dict[str, Entry]:
    """The last entry of each night; lines that can't be read are passed over."""
    entries: dict[str, Entry] = {}
    with suppress(FileNotFoundError):
        for line in path.read_bytes().splitlines():
            with suppress(orjson.JSONDecodeError, KeyError, TypeError, ValueError):
                entry = Entry.from_json(orjson.loads(line))
                entries[entry.night] = entry
    return entries


def _ends_whole(path: Path) -> bool:
    """False where a power loss left half a line at the end."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 1))
        return file.read() in {b"", b"\n"}


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 6)
