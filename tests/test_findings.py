from typing import Any

from batch_runner.chat import Defaults, body_of, request_of
from batch_runner.findings import Findings
from batch_runner.identity import Action
from batch_runner.loader import Line, draft
from batch_runner.plan import Seen
from batch_runner.records import PromptRow
from batch_runner.refusals import Mend

OLD_CAP = '{"prompt":"hi","params":{"max_tokens":5}}'
WARM = '{"prompt":"hi","params":{"temperature":0.5,"max_tokens":5}}'


def seen(line: str, number: int = 1, action: Action = Action.SEND) -> Seen:
    row = draft(Line(line.encode(), f"in.jsonl:{number}")).row
    if not isinstance(row, PromptRow):
        return Seen(row, Action.RECORD, None, None, None, repeats=False)
    body: dict[str, Any] = body_of(row, Defaults("o1-mini", None, {}))
    return Seen(row, action, None, body, request_of(row.id, body), repeats=False)


def test_rows_are_counted_by_model_and_by_what_is_refused() -> None:
    findings = Findings(fix=False)
    for number, line in enumerate([OLD_CAP, WARM, OLD_CAP, '{"prompt":"hi"}'], start=1):
        assert findings.observe(seen(line, number)) == (number < 4)

    assert findings.rows == 3
    told = [(each.model, each.refusal.what, each.rows, each.places) for each in findings.refused]
    assert told == [
        ("o1-mini", "max_tokens", 3, ["in.jsonl:1", "in.jsonl:2", "in.jsonl:3"]),
        ("o1-mini", "temperature", 1, ["in.jsonl:2"]),
    ]


def test_what_is_mended_is_counted_apart_and_the_rest_still_refused() -> None:
    findings = Findings(fix=True)
    for line in (OLD_CAP, WARM):
        findings.observe(seen(line))

    assert findings.mended == {Mend.CAP: 2}
    assert [(each.refusal.what, each.rows) for each in findings.refused] == [("temperature", 1)]
    assert findings.rows == 1


def test_only_so_many_places_are_named() -> None:
    findings = Findings(fix=False, named=2)
    for number in range(1000):
        findings.observe(seen(OLD_CAP, number))

    (finding,) = findings.refused
    assert (finding.rows, len(finding.places)) == (1000, 2)


def test_rows_that_are_not_sent_are_nobodys_business() -> None:
    findings = Findings(fix=True)
    for each in (seen(OLD_CAP, action=Action.KEEP), seen("{")):
        assert not findings.observe(each)

    assert (findings.rows, findings.refused, dict(findings.mended)) == (0, [], {})
