from __future__ import annotations

import os
import pty
import sys
import termios
from typing import TYPE_CHECKING

import pytest

from batch_runner.commands.terminal import folded

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = "cost     $0.0034, $0.0006 for each answered row (list-price equivalent, genai-prices 0.2.3 of 2026-11-09)"


@pytest.fixture
def _narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A terminal of 40 columns on stderr."""
    outer, inner = pty.openpty()
    termios.tcsetwinsize(inner, (24, 40))
    with os.fdopen(inner, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        yield
        monkeypatch.undo()
    os.close(outer)


@pytest.mark.usefixtures("_narrow")
def test_a_line_too_long_for_the_terminal_is_broken_between_words_under_its_own() -> None:
    lines = folded(LINE).split("\n")

    assert max(map(len, lines)) <= 40
    assert lines[0] == "cost     $0.0034, $0.0006 for each"
    assert all(line.startswith(" " * 9) for line in lines[1:])
    assert " ".join(line.strip() for line in lines) == LINE


@pytest.mark.usefixtures("_narrow")
@pytest.mark.parametrize("line", ["37 rows: 35 ok", f"output   {'a long path ' * 9}", f"next     batch-runner run {'x ' * 30}"])
def test_a_line_that_fits_and_one_that_may_be_copied_stay_as_they_are(line: str) -> None:
    assert folded(line) == line


def test_without_a_terminal_nothing_is_broken() -> None:
    assert folded(LINE) == LINE
