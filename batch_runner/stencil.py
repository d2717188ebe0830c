"""Requests of plain prompts, written from a stencil: they differ by their texts alone.

What surrounds the text in the body, and in what the fingerprint is made of, is found out once a run; a request costs one
JSON text and one hash. Any other row is built part by part. Both give the same request, to the byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from batch_runner.chat import EXPECTED_COMPLETION, build_request, cap_of, request_body, worst
from batch_runner.identity import as_asked, fingerprint_of
from batch_runner.json_text import dumps
from batch_runner.records import ChatRequest, Tokens
from batch_runner.refusals import mended
from batch_runner.tokens import IMAGE, talk_tokens, text_tokens

if TYPE_CHECKING:
    from batch_runner.chat import Defaults
    from batch_runner.records import PromptRow

HOLE = "\x00the text\x00"
"""What stands for the text while a stencil is cut; nothing that a setting holds."""


class Around(NamedTuple):
    """What stands before and behind the text."""

    before: bytes
    behind: bytes

    @classmethod
    def of(cls, whole: bytes) -> Around | None:
        """Cut the hole out of a JSON text; `None` when it isn't there exactly once."""
        parts = whole.split(dumps(HOLE)[1:-1])
        return cls(*parts) if len(parts) == 2 else None  # noqa: PLR2004 - before and behind

    def filled(self, text: bytes) -> bytes:
        """The whole with a text in it."""
        return b"%s%s%s" % (self.before, text, self.behind)


class Shapes(NamedTuple):
    """The three JSON texts that a request is made of, each with a hole."""

    body: Around
    asked: Around
    """What is hashed."""
    messages: Around
    """What is counted."""

    @classmethod
    def of(cls, asked: dict[str, Any], sent: dict[str, Any]) -> Shapes | None:
        """Of a body as it is asked for, and as it is sent."""
        body, hashed, messages = Around.of(dumps(sent)), Around.of(as_asked(asked)), Around.of(dumps(sent["messages"]))
        return None if body is None or hashed is None or messages is None else cls(body, hashed, messages)


class Stencil:
    """Makes the requests of a run."""

    def __init__(self, run: Defaults) -> None:
        self._run = run
        asked = request_body({"messages": [{"role": "user", "content": HOLE}]}, run)
        sent = mended(asked)[0] if run.fix else asked
        self._shapes = Shapes.of(asked, sent) if IMAGE not in dumps(sent) else None
        self._model = sent["model"]
        self._cap = cap_of(sent)
        self._talk = talk_tokens(sent)
        self._most_completion = worst(sent, b"").completion

    def request(self, row: PromptRow, cap: int | None = None) -> ChatRequest:
        """The request of a row: what `build_request` makes of it. `cap` stands in place of the one that was asked for."""
        if row.text is None or cap is not None or self._shapes is None:
            return build_request(row, self._run, cap)
        text = dumps(row.text)[1:-1]
        body = self._shapes.body.filled(text)
        return ChatRequest(
            row_id=row.id,
            model=self._model,
            max_completion_tokens=self._cap,
            body=body,
            fingerprint=fingerprint_of(self._shapes.asked.filled(text)),
            expected=Tokens(
                text_tokens(self._shapes.messages.filled(text)) + self._talk,
                self._cap or EXPECTED_COMPLETION,
            ),
            worst=Tokens(len(body) + self._talk, self._most_completion),
        )
