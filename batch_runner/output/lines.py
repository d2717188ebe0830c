"""History <-> bytes: the output format, version 1. Pure. `docs/output.md` tells it to users.

Every line has the same keys in the same order and no key changes its type, so that pandas, polars, DuckDB, pyarrow and
`datasets` read a file alike. What a resume reads stands first, before any long text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from batch_runner.admission import Ceiling
from batch_runner.json_text import dumps, loads_exactly
from batch_runner.records import ANSWERED, NO_USAGE, Attempt, Bill, Past, Result, Status, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch_runner.totals import Totals

FORMAT_VERSION = 1
RUN = "run"
TOTALS = "totals"

ZEROS = NO_USAGE.as_dict()

HEAD = re.compile(rb'\{"id":"((?:[^"\\]|\\.)*)","status":"([a-z]+)","fingerprint":"([^"]*)",')
"""The start of each line, enough to index it."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run line tells: one execution, and where the job stood when it began."""

    id: str
    started_at: str
    endpoint: str
    """Host name without port; `fake` for the embedded one."""
    program: str = ""
    job: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    ceiling: Ceiling = Ceiling()
    version: int = FORMAT_VERSION

    @property
    def max_failed(self) -> str:
        """How many of its rows need not be ok, as `--max-failed` told it."""
        return str(self.settings.get("max_failed", "0"))


def row_line(result: Result) -> bytes:
    r"""A result as its line, `\\n` included."""
    bill, spent = result.bill, result.bill.spent.as_dict()
    line = orjson.dumps(
        {
            "id": result.id,
            "status": result.status,
            "fingerprint": result.fingerprint,
            "model": result.model,
            "max_completion_tokens": result.max_completion_tokens,
            "spent": spent,
            "maybe_billed": ZEROS if bill.maybe_billed is NO_USAGE else bill.maybe_billed.as_dict(),
            "spent_other": _others_text(result.other_bills) if result.other_bills else "[]",
            "cost_usd": result.cost_usd,
            "answer": result.answer,
            "finish_reason": result.finish_reason,
            "failure": result.failure or "",
            "message": result.message,
            "http_status": result.http_status,
            "model_answered": result.model_answered,
            "request_id": result.request_id,
            "usage": spent if result.usage is bill.spent else result.usage.as_dict(),
            "attempts": [
                {"at": attempt.at, "s": round(attempt.seconds, 3), "outcome": attempt.outcome, "n": attempt.count}
                for attempt in result.attempts
            ],
            "latency_s": None if result.latency_s is None else round(result.latency_s, 3),
            "source": result.source,
            "finished_at": result.finished_at,
            "run_id": result.run_id,
            "extra": dumps(result.extra).decode() if result.extra else "{}",
            "input": result.input,
            "body": result.body,
        }
    )
    return line + b"\n"  # a copy: orjson leaves ten times the room behind a text, and lines wait by the hundred


def run_line(run: Run, job: Totals) -> bytes:
    """The line that opens a run, or raises its ceiling. It types the file for its readers, so nothing in it is null."""
    about = {
        "version": run.version,
        "program": run.program,
        "endpoint": run.endpoint,
        "job": run.job,
        "settings": _text(run.settings),
        "inputs": _text(run.inputs),
        "ceiling": {
            "attempts": run.ceiling.attempts,
            "prompt_tokens": run.ceiling.prompt_tokens,
            "completion_tokens": run.ceiling.completion_tokens,
        },
    }
    return _bookkeeping(
        RUN, run.id, run.started_at, {"run": about, "totals": {"job": job.as_json(), "run": type(job)().as_json()}}
    )


def totals_line(run_id: str, at: str, job: Totals, run: Totals) -> bytes:
    """The last line of a run that has ended."""
    return _bookkeeping(TOTALS, run_id, at, {"totals": {"job": job.as_json(), "run": run.as_json()}})


def read_run(line: Mapping[str, Any]) -> Run:
    """What a parsed run line tells."""
    about = line["run"]
    return Run(
        id=line["run_id"],
        started_at=line["finished_at"],
        endpoint=about["endpoint"],
        program=about["program"],
        job=about["job"],
        settings=loads_exactly(about["settings"].encode()),
        inputs=tuple(orjson.loads(about["inputs"])),
        ceiling=Ceiling(**about["ceiling"]),
        version=about["version"],
    )


def read_bills(line: Mapping[str, Any]) -> dict[str, Bill]:
    """What a parsed row line has cost, by the model that was asked."""
    bills = {line["model"]: Bill(Usage.from_dict(line["spent"]), Usage.from_dict(line["maybe_billed"]))}
    for other in orjson.loads(line["spent_other"]):
        bills[other["model"]] = Bill(Usage.from_dict(other), Usage.from_dict(other["maybe_billed"]))
    return {model: bill for model, bill in bills.items() if bill}


def read_past(line: Mapping[str, Any]) -> Past:
    """What a parsed row line hands on to the row's next one."""
    status = Status(line["status"])
    return Past(status, read_bills(line), _read_attempts(line), read_result(line) if status in ANSWERED else None)


def read_result(line: Mapping[str, Any]) -> Result:
    """A parsed row line as a `Result`."""
    from batch_runner.failures import FailureKind  # noqa: PLC0415 - only readers of results need it

    bills = read_bills(line)
    return Result(
        id=line["id"],
        status=Status(line["status"]),
        fingerprint=line["fingerprint"],
        source=line["source"],
        finished_at=line["finished_at"],
        run_id=line["run_id"],
        model=line["model"],
        max_completion_tokens=line["max_completion_tokens"],
        bill=bills.get(line["model"], Bill()),
        other_bills={model: bill for model, bill in bills.items() if model != line["model"]},
        cost_usd=line["cost_usd"],
        answer=line["answer"],
        finish_reason=line["finish_reason"],
        failure=FailureKind(line["failure"]) if line["failure"] else None,
        message=line["message"],
        http_status=line["http_status"],
        model_answered=line["model_answered"],
        request_id=line["request_id"],
        usage=Usage.from_dict(line["usage"]),
        attempts=_read_attempts(line),
        latency_s=line["latency_s"],
        extra=loads_exactly(line["extra"].encode()),
        input=line["input"],
        body=line["body"],
    )


def _read_attempts(line: Mapping[str, Any]) -> tuple[Attempt, ...]:
    return tuple(Attempt(each["at"], each["s"], each["outcome"], each["n"]) for each in line["attempts"])


def _bookkeeping(status: str, run_id: str, at: str, more: dict[str, Any]) -> bytes:
    """A line of ours: every key of a row line, numbers 0 and strings empty, one blank attempt, and `more`."""
    zero = Usage().as_dict()
    line = {
        "id": "",
        "status": status,
        "fingerprint": "",
        "model": "",
        "max_completion_tokens": 0,
        "spent": zero,
        "maybe_billed": zero,
        "spent_other": "",
        "cost_usd": 0.0,
        "answer": "",
        "finish_reason": "",
        "failure": "",
        "message": "",
        "http_status": 0,
        "model_answered": "",
        "request_id": "",
        "usage": zero,
        "attempts": [{"at": at, "s": 0.0, "outcome": "none", "n": 0}],
        "latency_s": 0.0,
        "source": "",
        "finished_at": at,
        "run_id": run_id,
        "extra": "",
        "input": "",
        "body": "",
    }
    return orjson.dumps(line | more, option=orjson.OPT_APPEND_NEWLINE)


def _others_text(bills: Mapping[str, Bill]) -> str:
    return _text(
        [{"model": model, **bill.spent.as_dict(), "maybe_billed": bill.maybe_billed.as_dict()} for model, bill in bills.items()]
    )


def _text(value: Any) -> str:
    return dumps(value).decode()
