from collections import Counter

import pytest

from batch_runner.exits import ExitStatus
from batch_runner.progress import deserved
from batch_runner.totals import NOT_IN_INPUT, UNATTEMPTED


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
        pytest.param({"ok": 98, "failed": 2}, "2", True, id="as many as allowed"),
        pytest.param({"ok": 97, "failed": 3}, "2", False, id="one more than allowed"),
        pytest.param({"ok": 97, "failed": 1, "invalid": 1, "refused": 1}, "2", False, id="of all kinds together"),
        pytest.param({"ok": 99, "failed": 1}, "1%", True, id="just the share"),
        pytest.param({"ok": 98, "failed": 2}, "1%", False, id="more than the share"),
        pytest.param({"ok": 995, "failed": 5}, "0.5%", True, id="half a per cent"),
        pytest.param({"failed": 5}, "100%", True, id="whatever happens"),
        pytest.param({"ok": 1, "failed": 999}, "1_000", True, id="a large number"),
    ],
)
def test_rows_that_are_not_ok_show_in_the_exit_status(standing: dict[str, int], max_failed: str, *, ok: bool) -> None:
    assert deserved(Counter(standing), max_failed) is (ExitStatus.OK if ok else ExitStatus.ROWS_NOT_OK)
