from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.condition import Condition
from batch_runner.failures import CannotStart, UsageMistake

ROW = {
    "lang": "zh",
    "text": "晚上好",
    "score": 0.5,
    "n": 3,
    "tags": ["a", "b"],
    "meta": {"lang": "de"},
    "no": None,
    "my field": 1,
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('lang == "zh"', True),
        ("lang == 'en'", False),
        ('lang in ["zh", "en"] and score >= 0.5', True),
        ("not (n > 3 or n < 3)", True),
        ('"晚" in text', True),
        ("len(text) > 2", True),
        ('startswith(text, "晚上") and endswith(text, "好")', True),
        ('lower("ABC") == "abc"', True),
        ('"a" in tags and len(tags) == 2', True),
        ('meta["lang"] == "de"', True),
        ('row["my field"] == 1', True),
        ("no is None and no == null", True),
        ("float('0.5') == score", True),
        ("n % 2 == 1", True),
        ("true", True),
    ],
)
def test_a_condition_asks_a_rows_fields(text: str, *, holds: bool) -> None:
    assert Condition(text).holds(ROW, "in.jsonl:1") is holds


def test_a_field_that_a_row_lacks_is_null() -> None:
    assert not Condition('missing == "zh"').holds(ROW, "in.jsonl:1")
    assert Condition("missing is None").holds(ROW, "in.jsonl:1")


def test_a_condition_knows_the_fields_it_asks_for() -> None:
    assert Condition('lang == "zh" and len(text) > n and row["x"] == true').names == {"lang", "text", "n"}


def test_a_field_named_like_a_function_is_still_a_field() -> None:
    assert Condition("lower == 3").holds({"lower": 3}, "in.jsonl:1")


@pytest.mark.parametrize(
    "text",
    [
        '__import__("os").system("true")',
        "text.__class__",
        'text.startswith("晚")',
        "().__class__.__bases__",
        "(lambda: 1)()",
        "open('/etc/passwd')",
        "[x for x in tags]",
        "lang = 3",
        "lang ==",
        "",
        "import os",
        "lang == 'zh'; 1",
        "f'{text}'.x",
    ],
)
def test_what_is_no_condition_is_refused_before_any_row_is_read(text: str) -> None:
    with pytest.raises((UsageMistake, CannotStart)) as raised:
        Condition(text).holds(ROW, "in.jsonl:1")

    assert "--where" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_row_that_can_not_be_asked_is_named_with_its_fields() -> None:
    with pytest.raises(CannotStart, match=r"in\.jsonl:7: --where 'n > 2' can't be asked of this row: .*; it has m") as raised:
        Condition("n > 2").holds({"m": 1}, "in.jsonl:7")

    assert "\n" not in str(raised.value)


@given(text=st.text(st.sampled_from('ab.()[]"=<>!+*_ 01,'), max_size=14))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    with suppress(UsageMistake, CannotStart):
        assert Condition(text).holds({"a": 1, "b": "x"}, "in.jsonl:1") in {True, False}
