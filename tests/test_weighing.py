import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.chat import Defaults, build_request
from batch_runner.findings import Findings
from batch_runner.forms import Asked
from batch_runner.loader import Draft, Line, draft
from batch_runner.records import PromptRow
from batch_runner.refusals import Mend
from batch_runner.weighing import Weighing

RUNS = [
    Defaults("o1-mini", None, {}),
    Defaults("o1-mini", 'Be "brief".', {"max_completion_tokens": 7}),
    Defaults("o3", "Sei nett.", {"n": 3, "seed": 1}),
    Defaults("o1-mini", "x", {"max_tokens": 5}, fix=True),
]

texts = st.text(min_size=1).filter(str.strip)
rows = st.one_of(
    st.fixed_dictionaries({"prompt": texts}),
    st.fixed_dictionaries({"prompt": texts, "max_completion_tokens": st.integers(1, 300_000)}),
    st.fixed_dictionaries({"messages": st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": texts}), min_size=1)}),
    st.fixed_dictionaries({"text": texts, "model": st.sampled_from(["o1", "gpt-4o", "x"]), "label": texts}),
)


def read(fields: object) -> Draft:
    return draft(Line(json.dumps(fields, ensure_ascii=False).encode(), "in.jsonl:1"))


def weighed(run: Defaults, *drafts: Draft, sent: int = 1) -> tuple[Weighing, Findings]:
    findings = Findings(fix=run.fix)
    weighing = Weighing(run, findings)
    for each in drafts:
        assert isinstance(each.asked, Asked)
        weighing.add(each.asked, each.line, sent)
    return weighing, findings


@pytest.mark.parametrize("run", RUNS)
@given(st.lists(rows, min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_the_largest_is_that_of_the_requests_themselves(run: Defaults, asked: list[dict[str, object]]) -> None:
    drafts = [read(each) for each in asked]
    requests = [build_request(each.row, run) for each in drafts if isinstance(each.row, PromptRow)]

    weighing, _ = weighed(run, *drafts)

    assert weighing.largest.prompt == max(request.worst.prompt for request in requests)
    assert weighing.largest.completion == max(request.worst.completion for request in requests)
    assert weighing.uncapped == sum(request.max_completion_tokens is None for request in requests)


def test_what_is_refused_about_the_runs_own_parameters_is_refused_about_every_plain_prompt() -> None:
    _, findings = weighed(Defaults("o1-mini", None, {"temperature": 0.5}), read({"prompt": "a"}), read({"prompt": "b"}), sent=3)

    (finding,) = findings.refused
    assert (findings.rows, finding.refusal.what, finding.named.rows, len(finding.named.places)) == (6, "temperature", 6, 2)


def test_what_is_mended_about_the_run_is_mended_about_every_plain_prompt() -> None:
    _, findings = weighed(Defaults("o1-mini", None, {"max_tokens": 5}, fix=True), read({"prompt": "a"}), read({"prompt": "b"}))

    assert (findings.mended, findings.rows) == ({Mend.CAP: 2}, 0)


def test_a_row_says_whether_something_about_it_is_refused() -> None:
    weighing, told = weighed(Defaults("o1-mini", None, {}))
    plain, warm = read({"prompt": "a"}), read({"prompt": "a", "params": {"temperature": 0.5}})

    assert isinstance(plain.asked, Asked)
    assert isinstance(warm.asked, Asked)
    assert not weighing.add(plain.asked, plain.line, 1)
    assert weighing.add(warm.asked, warm.line, 1)
    assert told.rows == 1
