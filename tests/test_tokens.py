import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.json_text import dumps
from batch_runner.tokens import prompt_bound, prompt_estimate, token_counter


def said(*texts: str, **more: Any) -> dict[str, Any]:
    return {"model": "o1", "messages": [{"role": "user", "content": text} for text in texts], **more}


def counted(*bodies: dict[str, Any]) -> list[int]:
    counter = token_counter()
    assert counter.exact
    return counter.count(bodies)


def test_a_prompt_has_as_many_tokens_as_the_service_counts() -> None:
    assert counted(said("晚上好"), said("hello world")) == [9, 9]  # 2 of text, 1 of the role, 3 a message, 3 for the answer


def test_texts_in_parts_tools_and_formats_are_counted_too() -> None:
    plain, in_parts = counted(said("hello"), {"messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]})
    with_tools, with_format = counted(
        said("hello", tools=[{"type": "function", "function": {"name": "f"}}]),
        said("hello", response_format={"type": "json_object"}),
    )

    assert plain == in_parts
    assert with_tools > plain
    assert with_format > plain


def test_what_is_no_text_is_no_reason_to_fail() -> None:
    odd = {
        "messages": [
            {"role": "user", "content": ["x", {"type": "image_url"}, {"text": 7}]},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]},
            {"role": "user", "content": "a\ud800b"},
        ]
    }

    assert counted(odd)[0] > 0
    assert token_counter().count([]) == []


def test_without_the_extra_tokens_are_estimated_and_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "toktok", None)

    counter = token_counter()

    assert (counter.name, counter.exact) == ("estimated", False)
    assert counter.count([said("hello")]) == [prompt_estimate(said("hello"))]


@pytest.mark.parametrize(
    "text",
    [
        "The quick brown fox jumps over the lazy dog, and nobody in the house looks up. " * 20,
        "一只敏捷的棕色狐狸跳过了那只懒狗，屋子里没有人抬头看。" * 20,
        "def add(first: int, second: int) -> int:\n    return first + second\n" * 20,
    ],
)
def test_an_estimate_is_near_the_exact_number(text: str) -> None:
    assert 0.7 <= prompt_estimate(said(text)) / counted(said(text))[0] <= 1.5


texts = st.text(st.characters(codec="utf-8"), max_size=200)


@given(talk=st.lists(texts, min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_neither_count_is_ever_above_the_bound(talk: list[str]) -> None:
    body = said(*talk)
    bound = prompt_bound(body, dumps(body))

    assert 0 < prompt_estimate(body) <= bound
    assert 0 < counted(body)[0] <= bound


@given(text=texts, more=texts)
def test_a_longer_text_is_never_estimated_shorter(text: str, more: str) -> None:
    assert prompt_estimate(said(text + more)) >= prompt_estimate(said(text))
