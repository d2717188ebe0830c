"""What models are known to refuse about the rows to be sent, and what `--fix` mends: by model and by what is refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from batch_runner.refusals import Mend, mended, refusals

if TYPE_CHECKING:
    from batch_runner.refusals import Refusal

NAMED = 5
"""How many rows are named of each thing found, where nobody asks for more."""


class Place(NamedTuple):
    """A row that is named: where it stands, and what is the matter with it."""

    at: str
    what: str = ""


@dataclass(slots=True)
class Named:
    """How many rows something is said of, and the first places where they stand."""

    most: int
    rows: int = 0
    places: list[Place] = field(default_factory=list)

    def add(self, at: str, what: str = "", rows: int = 1) -> None:
        """One more row at `at`, or so many copies of it."""
        self.rows += rows
        if len(self.places) < self.most:
            self.places.append(Place(at, what))


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a model refuses about some rows."""

    model: str
    refusal: Refusal
    """As it is about the first of them."""
    named: Named


class Judged(NamedTuple):
    """A request body, and what its model is known to think of it."""

    body: dict[str, Any]
    """As it is sent: mended, where that was asked for."""
    mends: tuple[Mend, ...]
    refusals: tuple[Refusal, ...]
    """Of the body as it is sent."""


class Findings:
    """Judges request bodies, and counts what was found about the rows behind them."""

    def __init__(self, *, fix: bool, named: int = NAMED) -> None:
        self._fix = fix
        self._named = named
        self._refused: dict[tuple[str, str], Finding] = {}
        self.rows = 0
        """Rows of which something is refused."""
        self.mended: Counter[Mend] = Counter()
        """Rows that `--fix` mends."""

    @property
    def refused(self) -> list[Finding]:
        """What is refused, that of most rows first."""
        return sorted(self._refused.values(), key=lambda finding: -finding.named.rows)

    def judge(self, asked: dict[str, Any]) -> Judged:
        """What is sent for a body that asks for this, and what is refused about it."""
        body, mends = mended(asked) if self._fix else (asked, ())
        return Judged(body, mends, tuple(refusals(body)))

    def add(self, judged: Judged, place: str, rows: int) -> None:
        """Count so many copies of the row at `place`."""
        for mend in judged.mends:
            self.mended[mend] += rows
        self.rows += rows if judged.refusals else 0
        for refusal in judged.refusals:
            self.refuse(judged.body["model"], refusal, place, rows)

    def refuse(self, model: str, refusal: Refusal, place: str, rows: int) -> None:
        """Count one refusal of the row at `place`."""
        finding = self._refused.setdefault((model, refusal.what), Finding(model, refusal, Named(self._named)))
        finding.named.add(place, rows=rows)
