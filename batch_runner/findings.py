"""What the first pass foretells of the rows to be sent: which a model is known to refuse, and what `--fix` mends."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batch_runner.refusals import Mend, mended, refusals

if TYPE_CHECKING:
    from batch_runner.plan import Seen
    from batch_runner.refusals import Refusal

NAMED_PLACES = 5


@dataclass(slots=True)
class Finding:
    """One thing that a model refuses about some rows."""

    model: str
    refusal: Refusal
    """As it is about the first of them."""
    rows: int = 0
    places: list[str] = field(default_factory=list)
    """Where the first of them stand."""

    def count(self, place: str, most: int) -> None:
        """One more row; its place is kept as long as fewer than `most` are."""
        self.rows += 1
        if len(self.places) < most:
            self.places.append(place)


class Findings:
    """Counts by model and by what it refuses; shown each row by the first pass."""

    def __init__(self, *, fix: bool, named: int = NAMED_PLACES) -> None:
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
        return sorted(self._refused.values(), key=lambda finding: -finding.rows)

    def observe(self, seen: Seen) -> bool:
        """Look at one row; True when something about it is refused."""
        if seen.body is None or not seen.to_send:
            return False
        body, mends = mended(seen.body) if self._fix else (seen.body, ())
        self.mended.update(mends)
        found = list(refusals(body))
        self.rows += bool(found)
        for refusal in found:
            self.add(body["model"], refusal, seen.row.source)
        return bool(found)

    def add(self, model: str, refusal: Refusal, place: str) -> None:
        """Count one refusal of a row at `place`."""
        finding = self._refused.setdefault((model, refusal.what), Finding(model, refusal))
        finding.count(place, self._named)
