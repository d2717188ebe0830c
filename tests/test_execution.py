from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

from batch_runner.execution import _as_rows_deserve
from batch_runner.exits import ExitStatus
from batch_runner.settings import Settings, read_settings
from batch_runner.totals import NOT_IN_INPUT, UNATTEMPTED


@dataclass
class Told:
    """As much of a prepared run as says how it may end."""

    settings: Settings


@pytest.mark.parametrize(
    ("standing", "max_failed", "ok"),
    [
        pytest.param({}, "0", True, id="no rows"),
        pytest.param({"ok": 3}, "0", True, id="every row ok"),
        pytest.param({"ok": 3, "failed": 1}, "0", False, id="one failed"),
        pytest.param({"ok": 3, "truncated": 1}, "0", False, id="one truncated"),
        pytest.param({"ok": 3, "refused": 1}, "0", False, id="one refused"),
        pytest.param({"ok": 3, "unfinished": 1}, "0", False, id="one unfinished"),
        pytest.param({"ok": 3, "invalid": 1}, "0", False, id="one line broken"),
        pytest.param({"ok": 3, UNATTEMPTED: 1}, "0", False, id="one not sent"),
        pytest.param({"ok": 3, NOT_IN_INPUT: 9}, "0", True, id="others gone from the input"),
        pytest.param({"ok": 97, "failed": 1, "invalid": 1, "refused": 1}, "2", False, id="of all kinds together"),
        pytest.param({"ok": 97, "failed": 1, "invalid": 1, "refused": 1}, "3", True, id="as many of all kinds as allowed"),
    ],
)
def test_rows_that_are_not_ok_show_in_the_exit_status(standing: dict[str, int], max_failed: str, *, ok: bool) -> None:
    prepared: Any = Told(read_settings({"max_failed": max_failed}))

    assert _as_rows_deserve(prepared, Counter(standing)) is (ExitStatus.OK if ok else ExitStatus.ROWS_NOT_OK)
