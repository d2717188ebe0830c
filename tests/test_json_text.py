import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_runner.json_text import dumps, loads_exactly, loads_leniently, whole_text

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(value=json_values)
@settings(max_examples=100, deadline=None)
def test_what_is_written_says_the_same(value: object) -> None:
    assert json.loads(dumps(value)) == value


@given(value=json_values)
@settings(max_examples=100, deadline=None)
def test_what_was_written_is_read_exactly(value: object) -> None:
    assert loads_exactly(dumps(value)) == value


@pytest.mark.parametrize("number", [10**18, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 2**70, 10**40])
def test_a_long_integer_is_read_to_its_last_digit(number: int) -> None:
    assert loads_exactly(b'{"n":[%d]}' % number) == {"n": [number]}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b'{"n":12345678901234567890', id="cut off behind a long number"),
        pytest.param(b'{"n":NaN}', id="NaN"),
        pytest.param(b'{"n":%s}' % (b"9" * 5000), id="more digits than Python takes"),
        pytest.param(b'{"n":12345678901234567890,"t":' + b"[" * 1010 + b"]" * 1010 + b"}", id="too deep beside a long number"),
    ],
)
def test_what_is_no_json_is_refused_when_read_exactly(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        loads_exactly(text)


@pytest.mark.parametrize("sort_keys", [True, False])
def test_numbers_beyond_64_bits_and_deep_nesting_are_written_too(*, sort_keys: bool) -> None:
    nested = orjson.loads("[" * 400 + "]" * 400)

    assert json.loads(dumps({"b": 2**70, "a": nested}, sort_keys=sort_keys)) == {"a": nested, "b": 2**70}


def test_sorted_keys_make_one_text_of_one_value() -> None:
    assert dumps({"b": 2**70, "a": 1}, sort_keys=True) == b'{"a":1,"b":1180591620717411303424}'
    assert dumps({"b": 2, "a": 1}, sort_keys=True) == b'{"a":1,"b":2}'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param(b' \n\n {"a":1}', {"a": 1}, id="blank lines before"),
        pytest.param(b'{"a":"\\ud83d"}', {"a": "\ud83d"}, id="lone surrogate"),
        pytest.param(b'{"a":"caf\xe9"}', {"a": "caf\ufffd"}, id="not UTF-8"),
        pytest.param(b'{"a":"x\ny"}', {"a": "x\ny"}, id="raw line break"),
        pytest.param(b'{"a":1e400}', {"a": float("inf")}, id="beyond a double"),
        pytest.param(b'\xef\xbb\xbf{"a":1}', {"a": 1}, id="BOM"),
        pytest.param(b"", None, id="nothing"),
        pytest.param(b"<html>", None, id="a page"),
        pytest.param(b'{"a":', None, id="cut off"),
        pytest.param(b"[" * 100_000, None, id="too deep"),
    ],
)
def test_what_was_paid_for_is_read_if_it_can_be_read_at_all(text: bytes, value: object) -> None:
    assert loads_leniently(text) == value


def test_nan_is_read() -> None:
    assert loads_leniently(b'{"a":NaN}')["a"] != 0


@given(text=st.binary(max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_bytes_can_be_tried(text: bytes) -> None:
    loads_leniently(text)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        pytest.param("\ud83d", "\ufffd", id="alone"),
        pytest.param("a\ud83db", "a\ufffdb", id="high one inside"),
        pytest.param("a\ude00b", "a\ufffdb", id="low one inside"),
        pytest.param("\ud83d\ude00", "😀", id="a pair"),
        pytest.param("\ufeffa", "\ufeffa", id="BOM"),
    ],
)
def test_lone_surrogates_are_replaced(text: str, whole: str) -> None:
    assert whole_text(text) == whole


@given(text=st.text(alphabet=st.characters(exclude_categories=[])))
@settings(max_examples=100, deadline=None)
def test_a_whole_text_fits_a_file(text: str) -> None:
    orjson.dumps(whole_text(text))


@given(text=st.text())
@settings(max_examples=50, deadline=None)
def test_a_text_without_surrogates_stays_as_it_is(text: str) -> None:
    assert whole_text(text) == text
