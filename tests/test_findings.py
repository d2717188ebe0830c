from typing import Any

from batch_runner.findings import Findings, Place
from batch_runner.refusals import Mend

OLD_CAP = {"max_tokens": 5}
WARM = {"temperature": 0.5, "max_tokens": 5}


def found(findings: Findings, *params: dict[str, Any]) -> Findings:
    """What o1-mini refuses about rows that ask for these, one a line."""
    for number, each in enumerate(params, start=1):
        judged = findings.judge({"model": "o1-mini", "messages": [{"role": "user", "content": "hi"}], **each})
        findings.add(judged, f"in.jsonl:{number}", 1)
    return findings


def test_rows_are_counted_by_model_and_by_what_is_refused() -> None:
    findings = found(Findings(fix=False), OLD_CAP, WARM, OLD_CAP, {})

    assert findings.rows == 3
    told = [(each.model, each.refusal.what, each.named.rows, each.named.places) for each in findings.refused]
    assert told == [
        ("o1-mini", "max_tokens", 3, [Place("in.jsonl:1"), Place("in.jsonl:2"), Place("in.jsonl:3")]),
        ("o1-mini", "temperature", 1, [Place("in.jsonl:2")]),
    ]


def test_what_is_mended_is_counted_apart_and_the_rest_still_refused() -> None:
    findings = found(Findings(fix=True), OLD_CAP, WARM)

    assert findings.mended == {Mend.CAP: 2}
    assert [(each.refusal.what, each.named.rows) for each in findings.refused] == [("temperature", 1)]
    assert findings.rows == 1


def test_only_so_many_places_are_named() -> None:
    findings = found(Findings(fix=False, named=2), *[OLD_CAP] * 1000)

    (finding,) = findings.refused
    assert (finding.named.rows, len(finding.named.places)) == (1000, 2)
