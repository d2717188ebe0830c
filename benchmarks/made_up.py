"""Made-up inputs and outputs, as large as one likes: rows that ask the same under ids of their own, and their answers."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

import orjson

from batch_runner.chat import Defaults, build_request
from batch_runner.loader import Line, draft
from batch_runner.output.lines import Run, row_line, run_line, totals_line
from batch_runner.records import Attempt, Bill, PromptRow, Result, Status, Usage
from batch_runner.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Iterator

AT = "2026-01-01T00:00:00.000Z"
PROMPT = "Classify the following review as positive or negative: the battery lasts, the screen does not. "
ANSWER = "Mixed: praise for the battery, a complaint about the screen. As asked for one word, negative. " * 3
USED = Usage(31, 0, 152, 64, 183)
PLACE = b"row-0000000000"
"""Stands for an id in a line made beforehand."""


def a_line(text: bytes, number: int) -> bytes:
    """A line with the id of row `number`."""
    return text.replace(PLACE, b"row-%010d" % number, 1)


class Rows(NamedTuple):
    """A row source that holds no row."""

    how_many: int

    def lines(self) -> Iterator[Line]:
        for number in range(self.how_many):
            yield Line(b'{"id":"row-%010d","prompt":"%s"}' % (number, PROMPT.encode()), f"made_up.jsonl:{number + 1}")


def answered_line(defaults: Defaults) -> bytes:
    """The output line of one of `Rows`, its answer and its whole reply in it, under the id `PLACE`."""
    row = draft(Line(b'{"id":"%s","prompt":"%s"}' % (PLACE, PROMPT.encode()), "made_up.jsonl:1")).row
    assert isinstance(row, PromptRow)
    body = {
        "id": "chatcmpl-9aBcDeFgHiJkLmNoPqRsTuVwXyZ01",
        "object": "chat.completion",
        "created": 1767225600,
        "model": "gpt-4o-2024-05-13",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": ANSWER, "refusal": None}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 31, "completion_tokens": 152, "total_tokens": 183},
    }
    return row_line(
        Result(
            PLACE.decode(),
            Status.OK,
            build_request(row, defaults).fingerprint,
            "made_up.jsonl:1",
            AT,
            "r",
            model="o1-mini",
            max_completion_tokens=1688,
            bill=Bill(USED),
            answer=ANSWER,
            finish_reason="stop",
            http_status=200,
            model_answered="gpt-4o-2024-05-13",
            request_id="req_0123456789abcdef0123456789abcdef",
            usage=USED,
            attempts=(Attempt(AT, 1.84, "ok"),),
            latency_s=1.84,
            body=orjson.dumps(body).decode(),
        )
    )


def output_lines(count: int, defaults: Defaults) -> Iterator[bytes]:
    """The lines of a finished output of `Rows(count)`."""
    yield run_line(Run("r", AT, "api.example.com"), Totals())
    answered = answered_line(defaults)
    for number in range(count):
        yield a_line(answered, number)
    yield totals_line("r", AT, Totals(), Totals())


class Streamed(io.RawIOBase):
    """Lines as a file that stands nowhere and can be read once."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        super().__init__()
        self._lines = lines
        self._rest = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, _whence: int = 0) -> int:
        return offset

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while len(self._rest) < len(buffer):
            line = next(self._lines, None)
            if line is None:
                break
            self._rest += line
        taken = min(len(buffer), len(self._rest))
        buffer[:taken], self._rest = self._rest[:taken], self._rest[taken:]
        return taken
