"""What the bookkeeping lines of several outputs come to together, where the same run may stand in more than one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

from batch_runner.records import NO_USAGE, Usage
from batch_runner.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch_runner.output.index import Index


class _Share(NamedTuple):
    """What a run, and those after it that left no run line, added to a job beside what row lines tell."""

    unclosed: Usage = NO_USAGE
    wall_ms: int = 0


def groups_of(indexes: Sequence[Index]) -> list[int]:
    """For each output the number of its group: outputs that share a run, directly or by way of others, are of one."""
    groups = list(range(len(indexes)))
    for place, index in enumerate(indexes):
        for other in range(place):
            if index.run_lines.keys() & indexes[other].run_lines.keys():
                joined, gone = groups[other], groups[place]
                groups = [joined if group == gone else group for group in groups]
    return groups


def hidden_and_time(indexes: Sequence[Index]) -> tuple[Usage, int]:
    """What killed runs may have cost beside their records, and the milliseconds that all runs took: each run once.

    A run that one output knows as killed (its last word was written elsewhere, or it was copied while the run went on) is not
    charged when another knows how it went on.
    """
    shares: dict[str, _Share] = {}
    for index in indexes:
        for run_id, share in _shares(index).items():
            known = shares.get(run_id, _Share())
            shares[run_id] = _Share(known.unclosed.each(max, share.unclosed), max(known.wall_ms, share.wall_ms))
    hidden: dict[str, Usage] = {}
    for index in indexes:
        last = _open_run(index)
        if last and not any(last in other.run_lines and _open_run(other) != last for other in indexes):
            hidden[last] = index.hidden.each(max, hidden.get(last, NO_USAGE))
    unclosed = sum((share.unclosed for share in shares.values()), NO_USAGE)
    return sum(hidden.values(), unclosed), sum(share.wall_ms for share in shares.values())


def _open_run(index: Index) -> str:
    """The last run when it has no totals line, or nothing."""
    return "" if index.closed or index.last_run is None else index.last_run.id


def _shares(index: Index) -> dict[str, _Share]:
    """Run by run, what the job came to after it less what it came to before it; what came before the first is the first's."""
    befores = [Totals.from_json(orjson.loads(line)["totals"]["job"]) for line in index.run_lines.values()]
    starts = [Totals(), *befores[1:]]
    ends = [*befores[1:], index.job]
    return {
        run_id: _Share(end.unclosed.each(_more, start.unclosed), end.wall_ms - start.wall_ms)
        for run_id, start, end in zip(index.run_lines, starts, ends, strict=True)
    }


def _more(after: int, before: int) -> int:
    return max(0, after - before)
