from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batch_runner.chat import Defaults, build_request
from batch_runner.loader import Line, draft
from batch_runner.records import PromptRow
from batch_runner.stencil import HOLE, Stencil

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60) | st.sampled_from(
    ['say "image_url"', "data:image/png;base64,AAAA;base64,", "\\\\", "好" * 9, "\x00", "\x7f\u2028", HOLE]
)
PARAMS: list[dict[str, Any]] = [
    {},
    {"max_completion_tokens": 50, "n": 3},
    {"max_tokens": 50, "metadata": {"a": 1}, "temperature": 1.0},
    {"response_format": {"type": "json_object", "image_url": 1}, "seed": 2**63},
    {"metadata": {"a": "x", "image_url": "y"}},
]
MODELS = ["o1-mini", "o1", "gpt-4o", "somebody/else"]


def plain_row(text: str) -> PromptRow:
    row = draft(Line(b'{"id":"a","prompt":"x"}', "in.jsonl:1")).row
    assert isinstance(row, PromptRow)
    return PromptRow(row.id, row.source, row.line, {"messages": [{"role": "user", "content": text}]}, text=text)


@given(
    text=TEXTS,
    model=st.sampled_from(MODELS),
    system=st.none() | TEXTS,
    params=st.sampled_from(PARAMS),
    fix=st.booleans(),
    cap=st.none() | st.integers(1, 99),
)
@example(text="a", model="o1-mini", system=HOLE, params={}, fix=True, cap=None)
@example(text="a", model="o1", system=None, params={"stop": HOLE}, fix=False, cap=None)
@settings(max_examples=400, deadline=None)
def test_a_request_from_the_stencil_is_the_one_that_is_built(
    text: str, model: str, system: str | None, params: dict[str, Any], cap: int | None, *, fix: bool
) -> None:
    run, row = Defaults(model, system, params, fix=fix), plain_row(text)

    assert Stencil(run).request(row, cap) == build_request(row, run, cap)


@pytest.mark.parametrize("line", [b'{"prompt":"a","model":"o3"}', b'{"messages":[{"role":"user","content":"a"}]}'])
def test_a_row_that_asks_more_than_a_text_is_built_part_by_part(line: bytes) -> None:
    run = Defaults("o1-mini", None, {})
    row = draft(Line(line, "in.jsonl:1")).row
    assert isinstance(row, PromptRow)

    assert row.text is None
    assert Stencil(run).request(row) == build_request(row, run)


def test_a_prompt_is_known_as_a_text_alone() -> None:
    row = draft(Line(b'{"id":"a","prompt":"hello","label":"x"}', "in.jsonl:1")).row

    assert isinstance(row, PromptRow)
    assert row.text == "hello"
