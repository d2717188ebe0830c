"""Totals as a fold over lines: what rows have cost, added up from nothing but their records. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batch_runner.failures import SLOW_DOWN
from batch_runner.output.lines import read_bills
from batch_runner.records import ANSWERED, Usage
from batch_runner.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def fold(lines: Iterable[Mapping[str, Any]]) -> Totals:
    """What parsed row lines, one for each row, add up to."""
    totals = Totals()
    for line in lines:
        count(totals, line)
    return totals


def count(totals: Totals, line: Mapping[str, Any]) -> None:
    """Add one row's line: its attempts and tokens of all runs, and how it stands. Rows by status are left to the caller,
    who knows which rows the input holds.
    """
    totals.attempts += sum(attempt["n"] for attempt in line["attempts"])
    totals.slow_downs += sum(attempt["n"] for attempt in line["attempts"] if attempt["outcome"] in SLOW_DOWN)
    if line["failure"]:
        totals.failures[line["failure"]] += 1
    bills = read_bills(line)
    for model, bill in bills.items():
        totals.bill(model, bill)
    usage = Usage.from_dict(line["usage"])
    totals.vain(bills, line["model"], usage)
    totals.stands(line["status"], line["model"], usage)
    if line["status"] in ANSWERED and line["latency_s"] is not None:
        usage_known = line["usage"]["prompt_tokens"] is not None
        totals.answered(line["model"], line["model_answered"], line["latency_s"], usage_known=usage_known)
