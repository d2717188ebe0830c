from __future__ import annotations

import os
import pty
import sys
import termios
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from batch_runner.commands.terminal import folded

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = "cost     $0.0034, $0.0006 for each answered row (list-price equivalent, genai-prices 0.2.3 of 2026-11-09)"


@contextmanager
def a_terminal(columns: int) -> Iterator[None]:
    """One so wide, on stderr."""
    outer, inner = pty.openpty()
    termios.tcsetwinsize(inner, (24, columns))
    with os.fdopen(inner, "w") as terminal, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        yield
    os.close(outer)


def test_a_line_too_long_for_the_terminal_is_broken_between_words_under_its_own() -> None:
    with a_terminal(40):
        lines = folded(LINE).split("\n")

    assert max(map(len, lines)) <= 40
    assert lines[0] == "cost     $0.0034, $0.0006 for each"
    assert all(line.startswith(" " * 9) for line in lines[1:])
    assert "cost     " + " ".join(line[9:] for line in lines) == LINE


@pytest.mark.parametrize("line", ["37 rows: 35 ok", f"output   {'a long path ' * 9}", f"next     batch-runner run {'x ' * 30}"])
def test_a_line_that_fits_and_one_that_may_be_copied_stay_as_they_are(line: str) -> None:
    with a_terminal(40):
        assert folded(line) == line


def test_without_a_terminal_or_on_one_that_tells_no_width_nothing_is_broken() -> None:
    assert folded(LINE) == LINE
    with a_terminal(0):
        assert folded(LINE) == LINE
