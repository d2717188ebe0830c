from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.complaints import WrongLineError
from batch_runner.failures import UsageMistake
from batch_runner.template import Template

fields = st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.integers() | st.booleans(), max_size=4)


def filled(text: str, row: dict[str, object]) -> str:
    template = Template.of(text)
    return template.filled(template.fields_of(row))


@pytest.mark.parametrize(
    ("text", "row", "prompt"),
    [
        pytest.param("Classify: {text}", {"text": "晚上好"}, "Classify: 晚上好", id="a text"),
        pytest.param("{a}{b}{a}", {"a": "x", "b": "y"}, "xyx", id="several, one twice"),
        pytest.param("{{{a}}} {{b}}", {"a": "x"}, "{x} {b}", id="doubled braces"),
        pytest.param(
            "{n} {t} {l} {o}", {"n": 3, "t": True, "l": [1, "好"], "o": {"a": None}}, '3 true [1,"好"] {"a":null}', id="JSON"
        ),
        pytest.param("{my field}", {"my field": "x"}, "x", id="a name with a space"),
        pytest.param("{问题}", {"问题": "x"}, "x", id="a Chinese name"),
        pytest.param("{meta.lang}", {"meta": {"lang": "zh"}}, "zh", id="a field inside a field"),
        pytest.param("{a.b}", {"a.b": "x", "a": {"b": "y"}}, "x", id="a name with a dot comes first"),
        pytest.param("{a}", {"a": "{b} {0.__class__}"}, "{b} {0.__class__}", id="what a field holds is no template"),
    ],
)
def test_fields_take_their_places(text: str, row: dict[str, object], prompt: str) -> None:
    assert filled(text, row) == prompt


@pytest.mark.parametrize(
    ("text", "row", "said"),
    [
        pytest.param("{text}", {"question": "hi", "n": 1}, "needs {text}, this row has question, n", id="missing"),
        pytest.param("{text}", {}, "this row has no field", id="an empty row"),
        pytest.param("{a}", {"a": None}, "{a}, which is null here", id="null"),
        pytest.param("{a.b.c}", {"a": {"b": "x"}}, "needs {a.b.c}", id="a path through a text"),
        pytest.param("{a.__class__}", {"a": "x"}, "needs {a.__class__}", id="an attribute"),
        pytest.param("{a.0}", {"a": ["x"]}, "needs {a.0}", id="an index"),
        pytest.param("{a[0]}", {"a": ["x"]}, "needs {a[0]}", id="an index in brackets"),
    ],
)
def test_a_row_without_a_field_is_told_which(text: str, row: dict[str, object], said: str) -> None:
    with pytest.raises(WrongLineError) as raised:
        filled(text, row)

    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("{text", "doubled", id="left open"),
        pytest.param("text}", "doubled", id="never opened"),
        pytest.param("{}", "no field's name", id="no name"),
        pytest.param("{0!r}", "{0!r} is no field's name", id="a conversion"),
        pytest.param("{x:>10}", "{x:>10} is no field's name", id="a layout"),
        pytest.param('Answer as {"a": 1}: {text}', "doubled", id="JSON in the text"),
        pytest.param("Classify", "names no field", id="no place for any"),
        pytest.param("", "names no field", id="empty"),
    ],
)
def test_what_can_not_be_a_template_is_told_before_any_row_is_read(text: str, said: str) -> None:
    with pytest.raises(UsageMistake, match="--template") as raised:
        Template.of(text)

    assert said in str(raised.value)


@given(text=st.text(st.sampled_from("{}ab.:![]_ "), max_size=12), row=fields)
@settings(max_examples=200, deadline=None)
def test_any_template_over_any_row_is_a_text_or_a_reason(text: str, row: dict[str, object]) -> None:
    with suppress(UsageMistake, WrongLineError):
        assert isinstance(filled(text, row), str)
