"""Runs the command in processes that are forked, not started: a real process each, without the wait for its imports.

Reads one JSON order a line on standard input: `commands` (lists of arguments, run at once), `folder`, and what goes wrong:
`dies_after` bytes written to the output (`kill -9`, in the midst of a line as often as not), `room` bytes that any file may
grow to, `fault` planted in the program. Answers with the exit statuses.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import batch_runner.execution
import batch_runner.upkeep.compaction
from batch_runner import planner, retry, worker
from batch_runner.__main__ import _status
from batch_runner.commands import compact, run, running
from batch_runner.commands import retry as retry_command
from batch_runner.identity import Action
from batch_runner.output.history import History
from batch_runner.output.index import Index

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch_runner.forms import Asked
    from batch_runner.loader import Line
    from batch_runner.records import Past

IMPORTED = (batch_runner, worker, compact, run, running, retry_command)
"""So that no child has to."""


def at_once() -> None:
    """Nobody waits for a retry."""
    delay = retry.delay
    retry.delay = lambda *words, **more: None if delay(*words, **more) is None else 0.0


def die_after(count: int) -> None:
    """Be killed once so many bytes stand in the output, whether or not that is the end of a line."""
    write, left = os.write, [count]

    def counted(file: int, data: bytes) -> int:
        if not Path(f"/proc/self/fd/{file}").readlink().name.endswith(".results.jsonl"):
            return write(file, data)
        if left[0] <= len(data):
            write(file, bytes(data)[: left[0]])
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= len(data)
        return write(file, data)

    os.write = counted  # type: ignore[assignment]


def trust_position() -> None:
    """A resume that takes as many rows for done as the output holds."""
    take_row = planner._Planner._take_row

    def by_position(each: Any, line: Line, asked: Asked, handles: list[int]) -> None:
        done = len(each._actions) < each._index.living().total()
        each._of_new = Action.KEEP if done else Action.SEND
        each._of_recorded = lambda _asked, _entry: each._of_new
        take_row(each, line, asked, handles)

    planner._Planner._take_row = by_position  # type: ignore[method-assign,assignment]
    setattr(planner, "read_plain", lambda _block, _shape: None)  # noqa: B010 - which decides about many rows at once


def forget_spent() -> None:
    """A retry that starts its sums anew."""
    past = History.past

    def forgetful(history: History, row_id: str) -> Past:
        return replace(past(history, row_id), bills={}, attempts=())

    History.past = forgetful  # type: ignore[method-assign,assignment]


def cut_a_whole_line() -> None:
    """A repair that takes the line before the torn one with it."""
    read_on = Index.read_on

    def careless(index: Index, file: IO[bytes]) -> None:
        whole = file.read()
        if not whole.endswith(b"\n"):
            whole = whole[: whole.rfind(b"\n", 0, whole.rfind(b"\n")) + 1]
        read_on(index, io.BytesIO(whole))

    Index.read_on = careless  # type: ignore[method-assign,assignment]


FAULTS: dict[str, Callable[[], None]] = {
    "trust_position": trust_position,
    "forget_spent": forget_spent,
    "cut_a_whole_line": cut_a_whole_line,
}


def child(command: list[str], order: dict[str, Any]) -> None:
    """Run one command as ordered; doesn't return."""
    os.chdir(order["folder"])
    with open("told.txt", "ab", buffering=0) as told:  # noqa: PTH123 - its descriptor is wanted
        os.dup2(told.fileno(), 1)
        os.dup2(told.fileno(), 2)
    at_once()
    if order.get("fault"):
        FAULTS[order["fault"]]()
    if order.get("room") is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["room"], order["room"]))
    if order.get("dies_after") is not None:
        die_after(order["dies_after"])
    sys.argv = ["batch-runner", *command]
    os._exit(_status())


def main() -> None:
    """Obey until nobody orders any more."""
    for line in sys.stdin:
        order = json.loads(line)
        children = []
        for command in order["commands"]:
            process = os.fork()
            if process == 0:
                child(command, order)
            children.append(process)
        statuses = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in children]
        sys.stdout.write(json.dumps(statuses) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
