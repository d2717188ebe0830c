import json

from batch_runner.chat import Defaults, request_body
from batch_runner.findings import Findings
from batch_runner.forms import Asked, read_line
from batch_runner.refusals import Mend

RUN = Defaults("o1-mini", None, {})
FINE = {"prompt": "hi"}
OLD_CAP = {"prompt": "hi", "params": {"max_tokens": 5}}
WARM = {"prompt": "hi", "params": {"temperature": 0.5, "max_tokens": 5}}


def take(findings: Findings, row: object, number: int = 1, copies: int = 1) -> None:
    asked = read_line(json.dumps(row).encode())
    assert isinstance(asked, Asked)
    findings.add(findings.judge(request_body(asked.asks, RUN)), f"in.jsonl:{number}", copies)


def test_rows_are_counted_by_model_and_by_what_is_refused() -> None:
    findings = Findings(fix=False)
    for number, row in enumerate([OLD_CAP, WARM, OLD_CAP, FINE], start=1):
        take(findings, row, number)

    assert findings.rows == 3
    told = [(each.model, each.refusal.what, each.named.rows, [at for at, _ in each.named.places]) for each in findings.refused]
    assert told == [
        ("o1-mini", "max_tokens", 3, ["in.jsonl:1", "in.jsonl:2", "in.jsonl:3"]),
        ("o1-mini", "temperature", 1, ["in.jsonl:2"]),
    ]


def test_what_is_mended_is_counted_apart_and_the_rest_still_refused() -> None:
    findings = Findings(fix=True)
    for row in (OLD_CAP, WARM):
        take(findings, row)

    assert findings.mended == {Mend.CAP: 2}
    assert [(each.refusal.what, each.named.rows) for each in findings.refused] == [("temperature", 1)]
    assert findings.rows == 1


def test_what_is_sent_is_what_is_judged() -> None:
    asked = {"model": "o1-mini", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}

    assert Findings(fix=False).judge(asked).body is asked
    assert Findings(fix=True).judge(asked).body["max_completion_tokens"] == 5


def test_copies_of_a_row_count_each_and_stand_in_one_place() -> None:
    findings = Findings(fix=True)
    take(findings, WARM, copies=3)

    (finding,) = findings.refused
    assert (findings.rows, finding.named.rows, len(finding.named.places), findings.mended) == (3, 3, 1, {Mend.CAP: 3})


def test_only_so_many_places_are_named() -> None:
    findings = Findings(fix=False, named=2)
    for number in range(1000):
        take(findings, OLD_CAP, number)

    (finding,) = findings.refused
    assert (finding.named.rows, len(finding.named.places)) == (1000, 2)
